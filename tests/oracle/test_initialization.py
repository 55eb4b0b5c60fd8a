"""Claimed initial values are judged as distributions: right ones pass, known mistakes are named."""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from manualnn.engine import INITIAL
from manualnn.engine import Engine as Ours
from manualnn.errors import OracleError
from manualnn.oracle.checks.initialization import ALPHA, judge_init
from manualnn.oracle.engines.client import connect
from manualnn.oracle.findings import CheckResult
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.initialization import ROWS, entries_of, read_spec
from manualnn.oracle.runner import check_engine

CLAIMS: dict[str, Any] = {"layers": ["Linear"], "losses": ["MSELoss"]}
Draw = Callable[[Any, tuple[int, int], dict[str, Any]], Any]


def engine(draw: Draw, spec: Any, **claims: Any) -> Any:
    """Return an engine that draws weights with a generator of the seed."""

    class Drawing:
        def capabilities(self) -> dict[str, Any]:
            return {**CLAIMS, "init": [spec], **claims}

        def step(self, case: Any) -> Any:
            raise NotImplementedError

        def init(self, given: dict[str, Any], shape: tuple[int, int], seed: int) -> Any:
            return draw(np.random.default_rng(seed), shape, given)

    return Drawing


def judged(draw: Draw, spec: Any, seed: int = 0, **claims: Any) -> CheckResult:
    with connect(engine(draw, spec, **claims)) as client:
        return judge_init(client, read_spec(spec), seed)


def torchs(rng: Any, shape: tuple[int, int], spec: dict[str, Any]) -> Any:
    options = {name: value for name, value in spec.items() if name != "type"}
    name, more = spec["type"], {}
    if name.startswith("lecun"):
        name, more = name.replace("lecun", "kaiming"), {"nonlinearity": "linear"}
    torch.manual_seed(int(rng.integers(2**60)))
    drawn = getattr(torch.nn.init, f"{name}_")(torch.empty(shape), **options, **more)
    return drawn.numpy()


SPECS = [
    *INITIAL,
    {"type": "trunc_normal", "mean": 1.0, "std": 0.5, "a": 1.5, "b": 9.0},
    {"type": "kaiming_normal", "a": 1.0},
    {"type": "uniform", "a": -3.0, "b": 1.0},
    {"type": "sparse", "sparsity": 0.35, "std": 2.0},
    {"type": "constant", "val": 0.3},
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_torchs_weights_pass(spec: dict[str, Any]) -> None:
    """In float32."""
    result = judged(torchs, spec)
    assert result.status == "passed", result.reason


def test_our_engine_claims_every_type_and_passes() -> None:
    report = check_engine(Ours, only=["init.*"])
    assert {spec["type"] for spec in INITIAL} == set(ROWS)
    assert [r.status for r in report.results] == ["passed"] * len(ROWS)
    assert not report.exit_code


def test_false_alarms_are_rare() -> None:
    """The rate for one assertion is exact, so at 10⁻² a thousand samples have at most 30 of them.

    The number is binomial with a mean of 10 at most; 30 or more has a probability below 10⁻⁶.
    """
    from manualnn.oracle.checks import initialization

    rng = np.random.default_rng(0)
    expected = entries_of(read_spec("xavier_uniform"), 4, 5)
    assert expected is not None
    limit = math.sqrt(math.log(2 / 0.01) / (2 * 50))
    samples = rng.uniform(expected.low, expected.high, (1000, 50))
    alarms = sum(initialization.distance(sample, expected) > limit for sample in samples)
    assert 1 <= alarms < 30
    assert ALPHA * 8 == 1e-9


def scale(shape: tuple[int, int], *, fan_in: int, fan_out: int) -> float:
    return math.sqrt(2 / (fan_in * shape[1] + fan_out * shape[0]))


XAVIER, UNIFORM = {"type": "xavier_normal", "gain": 2.0}, {"type": "xavier_uniform", "gain": 2.0}
HE = {"type": "kaiming_normal", "nonlinearity": "relu"}
ORTHOGONAL = {"type": "orthogonal", "gain": 3.0}


def normals(deviation: Callable[[tuple[int, int]], float]) -> Draw:
    return lambda rng, shape, _: rng.normal(0, deviation(shape), shape)


def uniforms(bound: Callable[[tuple[int, int]], float]) -> Draw:
    return lambda rng, shape, _: rng.uniform(-bound(shape), bound(shape), shape)


def xavier(shape: tuple[int, int]) -> float:
    return 2 * scale(shape, fan_in=1, fan_out=1)


def he(shape: tuple[int, int]) -> float:
    return math.sqrt(2 / shape[1])


def unsigned(rng: Any, shape: tuple[int, int], _: Any) -> Any:
    drawn = rng.normal(size=shape if shape[0] >= shape[1] else shape[::-1])
    q = 3 * np.linalg.qr(drawn)[0]
    return q if shape[0] >= shape[1] else q.T


def unscaled(rng: Any, shape: tuple[int, int], spec: Any) -> Any:
    return torchs(rng, shape, {**spec, "gain": 1.0})


def mirrored(rng: Any, shape: tuple[int, int], _: Any) -> Any:
    half = rng.normal(0, xavier(shape), (shape[0], shape[1] // 2))
    return np.stack([half, -half], axis=2).reshape(shape)


def rows_of_zeros(rng: Any, shape: tuple[int, int], spec: dict[str, Any]) -> Any:
    return torchs(rng, shape[::-1], spec).T


BUGS: dict[str, tuple[Draw, Any]] = {
    "init-without-gain": (normals(lambda s: xavier(s) / 2), XAVIER),
    "init-without-gain: the": (normals(lambda s: 1 / math.sqrt(s[1])), HE),
    "init-swapped-fans": (normals(lambda s: math.sqrt(2 / s[0])), HE),
    "init-fan-in": (normals(lambda s: 2 / math.sqrt(s[1])), XAVIER),
    "init-fan-out": (uniforms(lambda s: 2 * math.sqrt(3 / s[0])), UNIFORM),
    "init-variance-for-deviation": (normals(lambda s: xavier(s) ** 2), XAVIER),
    "init-deviation-for-bound": (uniforms(xavier), UNIFORM),
    "init-unscaled-normal": (normals(lambda _: 1), HE),
    "init-unscaled-uniform": (lambda rng, shape, _: rng.random(shape), HE),
    "init-small-normal": (normals(lambda _: 0.01), HE),
    "init-normal-for-uniform": (normals(xavier), UNIFORM),
    "init-uniform-for-normal": (uniforms(lambda s: math.sqrt(3) * he(s)), HE),
    "init-positive": (
        lambda rng, shape, _: rng.uniform(0, math.sqrt(3) * xavier(shape), shape), UNIFORM,
    ),
    "init-not-truncated": (normals(lambda _: 2), {"type": "trunc_normal", "std": 2.0}),
    "init-bounds-in-deviations": (
        lambda rng, shape, _: torchs(
            rng, shape, {"type": "trunc_normal", "std": 0.5, "a": -0.5, "b": 0.5}
        ),
        {"type": "trunc_normal", "std": 0.5, "a": -1.0, "b": 1.0},
    ),
    "init-equal-units": (
        lambda rng, shape, _: np.tile(rng.normal(0, he(shape), shape[1]), (shape[0], 1)), HE,
    ),
    "init-equal-inputs": (
        lambda rng, shape, _: np.tile(rng.normal(0, he(shape), (shape[0], 1)), shape[1]), HE,
    ),
    "init-same-seed": (
        lambda _, shape, __: np.random.default_rng(7).normal(0, he(shape), shape), HE,
    ),
    "init-ignores-seed": (
        lambda _, shape, __: np.random.default_rng().normal(0, he(shape), shape), HE,
    ),
    "init-dependent": (mirrored, XAVIER),
    "init-without-gain: the gain": (unscaled, ORTHOGONAL),
    "init-preferred-directions": (unsigned, ORTHOGONAL),
    "init-sparse-rows": (rows_of_zeros, {"type": "sparse", "sparsity": 0.5}),
}  # fmt: skip


@pytest.mark.parametrize("name", BUGS)
def test_known_mistakes_are_caught_and_named(name: str) -> None:
    draw, spec = BUGS[name]
    result = judged(draw, spec)
    assert result.status == "failed"
    assert f"[{name}" in result.reason


def test_constants_are_compared() -> None:
    result = judged(lambda _, shape, __: np.ones(shape), {"type": "constant", "val": 0.5})
    assert (result.status, "(0, 0) is 1, expected 0.5" in result.reason) == ("failed", True)
    result = judged(lambda _, shape, __: np.full(shape, np.nan), "zeros")
    assert "19200 of 19200 entries are not finite" in result.reason


def test_failed_calls_are_errors_and_skipped_ones_are_no_failure() -> None:
    def broken(*_: Any) -> Any:
        raise RuntimeError("no such generator")

    result = judged(broken, HE)
    assert (result.status, "no such generator" in result.reason) == ("errored", True)
    result = judged(lambda *_: np.ones(3), HE)
    assert (result.status, "it has to have (60, 20)" in result.reason) == ("errored", True)
    result = judged(lambda *_: {"skipped": "not today"}, HE)
    assert (result.status, result.reason) == ("skipped", "not today")


def test_a_weight_comes_in_the_layout_of_the_engine() -> None:
    def turned(rng: Any, shape: tuple[int, int], _: Any) -> Any:
        return rng.normal(0, math.sqrt(2 / shape[0]), shape)  # shape is (in, out)

    assert judged(turned, HE).status == "failed"
    assert judged(turned, HE, weight_layout="in,out").status == "passed"


def test_a_failure_is_in_the_report_with_its_cause() -> None:
    report = check_engine(engine(*BUGS["init-swapped-fans"]), only=["init.*"])
    assert report.exit_code == 1
    text = " ".join(str(report).split())
    assert "FAIL init.kaiming_normal:distribution" in text
    assert "[init-swapped-fans: fan_in and fan_out are exchanged]" in text
    assert "init-swapped-fans" in report.to_html()


PROGRAM = """
import json, sys, random
claims = {"layers": ["Linear"], "losses": ["MSELoss"], "init": [{"type": "kaiming_normal"}]}
for line in sys.stdin:
    message = json.loads(line)
    if message["type"] == "hello":
        reply = {"type": "hello", **claims}
    elif message["type"] == "init":
        rows, columns = message["shape"]
        rng = random.Random(message["seed"])
        std = (2 / %s) ** 0.5
        weight = [[rng.gauss(0, std) for _ in range(columns)] for _ in range(rows)]
        reply = {"type": "ok", "seq": message["seq"], "weight": weight}
    else:
        break
    print(json.dumps(reply), flush=True)
"""


@pytest.mark.parametrize(("fan", "status"), [("columns", "passed"), ("rows", "failed")])
def test_a_program_answers_the_message_init(tmp_path: Path, fan: str, status: str) -> None:
    (tmp_path / "engine.py").write_text(PROGRAM % fan)
    with connect(f"{sys.executable} {tmp_path}/engine.py") as client:
        (spec,) = client.capabilities.init
        assert judge_init(client, spec, 5).status == status


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ("xavier", "it has to be a name, or an object with a type, among uniform, normal"),
        ({"gain": 1}, "among uniform, normal"),
        ({"type": "xavier_normal", "std": 1}, "with std = 1; its options are {'gain': 1.0}"),
        ({"type": "kaiming_normal", "mode": 1}, "with mode = 1"),
    ],
)
def test_a_wrong_claim_is_refused(claim: Any, message: str) -> None:
    with pytest.raises(OracleError, match=message):
        Capabilities.read({**CLAIMS, "init": [claim]})
