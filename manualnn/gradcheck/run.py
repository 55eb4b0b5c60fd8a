"""The run of a gradcheck: points are drawn and judged, and what is wrong is explained."""

import fnmatch
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np

from manualnn.gradcheck.behaviour import CHECKS, SHAPE
from manualnn.gradcheck.data import CheckResult, Point
from manualnn.gradcheck.diagnosis.findings import Judged, explained, failed_call, wrong_sum
from manualnn.gradcheck.functions.base import (
    Function,
    FunctionFailed,
    Unsupported,
)
from manualnn.gradcheck.inputs.array import Array
from manualnn.gradcheck.inputs.draws import draw_cotangents, draw_points
from manualnn.gradcheck.inputs.shapes import broadcast_shapes, vary_shapes
from manualnn.gradcheck.judge.compare import CONFIRMATIONS, Confirmed, Judge, Judgement
from manualnn.gradcheck.reference.jacobian import Reference
from manualnn.output.progress_bar import find_tqdm

POINTS = 24
"""Points of the given shapes."""
LARGE = 4096
"""Number of free parameters above which a sixth of the points is drawn, with two cotangents."""
MANY = 300
"""Number of free parameters from which other shapes get one point with one cotangent, not two."""
SHAPES_OF_JAX = 4
"""Largest number of other shapes for JAX, which compiles the function for each of them."""
BEHAVIOUR_POINTS = 3
"""Points of the checks of more than values."""
ENOUGH = 10
"""Points of one check of a function that is wrong for sure, and whose Jacobian is dense."""
FEW_COLORS = 4
"""Largest number of colors of a Jacobian that is not dense."""
COLORS_OF_ALL = 1500
"""Largest number of colors, over all points and cotangents, of a check beyond ENOUGH of them."""
EXPLAINED = 40
"""Largest number of judged points that the explanation of a failure gets."""
ALL_COTANGENTS: tuple[str, ...] = ()
FEW_COTANGENTS: tuple[str, ...] = ("normal", "magnitudes 2^±6")
"""Cotangents of points after the first ones."""

VALUES = "the gradient is Jᵀw, with J from the function's own values"
SHAPES = "the same for other sizes, where the function takes them"


class Run:
    """The state of one run over one function."""

    def __init__(
        self,
        function: Function,
        specs: Sequence[Array],
        *,
        kinks: Mapping[float, float],
        seed: int = 0,
        only: Sequence[str] = (),
        prefix: str = "",
    ) -> None:
        self.function, self.specs = function, list(specs)
        self.kinks, self.seed, self.only, self.prefix = dict(kinks), seed, only, prefix
        self.results: list[CheckResult] = []
        self.judgements: list[Judgement] = []
        self.bar: Any = None
        """The progress bar, which counts the judged points; None: there is none."""
        self._confirmed = Confirmed()
        self._judged: list[tuple[CheckResult, list[tuple[Judge, Judged]]]] = []
        """Checks that are not explained yet."""

    @contextmanager
    def show_progress(self, wanted: bool | None) -> Iterator[None]:  # noqa: FBT001
        """Show the progress of the run on standard error; None: only on a terminal."""
        tqdm = None if wanted is False else find_tqdm(wanted)
        if tqdm is None:
            yield
            return
        with tqdm(unit=" points", leave=False) as self.bar:
            yield

    def _count(self, check: str) -> None:
        if self.bar is not None:
            self.bar.set_description(check, refresh=False)
            self.bar.update()

    def wants(self, name: str) -> bool:
        """Return True if a check is to run."""
        full = self.prefix + name
        return not self.only or any(fnmatch.fnmatchcase(full, p) for p in self.only)

    def rng(self, name: str) -> np.random.Generator:
        """Return the random generator of one check: it does not depend on which others run."""
        return np.random.default_rng([self.seed, zlib.crc32(name.encode())])

    def check_values(self, examples: int | None = None) -> None:
        """Judge the gradients at points of the given shapes."""
        if not self.wants("values"):
            return
        count = examples or (POINTS if free_size(self.specs) <= LARGE else POINTS // 6)
        points = draw_points(self.specs, self.rng("values"), count)
        result, _ = self.judge_points("values", VALUES, [(self.specs, p) for p in points])
        if not result.findings and not result.entries:
            result.status, result.reason = "not_judged", "no derivative could be decided"
        self.results.append(result)

    def check_shapes(self) -> None:
        """Judge the gradients at points of other shapes."""
        if not self.wants("shapes"):
            return
        rng = self.rng("shapes")
        shapes = vary_shapes(self.specs)
        if self.function.framework == "jax":
            shapes = shapes[:SHAPES_OF_JAX]
        points = [
            (specs, point)
            for specs in [*shapes, *self._broadcast()]
            for point in draw_points(specs, rng, 1 if free_size(specs) > MANY else 2)
        ]
        result, _ = self.judge_points("shapes", SHAPES, points)
        if not result.findings and not result.entries:
            result.status = "not_claimed"
            result.reason = result.reason or "the function takes no other sizes"
        self.results.append(result)

    def _broadcast(self) -> list[list[Array]]:
        """Return inputs of which one has an axis of size 1, if the gradients have such shapes.

        A right function of equal shapes need not sum over broadcast axes. torch and JAX sum for it.
        """
        taken: list[list[Array]] = []
        if self.function.framework in {"torch", "jax"}:
            return taken
        for specs in broadcast_shapes(self.specs):
            bare = draw_points(specs, self.rng("shapes"), 1)[0]
            for point in self._with_cotangents(bare, ("normal",)):
                try:
                    gradients = self.function.vjp(point.arrays, point.cotangents)
                except FunctionFailed:
                    continue
                shapes = [spec.shape for spec in specs if spec.is_differentiable]
                if [np.shape(gradient) for gradient in gradients] == shapes:
                    taken.append(specs)
        return taken

    def check_behaviour(self) -> None:
        """Run the checks of more than values."""
        bare = draw_points(self.specs, self.rng("behaviour"), BEHAVIOUR_POINTS)
        points = [point for p in bare for point in self._with_cotangents(p, ("normal",))]
        self._check_behaviour(points)

    def _check_behaviour(self, points: Sequence[Point]) -> None:
        for check in CHECKS:
            if not self.wants(check.id):
                continue
            result = CheckResult(self.prefix + check.id, check.sentence)
            result.reason = check.reason_not_claimed(self.function)
            for point in points if not result.reason else []:
                try:
                    finding = check.judge(self.function, point, self.rng(check.id))
                except Unsupported as error:
                    result.reason = str(error)
                    continue
                result.points += 1
                self._count(result.id)
                if finding is not None:
                    result.findings.append(replace(finding, check=result.id))
                    result.status = "failed"
                    break
            if not result.points:
                result.status = "not_claimed"
            self.results.append(result)

    def resize(self, point: Point) -> None:
        """Give the inputs the shapes of a point."""
        self.specs = [
            spec if spec.shape == np.shape(a) else spec.resized(np.shape(a))
            for spec, a in zip(self.specs, point.arrays, strict=True)
        ]

    def rejudge(self, point: Point) -> None:
        """Judge one point by the wanted checks."""
        if self.wants("values") or self.wants("shapes"):
            self.resize(point)
            name = "values" if self.wants("values") else "shapes"
            result, _ = self.judge_points(name, VALUES, [(self.specs, point)])
            self.results.append(result)
        self._check_behaviour([point])

    def judge_points(
        self, name: str, sentence: str, points: Iterable[tuple[Sequence[Array], Point]]
    ) -> tuple[CheckResult, Judged]:
        """Return the result of a check over points, and all judgements."""
        result = CheckResult(self.prefix + name, sentence)
        judges: dict[int, tuple[Judge, Judged]] = {}
        for specs, bare in points:
            if id(specs) not in judges:
                reference = Reference(self.function, specs)
                judge = Judge(
                    self.function,
                    reference,
                    specs,
                    self.kinks,
                    is_second=bool(self.prefix),
                    confirmed=self._confirmed,
                )
                judges[id(specs)] = judge, []
            judge, judged = judges[id(specs)]
            if self._has_enough(judge.reference.colors(bare.arrays), result.points, len(judged)):
                continue
            names = ALL_COTANGENTS if len(judged) < EXPLAINED // 2 else FEW_COTANGENTS
            if free_size(specs) > LARGE:
                names = FEW_COTANGENTS
            if name == "shapes":
                names = FEW_COTANGENTS[: 1 if free_size(specs) > MANY else 2]
            for point in [bare] if bare.cotangents else self._with_cotangents(bare, names):
                try:
                    with np.errstate(all="ignore"):
                        judgement = judge.judge(point)
                except FunctionFailed as error:
                    self._note_failure(result, point, error)
                    continue
                if name == "values" and not judgement.compared and not result.findings:
                    found = SHAPE.judge(self.function, point, self.rng("shape"))
                    result.findings += [replace(found, check=result.id)] if found else []
                result.points += 1
                self._count(result.id)
                result.entries += judgement.compared
                self.judgements.append(judgement)
                judged.append((point, judgement))
        self._judged.append((result, list(judges.values())))
        return result, [pair for _, judged in judges.values() for pair in judged]

    def _has_enough(self, colors: int, points: int, of_shape: int) -> bool:
        """Return True if a further point of a dense function costs much, and tells little."""
        is_sure = self._confirmed.count >= CONFIRMATIONS
        if is_sure and colors > FEW_COLORS and points >= ENOUGH:
            return True
        enough = ENOUGH // 3 if self.prefix else ENOUGH
        return of_shape >= max(enough, COLORS_OF_ALL // max(1, colors))

    def _note_failure(self, result: CheckResult, point: Point, error: FunctionFailed) -> None:
        """Add the finding of a gradient that fails where the value does not, once."""
        if error.is_refusal and self.prefix:
            return
        if not self._is_usual(point):
            result.reason = f"at some sizes the gradient fails: {error.last_line:.200}"
        elif not any(f.details.get("trace") for f in result.findings):
            result.findings.append(failed_call(result.id, point, error))

    def _is_usual(self, point: Point) -> bool:
        """Return True for the given shapes, but for the number of samples along the first axis.

        A function may be meant for some sizes of other axes alone, without a check of them.
        """
        pairs = zip(self.specs, point.arrays, strict=True)
        return all(spec.shape[1:] == np.shape(a)[1:] for spec, a in pairs)

    def explain(self) -> None:
        """Add the findings of wrong gradients to the results, the first one in full.

        This waits until all shapes are judged, because those that are right say where it is wrong.
        """
        every = [pair for _, judges in self._judged for pair in judges]
        is_first = True
        for result, judges in self._judged:
            for judge, judged in judges:
                if any(judgement.wrong for _, judgement in judged):
                    others = [pair for pair in every if pair[0] is not judge]
                    result.findings += explained(result.id, judge, judged, others, not is_first)
                    is_first = False
                    break
            if not result.findings:
                result.findings += wrong_sum(result.id, judges)
            if result.findings:
                is_wrong = any(f.entries for f in result.findings)
                result.status = "failed" if is_wrong else "errored"
        self._judged.clear()

    def _with_cotangents(self, bare: Point, names: Sequence[str] = ()) -> list[Point]:
        """Return the point with each of the cotangents; none if the function fails there."""
        try:
            outputs = self.function.value(bare.arrays)
        except FunctionFailed:
            return []
        rng = self.rng("cotangents")
        shapes, dtypes = [o.shape for o in outputs], [str(o.dtype) for o in outputs]
        drawn = draw_cotangents(shapes, rng, dtypes)
        return [
            Point(bare.arrays, w, f"{bare.style}; cotangent: {name}")
            for name, w in drawn
            if not names or name in names
        ]


def free_size(specs: Sequence[Array]) -> int:
    """Return the number of free parameters of inputs."""
    return sum(spec.free_size(spec.shape) for spec in specs)
