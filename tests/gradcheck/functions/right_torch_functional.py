"""Functions of torch.nn.functional: activations, layers, and losses.

Left out: random ones (`dropout*`, `alpha_dropout`, `feature_alpha_dropout`, `rrelu` in training,
`fractional_max_pool*`); straight-through ones, whose gradient is not the derivative on purpose
(`gumbel_softmax(hard=True)`, `embedding` with `padding_idx` or `scale_grad_by_freq`); quantised or
GPU-only ones (`scaled_mm`, `grouped_mm`, `scaled_grouped_mm`); those without a derivative
(`one_hot`); `ctc_loss` without `log_softmax`, whose gradient torch gives for both together;
functions that others call (`multi_head_attention_forward`: the module; `boolean_dispatch`,
`*_with_indices`, `upsample*`: `interpolate`; `elu_` …: the same kernels).
"""

from gradcheck.functions.expressions import functions

from manualnn.gradcheck import Array

X = Array((5, 7))
ROW = Array((7,))
FROM_ZERO = Array((5, 7), low=0)
AWAY = Array((5, 7), low=0.125, high=64)
INNER = Array((5, 7), low=2**-20, high=1 - 2**-20)
SMALL = Array((5, 7), low=-30, high=30)
TINY = Array((3, 4), low=-8, high=8)
SIGNAL = Array((2, 3, 8))
IMAGE = Array((1, 2, 5, 6))
VOLUME = Array((1, 2, 3, 4, 3))
CLASSES = Array((5,), kind="classes", high=7, dtype="int64")
SIGNS = "torch.where(y, 1.0, -1.0).to(x.dtype)"
DISTANCE = "lambda a, b: (a - b).square().sum(-1)"
TARGETS = "torch.tensor([[1, 2, 1], [2, 2, 1]]).clamp(max=x.shape[2] - 1)"
FLAGS = Array((5, 7), kind="boolean", dtype="bool")
FLAG_ROW = Array((5,), kind="boolean", dtype="bool")
WEIGHTS = Array((7,), low=0.125, high=4, derivative=False)
SINGLE = Array((5, 7), dtype="float32")
HALF = Array((5, 7), dtype="bfloat16")

ACTIVATIONS = [
    ("F.celu(x)", X),
    ("F.celu(x, alpha=0.5)", X),
    ("F.elu(x)", X),
    ("F.elu(x, alpha=1.5)", X),
    ("F.gelu(x)", X),
    ("F.gelu(x, approximate='tanh')", X),
    ("F.glu(x, dim=0)", Array((4, 7))),
    ("F.glu(x)", Array((5, 6))),
    ("F.hardshrink(x)", X),
    ("F.hardsigmoid(x)", X),
    ("F.hardswish(x)", X),
    ("F.hardtanh(x, -2, 0.5)", X),
    ("F.leaky_relu(x)", X),
    ("F.leaky_relu(x, 0.3)", X),
    ("F.logsigmoid(x)", X),
    ("F.mish(x)", X),
    ("F.prelu(x, y)", Array((4, 7)), ROW),
    ("F.prelu(x, y)  # one weight", X, Array((1,))),
    ("F.relu(x)", X),
    ("F.relu6(x)", X),
    ("F.rrelu(x, 0.1, 0.3)", X),
    ("F.selu(x)", X),
    ("F.silu(x)", X),
    ("F.softplus(x)", X),
    ("F.softplus(x, beta=2, threshold=30)", X),
    ("F.softshrink(x, 0.25)", X),
    ("F.softsign(x)", X),
    ("F.tanhshrink(x)", X),
    ("F.threshold(x, 0.1, 20)", X),
    ("F.softmax(x, -1)", X),
    ("F.softmax(x, 0)", X),
    ("F.softmin(x, -1)", X),
    ("F.log_softmax(x, -1)", X),
    ("F.normalize(x, dim=-1)", AWAY),
    ("F.normalize(x, p=1, dim=0)", AWAY),
    ("F.gelu(x)", SINGLE),
    ("F.silu(x)", SINGLE),
    ("F.softplus(x)", SINGLE),
    ("F.log_softmax(x, -1)", SINGLE),
    ("F.softmax(x, -1)", HALF),
    ("F.relu(x)", HALF),
    ("F.silu(x)", HALF),
]

LAYERS = [
    ("F.adaptive_avg_pool1d(x, 3)", SIGNAL),
    ("F.adaptive_avg_pool2d(x, (3, 2))", IMAGE),
    ("F.adaptive_avg_pool3d(x, 2)", VOLUME),
    ("F.adaptive_max_pool1d(x, 3)", SIGNAL),
    ("F.adaptive_max_pool2d(x, (2, 4))", IMAGE),
    ("F.adaptive_max_pool3d(x, 2)", VOLUME),
    ("F.affine_grid(x, (2, 1, 3, 4), align_corners=False)", Array((2, 2, 3))),
    ("F.affine_grid(x, (2, 1, 3, 4), align_corners=True)", Array((2, 2, 3))),
    ("F.avg_pool1d(x, 3, stride=2, padding=1)", SIGNAL),
    ("F.avg_pool2d(x, 3, padding=1, count_include_pad=False, ceil_mode=True)", IMAGE),
    ("F.avg_pool2d(x, 2, divisor_override=3)", IMAGE),
    ("F.avg_pool3d(x, 2)", VOLUME),
    ("F.batch_norm(x, None, None, y, z, training=True)", SMALL, ROW, ROW),
    ("F.batch_norm(x, w, v, y, z)", X, ROW, ROW, WEIGHTS, WEIGHTS),
    ("F.bilinear(x, y, z, w)", TINY, Array((3, 5)), Array((2, 4, 5)), Array((2,))),
    ("F.channel_shuffle(x, 2)", Array((1, 4, 2, 3))),
    ("F.conv1d(x, y, z, padding=1)", SIGNAL, Array((4, 3, 3)), Array((4,))),
    ("F.conv1d(x, y, stride=2, dilation=2)", SIGNAL, Array((4, 3, 2))),
    ("F.conv2d(x, y, padding=(1, 0))", IMAGE, Array((3, 2, 3, 2))),
    ("F.conv2d(x, y, padding='same')", IMAGE, Array((3, 2, 3, 3))),
    ("F.conv2d(x, y, groups=2)", IMAGE, Array((4, 1, 2, 2))),
    ("F.conv3d(x, y)", VOLUME, Array((2, 2, 2, 2, 2))),
    ("F.conv_tbc(x, y, z, pad=1)", Array((6, 2, 3)), Array((3, 3, 4)), Array((4,))),
    ("F.conv_transpose1d(x, y, stride=2)", SIGNAL, Array((3, 2, 3))),
    ("F.conv_transpose2d(x, y, output_padding=1, stride=2)", IMAGE, Array((2, 3, 2, 2))),
    ("F.conv_transpose3d(x, y)", Array((1, 2, 2, 3, 2)), Array((2, 2, 2, 2, 2))),
    ("F.embedding(y, x)", TINY, Array((5,), kind="classes", high=3, dtype="int64")),
    (
        "F.embedding_bag(y, x, mode='mean')",
        TINY,
        Array((2, 3), kind="classes", high=3, dtype="int64"),
    ),
    (
        "F.embedding_bag(y, x, mode='max')",
        TINY,
        Array((2, 3), kind="classes", high=3, dtype="int64"),
    ),
    (
        "F.embedding_bag(y, x, mode='sum', per_sample_weights=z)",
        TINY,
        Array((2, 3), kind="classes", high=3, dtype="int64"),
        Array((2, 3)),
    ),
    ("F.fold(x, (4, 5), (2, 2))", Array((1, 8, 12))),
    ("F.unfold(x, (2, 3), padding=1, stride=2)", IMAGE),
    ("F.grid_sample(x, y, align_corners=False)", IMAGE, Array((1, 3, 2, 2), low=-1.5, high=1.5)),
    (
        "F.grid_sample(x, y, padding_mode='border', align_corners=True)",
        IMAGE,
        Array((1, 3, 2, 2), low=-1.5, high=1.5),
    ),
    (
        "F.grid_sample(x, y, padding_mode='reflection', align_corners=False)",
        IMAGE,
        Array((1, 3, 2, 2), low=-1.5, high=1.5),
    ),
    (
        "F.grid_sample(x, y, mode='bicubic', align_corners=False)",
        IMAGE,
        Array((1, 3, 2, 2), low=-0.75, high=0.75),
    ),
    ("F.group_norm(x, 2, y, z)", Array((2, 4, 3)), Array((4,)), Array((4,))),
    ("F.instance_norm(x)", SIGNAL),
    ("F.interpolate(x, 5)", SIGNAL),
    ("F.interpolate(x, 5, mode='linear')", SIGNAL),
    ("F.interpolate(x, (7, 3), mode='bilinear', align_corners=True)", IMAGE),
    ("F.interpolate(x, (3, 4), mode='bilinear', antialias=True)", IMAGE),
    ("F.interpolate(x, (7, 8), mode='bicubic')", IMAGE),
    ("F.interpolate(x, scale_factor=1.5, mode='trilinear')", VOLUME),
    ("F.interpolate(x, (3, 4), mode='area')", IMAGE),
    ("F.layer_norm(x, x.shape[-1:], y, z)", X, ROW, ROW),
    ("F.layer_norm(x, x.shape)", X),
    ("F.linear(x, y, z)", TINY, Array((2, 4)), Array((2,))),
    ("F.local_response_norm(x, 2)", SIGNAL),
    ("F.lp_pool1d(x, 2, 3)", Array((2, 3, 8), low=0.125, high=64)),
    ("F.lp_pool2d(x, 3, 2, ceil_mode=True)", Array((1, 2, 5, 6), low=0.125, high=64)),
    ("F.lp_pool3d(x, 2, 2)", Array((1, 2, 3, 4, 3), low=0.125, high=64)),
    ("F.max_pool1d(x, 3, stride=1, padding=1)", SIGNAL),
    ("F.max_pool2d(x, 2)", IMAGE),
    ("F.max_pool2d(x, 3, stride=2, dilation=1, ceil_mode=True)", IMAGE),
    ("F.max_pool3d(x, 2)", VOLUME),
    ("F.max_unpool1d(*F.max_pool1d(x, 2, return_indices=True), 2)", SIGNAL),
    ("F.max_unpool2d(*F.max_pool2d(x, 2, return_indices=True), 2)", IMAGE),
    ("F.max_unpool3d(*F.max_pool3d(x, 2, return_indices=True), 2)", Array((1, 2, 2, 4, 2))),
    ("F.pad(x, (1, 2))", X),
    ("F.pad(x, (1, 2, 2, 0), mode='reflect')", IMAGE),
    ("F.pad(x, (1, 2), mode='replicate')", SIGNAL),
    ("F.pad(x, (3, 2), mode='circular')", SIGNAL),
    ("F.pad(x, (-1, 1), value=3)", SIGNAL),
    ("F.pixel_shuffle(x, 2)", Array((1, 4, 2, 3))),
    ("F.pixel_unshuffle(x, 2)", Array((1, 1, 4, 6))),
    ("F.rms_norm(x, x.shape[-1:], y, eps=1e-6)", X, ROW),
    (
        "F.scaled_dot_product_attention(x, y, z)",
        Array((2, 3, 4)),
        Array((2, 5, 4)),
        Array((2, 5, 6)),
    ),
    (
        "F.scaled_dot_product_attention(x, y, z, is_causal=True, scale=0.5)",
        Array((1, 4, 4)),
        Array((1, 4, 4)),
        Array((1, 4, 3)),
    ),
    (
        "F.scaled_dot_product_attention(x, y, z, attn_mask=w)",
        Array((2, 3, 4)),
        Array((2, 5, 4)),
        Array((2, 5, 2)),
        Array((3, 5)),
    ),
]

LOSSES = [
    ("F.binary_cross_entropy(x, y)", INNER, INNER),
    ("F.binary_cross_entropy(x, y, weight=z, reduction='sum')", INNER, INNER, WEIGHTS),
    ("F.binary_cross_entropy_with_logits(x, y)", X, INNER),
    ("F.binary_cross_entropy_with_logits(x, y, pos_weight=z)", X, INNER, WEIGHTS),
    (
        "F.cosine_embedding_loss(x, y, torch.where(z, 1, -1), margin=0.2)",
        Array((5, 7), low=0.125, high=4),
        Array((5, 7), low=0.125, high=4),
        FLAG_ROW,
    ),
    (
        "F.cosine_similarity(x, y)",
        Array((5, 7), low=0.125, high=64),
        Array((5, 7), low=-64, high=-0.125),
    ),
    ("F.cosine_similarity(x, y, dim=0)", AWAY, AWAY),
    ("F.cross_entropy(x, y)", X, CLASSES),
    ("F.cross_entropy(x, y, reduction='none')", X, CLASSES),
    ("F.cross_entropy(x, y, weight=z)", X, CLASSES, WEIGHTS),
    ("F.cross_entropy(x, y, label_smoothing=0.1, reduction='sum')", X, CLASSES),
    ("F.cross_entropy(x, y)  # of probabilities", X, Array((5, 7), kind="probabilities")),
    ("F.cross_entropy(x, y, ignore_index=1, reduction='sum')", X, CLASSES),
    (
        f"F.ctc_loss(F.log_softmax(x, 2), {TARGETS}, (len(x),) * 2, (3, 3))",
        Array((6, 2, 4), low=-8, high=8),
    ),
    (
        "F.gaussian_nll_loss(x, y, z)",
        SMALL,
        SMALL,
        Array((5, 7), low=0.125, high=8),
    ),
    (
        "F.gaussian_nll_loss(x, y, z, full=True, reduction='none')",
        SMALL,
        SMALL,
        Array((5, 1), low=0.125, high=8),
    ),
    (f"F.hinge_embedding_loss(x, {SIGNS}, margin=0.5)", X, FLAGS),
    ("F.huber_loss(x, y, delta=0.5)", X, X),
    ("F.huber_loss(x, y, reduction='none')", X, X),
    ("F.kl_div(x, y, reduction='batchmean')", X, Array((5, 7), low=2**-20, high=1)),
    ("F.kl_div(x, y, log_target=True, reduction='sum')", X, SMALL),
    ("F.l1_loss(x, y)", X, X),
    ("F.l1_loss(x, y, reduction='sum')", X, X),
    ("F.linear_cross_entropy(x, y, z)", Array((5, 4)), Array((7, 4)), CLASSES),
    (
        "F.margin_ranking_loss(x, y, torch.where(z, 1, -1), margin=0.5)",
        Array((5,)),
        Array((5,)),
        FLAG_ROW,
    ),
    ("F.mse_loss(x, y)", X, X),
    ("F.mse_loss(x, y, reduction='sum')", X, X),
    ("F.mse_loss(x, y, reduction='none', weight=z)", X, X, FROM_ZERO),
    ("F.multi_margin_loss(x, y)", X, CLASSES),
    ("F.multi_margin_loss(x, y, p=2, margin=0.5, reduction='sum')", X, CLASSES),
    ("F.multilabel_margin_loss(x, torch.tensor([[1, 0, -1, 2], [3, -1, 1, 1]]))", Array((2, 4))),
    ("F.multilabel_soft_margin_loss(x, y)", X, INNER),
    ("F.nll_loss(x, y)", X, CLASSES),
    ("F.nll_loss(x, y, weight=z)", X, CLASSES, WEIGHTS),
    ("F.pairwise_distance(x, y)", X, X),
    ("F.pairwise_distance(x, y, p=1, keepdim=True)", X, X),
    ("F.pdist(x)", Array((4, 3))),
    ("F.pdist(x, p=1)", Array((4, 3))),
    ("F.poisson_nll_loss(x, y)", SMALL, FROM_ZERO),
    ("F.poisson_nll_loss(x, y, log_input=False, reduction='sum')", FROM_ZERO, FROM_ZERO),
    ("F.poisson_nll_loss(x, y, full=True)", SMALL, Array((5, 7), low=1.125)),
    ("F.smooth_l1_loss(x, y)", X, X),
    ("F.smooth_l1_loss(x, y, beta=0.25, reduction='none')", X, X),
    ("F.smooth_l1_loss(x, y, beta=0.0)", X, X),
    (f"F.soft_margin_loss(x, {SIGNS})", X, FLAGS),
    ("F.triplet_margin_loss(x, y, z)", TINY, TINY, TINY),
    ("F.triplet_margin_loss(x, y, z, p=1, swap=True, reduction='sum')", TINY, TINY, TINY),
    (
        f"F.triplet_margin_with_distance_loss(x, y, z, distance_function={DISTANCE})",
        TINY,
        TINY,
        TINY,
    ),
]

FUNCTIONS = functions("torch", ACTIVATIONS + LAYERS + LOSSES)
