"""Reductions, indexing, rearrangement, and linear algebra of torch and torch.linalg.

Left out: functions whose value is not unique, so that it is no function of its input
(eigenvectors, singular vectors, `lobpcg`, `svd_lowrank`, `pca_lowrank`, `linalg.eig`, `lu`); those
without a derivative (`argsort`, `bucketize`, `matrix_rank`, `ldl_solve`); complex ones
(`fft.fft`, `stft`; `rfft` is in by its real view); sparse ones; `empty` and other constants;
`*_copy`, `unsafe_*`, `aten._*` and `masked.*`, which compose or alias functions that are in.
"""

from gradcheck.functions.expressions import functions

from manualnn.gradcheck import Array

X = Array((5, 7))
ROW = Array((7,))
SMALL = Array((5, 7), low=-30, high=30)
AWAY = Array((5, 7), low=0.125, high=64)
UNIT = Array((5, 7), low=0, high=1)
VECTOR = Array((4,))
SQUARE = Array((4, 4))
TAME = Array((4, 4), low=-1, high=1)
SYMMETRIC = Array((4, 4), kind="symmetric")
SPD = Array((4, 4), kind="spd")
CUBE = Array((2, 3, 4))
SINGLE = Array((5, 7), dtype="float32")
HALF = Array((5, 7), dtype="bfloat16")
ROWS_OF_X = Array((6,), kind="classes", high=5, dtype="int64")
ENTRIES = Array((3, 7), kind="classes", high=5, dtype="int64")
COLUMNS = Array((5, 4), kind="classes", high=7, dtype="int64")
REGULAR = "x + 6 * torch.eye(4, dtype=x.dtype)"
"""With entries in [-1, 1]: diagonally dominant, so that it is never singular."""

REDUCTIONS = [
    ("torch.amax(x, 1)", X),
    ("torch.amin(x, (0, 1))", X),
    ("torch.aminmax(x, dim=0)", X),
    ("torch.cdist(x, y)", Array((3, 4)), Array((5, 4))),
    ("torch.cdist(x, y, p=1)", Array((3, 4)), Array((5, 4))),
    ("torch.cdist(x, y, p=3)", Array((3, 4), low=0.125, high=4), Array((5, 4), low=5, high=9)),
    ("torch.cdist(x, y, p=float('inf'))", Array((3, 4)), Array((5, 4))),
    ("torch.corrcoef(x)", Array((3, 6), low=-8, high=8)),
    ("torch.cov(x, correction=0)", Array((3, 6))),
    ("torch.cummax(x, 1)", X),
    ("torch.cummin(x, 0)", X),
    ("torch.cumprod(x, 1)", X),
    ("torch.cumsum(x, 0)", X),
    ("torch.cumulative_trapezoid(x, y)", X, ROW),
    ("torch.diff(x, n=2, prepend=y)", X, Array((5, 1))),
    ("torch.dist(x, y, 2)", AWAY, Array((5, 7), high=0)),
    ("torch.gradient(x, spacing=0.5)", X),
    ("torch.kthvalue(x, 2, dim=0)", X),
    ("torch.logcumsumexp(x, 1)", X),
    ("torch.logsumexp(x, (0, 1))", X),
    ("torch.logsumexp(x, 1, keepdim=True)", X),
    ("torch.max(x)", X),
    ("torch.max(x, 0)", X),
    ("torch.mean(x)", X),
    ("torch.mean(x, 1, keepdim=True)", X),
    ("torch.median(x)", X),
    ("torch.median(x, 1)", X),
    ("torch.min(x, 1, keepdim=True)", X),
    ("torch.mode(x, 1)", X),
    ("torch.msort(x)", X),
    ("torch.nanmean(x, 1)", X),
    ("torch.nanmedian(x, 0)", X),
    ("torch.nanquantile(x, 0.3, dim=0)", X),
    ("torch.nansum(x, 0)", X),
    ("torch.norm(x)", X),
    ("torch.norm(x, p=1, dim=1)", X),
    ("torch.norm(x, p=3, dim=0)", AWAY),
    ("torch.prod(x)", SMALL),
    ("torch.prod(x, 1, keepdim=True)", SMALL),
    ("torch.quantile(x, torch.tensor([0.1, 0.5, 1], dtype=x.dtype), dim=1)", X),
    ("torch.quantile(x, 0.4, interpolation='nearest')", X),
    ("torch.renorm(x, 2, 0, 1.5)", AWAY),
    ("torch.sort(x, descending=True)", X),
    ("torch.std(x)", SMALL),
    ("torch.std(x, 1, correction=0)", SMALL),
    ("torch.std_mean(x, 0)", SMALL),
    ("torch.sum(x)", X),
    ("torch.sum(x, 0, keepdim=True)", X),
    ("torch.topk(x, 3)", X),
    ("torch.topk(x, 2, dim=0, largest=False)", X),
    ("torch.trace(x)", SQUARE),
    ("torch.trapezoid(x, dx=0.5)", X),
    ("torch.var(x)", X),
    ("torch.var(x, 0, correction=2)", X),
    ("torch.var_mean(x, 1, keepdim=True)", X),
    ("torch.logsumexp(x, 1)", SINGLE),
    ("torch.cumsum(x, 1)", SINGLE),
    ("torch.sum(x)", HALF),
]

INDEXING = [
    ("torch.as_strided(x, (2, 4), (1, 2))", Array((16,))),
    ("torch.block_diag(x, y)", Array((2, 3)), Array((1, 2))),
    ("torch.broadcast_to(x, (3, 5, 7))", X),
    ("torch.cartesian_prod(x, y)", Array((3,)), Array((2,))),
    ("torch.cat((x, y, x), 0)", X, Array((2, 7))),
    ("torch.chunk(x, 2, 1)", X),
    ("torch.combinations(x)", VECTOR),
    ("torch.diag(x, 1)", VECTOR),
    ("torch.diag_embed(x, offset=-1)", X),
    ("torch.diagonal(x, 1)", X),
    ("torch.diagonal_scatter(x, y)", SQUARE, VECTOR),
    ("torch.flip(x, (0, 1))", X),
    ("torch.gather(x, 0, y)", X, ENTRIES),
    ("torch.index_add(x, 0, z, y, alpha=2)", X, Array((6, 7)), ROWS_OF_X),
    ("torch.index_copy(x, 0, torch.tensor([2, 0]), y)", X, Array((2, 7))),
    ("torch.index_fill(x, 1, torch.tensor([1, 3]), 2.0)", X),
    ("torch.index_put(x, (z,), y, accumulate=True)", X, Array((6, 7)), ROWS_OF_X),
    ("torch.index_reduce(x, 0, torch.tensor([2, 0, 2]), y, 'amax')", X, Array((3, 7))),
    ("torch.index_reduce(x, 0, torch.tensor([2, 0, 2]), y, 'prod')", AWAY, Array((3, 7), low=1)),
    ("torch.index_select(x, 0, y)", X, ROWS_OF_X),
    ("torch.kron(x, y)", Array((2, 3)), Array((3, 2))),
    ("torch.masked_fill(x, y, 3.0)", X, Array((5, 7), kind="boolean", dtype="bool")),
    ("torch.masked_scatter(x, z, y)", X, X, Array((5, 7), kind="boolean", dtype="bool")),
    ("torch.masked_select(x, x.detach() > -1e300)", X),
    ("torch.meshgrid(x, y, indexing='ij')", Array((3,)), Array((2,))),
    ("torch.movedim(x, 0, 2)", CUBE),
    ("torch.narrow(x, 1, 2, 3)", X),
    ("torch.outer(x, y)", ROW, VECTOR),
    ("torch.permute(x, (2, 0, 1)).contiguous()", CUBE),
    ("torch.put(x, torch.tensor([3, 9]), y)", X, Array((2,))),
    ("torch.repeat_interleave(x, torch.tensor([1, 0, 3, 2, 1]), 0)", X),
    ("torch.roll(x, (1, -2), (0, 1))", X),
    ("torch.rot90(x, 3)", X),
    ("torch.scatter(x, 1, torch.tensor([[1, 3], [0, 2]]), y)", X, Array((2, 2))),
    ("torch.scatter_add(x, 0, z, y)", X, Array((3, 7)), ENTRIES),
    ("torch.scatter_reduce(x, 0, z, y, 'amin')", X, Array((3, 7)), ENTRIES),
    ("torch.scatter_reduce(x, 0, z, y, 'mean', include_self=False)", X, Array((3, 7)), ENTRIES),
    ("torch.scatter_reduce(x, 0, z, y, 'sum')", X, Array((3, 7)), ENTRIES),
    ("torch.select(x, 1, 2) * torch.select_scatter(x, y, 1, 0)[:, 0]", X, Array((5,))),
    ("torch.slice_scatter(x, y, 1, 1, 7, 2)", X, Array((5, 3))),
    ("torch.stack((x, y), 1)", X, X),
    ("torch.take(x, y)", X, Array((4,), kind="classes", high=35, dtype="int64")),
    ("torch.take_along_dim(x, y, 1)", X, COLUMNS),
    ("torch.tile(x, (2, 3))", X),
    ("torch.tril(x, -1) + torch.triu(x, 2)", X),
    ("x.unfold(1, 3, 2)", X),
    ("x.expand(3, 5, 7) * 2", X),
    ("x.repeat(2, 1, 2)", X),
    ("x[:, [0, 0, 3]] + x[:, ::3]", X),
    ("torch.view_as_real(torch.fft.rfft(x))", X),
    ("torch.fft.irfft(torch.view_as_complex(x), 6)", Array((2, 4, 2))),
]

PRODUCTS = [
    ("torch.addbmm(x, y, z, beta=0.5)", Array((3, 5)), CUBE, Array((2, 4, 5))),
    ("torch.addmm(x, y, z, alpha=2)", Array((5,)), Array((3, 4)), Array((4, 5))),
    ("torch.addmv(x, y, z)", Array((3,)), Array((3, 4)), VECTOR),
    ("torch.addr(x, y, z)", Array((3, 4)), Array((3,)), VECTOR),
    ("torch.baddbmm(x, y, z)", Array((2, 3, 5)), CUBE, Array((2, 4, 5))),
    ("torch.bmm(x, y)", CUBE, Array((2, 4, 5))),
    ("torch.cross(x, y, dim=1)", Array((4, 3)), Array((4, 3))),
    ("torch.dot(x, y)", ROW, ROW),
    ("torch.einsum('bij,bj,k->bik', x, y, z)", CUBE, Array((2, 4)), Array((3,))),
    ("torch.einsum('ii->i', x)", SQUARE),
    ("torch.inner(x, y)", X, Array((3, 7))),
    ("torch.matmul(x, y)", X, ROW),
    ("torch.matmul(x, y)  # broadcast", CUBE, Array((4, 2))),
    ("torch.mm(x, y)", X, Array((7, 3))),
    ("torch.mv(x, y)", X, ROW),
    ("torch.tensordot(x, y, 2)", CUBE, Array((3, 4, 2))),
    ("torch.vdot(x, y)", ROW, ROW),
    ("torch.mm(x, y)", SINGLE, Array((7, 3), dtype="float32")),
]

ALGEBRA = [
    ("L.cholesky(x)", SPD),
    ("torch.cholesky_inverse(L.cholesky(x))", SPD),
    ("torch.cholesky_solve(y, L.cholesky(x))", SPD, Array((4, 2))),
    ("L.cond(x)", SPD),
    ("L.cross(x, y)", Array((4, 3)), Array((1, 3))),
    ("L.det(x)", SQUARE),
    (f"L.det({REGULAR})", TAME),
    ("L.eigvalsh(x)", SYMMETRIC),
    ("L.eigh(x)[0]", SPD),
    ("L.householder_product(x, y)", Array((4, 3)), Array((3,))),
    (f"L.inv({REGULAR})", TAME),
    ("L.inv(x)", SPD),
    (f"L.lstsq(torch.cat(({REGULAR}, y)), z).solution", TAME, Array((2, 4)), Array((6, 2))),
    (f"L.lu_solve(*L.lu_factor({REGULAR}), y)", TAME, Array((4, 2))),
    ("torch.logdet(x)", SPD),
    ("L.matrix_exp(x)", TAME),
    ("L.matrix_norm(x)", AWAY),
    ("L.matrix_norm(x, 1)", X),
    ("L.matrix_norm(x, 2)", SPD),
    ("L.matrix_norm(x, 'nuc')", SPD),
    ("L.matrix_norm(x, float('inf'))", X),
    ("L.matrix_power(x, 3)", SQUARE),
    (f"L.matrix_power({REGULAR}, -2)", TAME),
    ("L.multi_dot((x, y, z))", X, Array((7, 3)), Array((3, 4))),
    ("L.norm(x, 2, dim=1)", X),
    ("L.vector_norm(x, 3)", AWAY),
    ("L.vector_norm(x, 0.5)", AWAY),
    ("L.vector_norm(x, float('inf'))", X),
    ("L.vector_norm(x, -float('inf'), dim=1)", X),
    (f"L.pinv({REGULAR})", TAME),
    (f"L.qr({REGULAR}).R.abs()", TAME),
    (f"L.slogdet({REGULAR})", TAME),
    (f"L.solve({REGULAR}, y)", TAME, Array((4, 2))),
    ("L.solve(x, y)", SPD, Array((4, 2))),
    (
        f"L.solve_triangular({REGULAR}, y, upper=True)",
        TAME,
        Array((4, 2)),
    ),
    ("L.svdvals(x)", Array((3, 5))),
    (f"L.tensorinv(({REGULAR}).reshape(2, 2, 4), ind=2)", TAME),
    (f"L.tensorsolve(({REGULAR}).reshape(2, 2, 4), y)", TAME, Array((2, 2))),
    ("L.vander(x, N=4)", Array((5,))),
    ("L.vecdot(x, y)", X, ROW),
    ("L.diagonal(x, offset=1)", SQUARE),
]

FUNCTIONS = functions("torch", REDUCTIONS + INDEXING + PRODUCTS + ALGEBRA)
