"""Right torch.autograd.Functions, modules of torch.nn, and functions with a fixed seed."""

from gradcheck.functions.expressions import functions, objects

from manualnn.gradcheck import Array

X = Array((5, 7))
ROW = Array((7,))
SMALL = Array((5, 7), low=-30, high=30)
FROM_ZERO = Array((5, 7), low=0)
TINY = Array((3, 4), low=-4, high=4)
SEQUENCE = Array((5, 2, 4), low=-4, high=4)
SPD = Array((4, 4), kind="spd")
CLASSES = Array((5,), kind="classes", high=7, dtype="int64")
SIGNAL = Array((2, 3, 8))
SINGLE = Array((5, 7), dtype="float32")
HEADS = Array((2, 4, 3)), Array((2, 4, 3)), Array((2, 4, 5))

WRITTEN = [
    ("Attention.apply", *HEADS),
    ("BroadcastProduct.apply", X, ROW),
    ("Cholesky.apply", SPD),
    ("ClampOfTheEnds.apply", X),
    ("Convolution.apply", SIGNAL, Array((4, 3, 3))),
    ("CumulativeMax.apply", X),
    ("FusedCrossEntropy.apply", X, CLASSES),
    ("Gelu.apply", X),
    ("Gelu", X),
    ("Identity.apply", X),
    ("LinearWithSum.apply", TINY, Array((2, 4)), Array((2,))),
    ("LogSumExp.apply", X),
    ("LookUp.apply", X, Array((2, 3), kind="classes", high=5, dtype="int64")),
    ("MaxPoolToTheFirst.apply", X),
    ("NormWithSlopeZero.apply", X),
    ("OneOfTwo.apply", SMALL),
    ("ProductWithZeros.apply", SMALL),
    ("Rotary.apply", Array((2, 5, 6))),
    ("SiluOnce.apply", X),
    ("SinCos.apply", SMALL),
    ("Sinc.apply", SMALL),
    ("Softmax.apply", X),
    ("SoftplusWithThreshold.apply", X),
    ("Solve.apply", SPD, Array((4, 2))),
    ("Sort.apply", X),
    ("SqrtWithEps.apply", FROM_ZERO),
    ("TanhByItsOutput.apply", X),
    ("XLogY.apply", FROM_ZERO, Array((5, 7), kind="positive")),
    ("checkpointed", TINY, Array((4, 2), low=-4, high=4)),
    ("safe_entropy", FROM_ZERO),
    ("torch.compile(torch.tanh, backend='eager')", X),
    ("torch.vmap(torch.dot)", X, X),
    ("torch.func.grad(lambda x: torch.sin(x).sum())", SMALL),
    ("Gelu.apply", SINGLE),
    ("LogSumExp.apply", SINGLE),
]

MODULES = [
    ("module('BatchNorm1d', 7)", X),
    ("module('BatchNorm1d', 7, train=True)", SMALL),
    ("module('BatchNorm2d', 2, affine=False, train=True)", Array((2, 2, 3, 2), low=-4, high=4)),
    ("module('Bilinear', 4, 3, 2)", TINY, Array((3, 3))),
    ("module('Conv2d', 2, 3, (2, 3), padding=1)", Array((1, 2, 4, 5))),
    ("module('ConvTranspose1d', 3, 2, 3, stride=2)", SIGNAL),
    ("module('CosineSimilarity')", Array((5, 7), low=1, high=8), Array((5, 7), low=1, high=8)),
    ("module('CrossEntropyLoss', label_smoothing=0.1)", X, CLASSES),
    ("module('Embedding', 5, 3)", Array((2, 4), kind="classes", high=5, dtype="int64")),
    ("module('GRU', 4, 3)", SEQUENCE),
    ("module('GRUCell', 4, 3)", TINY, Array((3, 3), low=-4, high=4)),
    ("module('GroupNorm', 2, 4)", Array((2, 4, 3), low=-4, high=4)),
    ("module('InstanceNorm1d', 3, affine=True)", SIGNAL),
    ("module('LSTM', 4, 3, bidirectional=True)", SEQUENCE),
    ("module('LSTMCell', 4, 3)", TINY),
    ("module('LayerNorm', 7)", X),
    ("module('Linear', 4, 2)", TINY),
    ("module('MultiheadAttention', 4, 2)", SEQUENCE, SEQUENCE, SEQUENCE),
    ("module('PReLU', 7)", X),
    ("module('RMSNorm', 7)", X),
    ("module('RNN', 4, 3)", SEQUENCE),
    ("module('RNNCell', 4, 3, nonlinearity='relu')", TINY),
    ("module('TransformerEncoderLayer', 4, 2, 6)", SEQUENCE),
    ("module('TransformerDecoderLayer', 4, 2, 6, activation='gelu')", SEQUENCE, SEQUENCE),
    ("torch.nn.Sequential(module('Linear', 4, 5), torch.nn.Tanh(), module('Linear', 5, 2))", TINY),
]

CALLED = [
    ("Power.apply(x, 3)", X),
    ("ReluInPlace.apply(x.clone())", X),
    ("ReluInPlace.apply(x * 1)", X),
    ("TopK.apply(x, 3)", X),
    ("SoftplusWithThreshold.apply(x, 5.0)", X),
    ("LayerNorm.apply(x, y, z, 1e-5)", X, ROW, ROW),
    ("LayerNorm.apply(x, y, z, 1e-5)  # large mean", Array((5, 7), low=1e4, high=10004), ROW, ROW),
    ("seeded(F.dropout, x, 0.4)", X),
    ("seeded(F.gumbel_softmax, x, 0.5)", SMALL),
    ("seeded(F.rrelu, x, training=True)", X),
    ("(x.clone().mul_(2) + x).relu_()", X),
    ("torch.linalg.vector_norm(x + y, dim=1)", X, Array((5, 7), low=1e-3)),
    ("x.std(1) / x.mean(1)", Array((5, 7), low=1, high=64)),
    ("torch.logsumexp(x.masked_fill(y, -1e30), 1)", X, Array((5, 7), kind="boolean", dtype="bool")),
    ("-(x * x.log()).sum(-1)", Array((5, 7), kind="probabilities")),
    ("torch.diff(x, dim=1).square()", Array((3, 5), kind="sorted")),
]

FUNCTIONS = [
    *objects("torch", WRITTEN),
    *objects("torch", MODULES),
    *functions("torch", CALLED),
]
