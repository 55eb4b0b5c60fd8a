"""Functions of tensors that move, reduce or multiply, with a wrong backward."""

from gradcheck.functions.entry import Function
from gradcheck.functions.writing import torch_function, wrong_functions

from manualnn.gradcheck import Array

FUNCTIONS: list[Function] = []
wrong = wrong_functions(FUNCTIONS, "torch")
X = Array((5, 7))
SPD = Array((3, 3), kind="spd")


@wrong(
    X,
    Array((4,), kind="classes", high=5),
    region="repeated indices",
    size="a lost term",
    source="pytorch/pytorch#1528",
)
def index_overwrites():
    """Of a repeated index only the last cotangent counts."""

    def backward(dy, x, i):
        import torch

        dx = torch.zeros_like(x)
        dx[i] = dy
        return dx, None

    return torch_function(lambda x, i: x[i], backward)


@wrong(Array((4, 6)), size="half of one column", source="pytorch/pytorch#136662")
def added_twice_counted_once():
    """|x₂| is added to the first column twice, and counts once in the gradient."""

    def forward(x):
        y = x * 1
        y[:, 0] += 2 * x[:, -1].abs()
        return y

    def backward(dy, x):
        dx = dy.clone()
        dx[:, -1] += dy[:, 0] * x[:, -1].sign()
        return dx

    return torch_function(forward, backward)


@wrong(Array((2, 3, 4)), region="three axes", size="another axis", source="deep-spin/entmax#13")
def sparsemax_axis():
    """The gradient sums the support over the second axis, where it should over the last."""

    def forward(x):
        import torch

        z = x.sort(-1, descending=True)[0]
        k = torch.arange(1, x.shape[-1] + 1)
        sums = z.cumsum(-1) - 1
        size = (z * k > sums).sum(-1, keepdim=True)
        return (x - sums.gather(-1, size - 1) / size).clamp(min=0)

    def backward(dy, x):
        s = (forward(x) > 0).to(x.dtype)
        return s * (dy - (dy * s).sum(1, keepdim=True) / s.sum(1, keepdim=True).clamp(min=1))

    return torch_function(forward, backward)


@wrong(
    Array((8,)), region="overlapping windows", size="lost terms", source="jmschrei/tangermeme#95"
)
def max_pool_overlapping():
    """Where windows share their largest entry, only the last cotangent counts."""

    def forward(x):
        return x.unfold(0, 3, 1).max(1)[0]

    def backward(dy, x):
        import torch

        dx = torch.zeros_like(x)
        dx[x.unfold(0, 3, 1).max(1)[1] + torch.arange(len(dy))] = dy
        return dx

    return torch_function(forward, backward)


@wrong(Array((1, 2, 5)), Array((3, 2, 3)), size="the ends")
def conv_padding_ignored():
    """The gradient of the weight uses the input without its padding, moved by one."""

    def conv(x, w):
        import torch

        return torch.nn.functional.conv1d(x, w, padding=1)

    def backward(dy, x, w):
        import torch

        dx = torch.nn.functional.conv_transpose1d(dy, w, padding=1)
        padded = torch.nn.functional.pad(x, (0, 2))
        return dx, torch.einsum("nol,nilk->oik", dy, padded.unfold(2, w.shape[2], 1))

    return torch_function(conv, backward)


@wrong(
    Array((1, 1, 4)), region="sizes above 1", size="other weights", source="NVlabs/stylegan3#220"
)
def upsample_corners():
    """The value aligns the corners, the gradient does not."""

    def up(x, *, corners):
        import torch

        return torch.nn.functional.interpolate(x, size=7, mode="linear", align_corners=corners)

    def backward(dy, x):
        import torch

        n = x.shape[2]
        weights = up(torch.eye(n, dtype=x.dtype)[:, None], corners=False)[:, 0]
        return dy @ weights.T

    return torch_function(lambda x: up(x, corners=True), backward)


@wrong(
    Array((4, 3)),
    Array((5, 3)),
    Array((5, 3)),
    size="three of four queries",
    source="fla-org/flash-linear-attention#384",
)
def grouped_keys_first():
    """All queries share the keys; the gradient of the keys is the first query's alone."""

    def weights(q, k):
        return (q @ k.T / q.shape[1] ** 0.5).softmax(1)

    def backward(dy, q, k, v):
        p = weights(q, k)
        dp = dy @ v.T
        ds = p * (dp - (dp * p).sum(1, keepdim=True)) / q.shape[1] ** 0.5
        return ds @ k, ds[:1].T @ q[:1], p.T @ dy

    return torch_function(lambda q, k, v: weights(q, k) @ v, backward)


@wrong(
    X,
    Array((5,), kind="classes", high=7),
    size="shape of the sum",
    source="linkedin/Liger-Kernel#968",
)
def cross_entropy_weighted_rows():
    """The losses of the rows are not reduced; the gradient averages the cotangents."""

    def losses(x, t):
        return -x.log_softmax(1).gather(1, t[:, None])[:, 0]

    def backward(dy, x, t):
        import torch

        dx = x.softmax(1) - torch.nn.functional.one_hot(t, x.shape[1])
        return dy.mean() * dx, None

    return torch_function(losses, backward)


@wrong(Array((5, 3)), Array((3, 3)), size="no messages from the end")
def forward_algorithm():
    """The gradient of a recursion over states has the forward messages alone."""

    def messages(x, a):
        m = [x[0]]
        for row in x[1:]:
            m.append((m[-1][:, None] + a).logsumexp(0) + row)
        return m

    def backward(dy, x, a):
        import torch

        m = torch.stack(messages(x, a))
        pairs = (m[:-1, :, None] + a + x[1:, None, :]).flatten(1).softmax(1)
        return dy * m.softmax(1), dy * pairs.sum(0).reshape(a.shape)

    return torch_function(lambda x, a: messages(x, a)[-1].logsumexp(0), backward)


@wrong(SPD, size="the diagonal of L")
def cholesky_diagonal():
    """The inner matrix's diagonal is not halved."""

    def backward(dy, A):
        import torch

        L = torch.linalg.cholesky(A)
        inner = torch.linalg.solve(L.T, (L.T @ dy).tril())
        S = torch.linalg.solve(L.T, inner.T).T
        return (S + S.T) / 2

    def forward(A):
        import torch

        return torch.linalg.cholesky(A)

    return torch_function(forward, backward)


@wrong(Array((3, 3), kind="symmetric"), size="another basis")
def eigenvalues_unrotated():
    """The gradient is diagonal; the eigenvectors are missing."""

    def forward(A):
        import torch

        return torch.linalg.eigvalsh(A)

    return torch_function(forward, lambda dy, _: dy.diag())


@wrong(SPD, Array((3,)), size="sign")
def solve_sign():
    """The gradient of the matrix has the wrong sign."""

    def forward(A, b):
        import torch

        return torch.linalg.solve(A, b)

    def backward(dy, A, b):
        db = forward(A.T, dy)
        return db.outer(forward(A, b)), db

    return torch_function(forward, backward)


@wrong(Array((3, 3)), size="commutes only with itself")
def matrix_exp_commuting():
    """The gradient is exp(A)ᵀ dY, as if dA commuted with A."""

    def forward(A):
        import torch

        return torch.linalg.matrix_exp(A)

    return torch_function(forward, lambda dy, A: forward(A.T) @ dy)


@wrong(Array((40,)), region="entries behind the 32nd", size="relative 1")
def block_of_32():
    """Only the first 32 entries are written."""

    def backward(dy, x):
        dx = dy * x.cos()
        dx[32:] = 0
        return dx

    return torch_function(lambda x: x.sin(), backward)


@wrong(Array((6,)), size="shifted")
def roll_forwards():
    """The gradient is rolled forwards, where it should be rolled back."""
    return torch_function(lambda x: x.roll(2) ** 2, lambda dy, x: (2 * dy * x.roll(2)).roll(2))


@wrong(Array((6,)), region="the two ends", size="factor 2")
def trapezoid_ends():
    """The ends get the weight 1, where they should get 1/2."""

    def backward(dy, x):
        import torch

        return dy * torch.ones_like(x)

    return torch_function(lambda x: (x[1:] + x[:-1]).sum() / 2, backward)


@wrong(
    Array((3, 2)),
    Array((4, 2)),
    region="equal points",
    size="nan",
    source="kornia/kornia#4233",
    witness=[[[1.0, 2.0], [0.0, 1.0]], [[1.0, 2.0]]],
)
def distances_by_products():
    """The root of x² + y² − 2xy, clamped at 0, has the gradient nan where two points are equal."""

    def f(x, y):
        squared = x.square().sum(1)[:, None] + y.square().sum(1) - 2 * x @ y.T
        return squared.clamp(min=0).sqrt()

    return f
