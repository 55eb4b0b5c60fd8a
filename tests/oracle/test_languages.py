"""The engines in C and in JavaScript pass, so the protocol serves languages other than Python.

Their tests are skipped if the machine has no C compiler or no Node.
"""

import shlex
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from oracle.drawn import drawn_case

from manualnn.oracle.engines.client import connect
from manualnn.oracle.truth.compare import refutes
from manualnn.oracle.truth.step import truth

ENGINES = Path(__file__).parents[1] / "engines"
COMPILER = shutil.which("cc")
NODE = shutil.which("node")
CASES = 10 * settings.default.max_examples


def compiled(folder, *options):
    program = folder / "engine"
    flags = ["-O2", "-std=c11", "-Wall", "-Wextra", "-Werror", *options]
    command = [COMPILER, *flags, "-o", program, ENGINES / "engine.c", "-lm"]
    subprocess.run(command, check=True)  # noqa: S603
    return shlex.quote(str(program))


@pytest.fixture(scope="module", params=["C", "JavaScript"])
def bench(request, tmp_path_factory):
    if request.param == "C":
        if COMPILER is None:
            pytest.skip("there is no C compiler (cc)")
        command = compiled(tmp_path_factory.mktemp("compiled"))
    elif NODE is None:
        pytest.skip("there is no Node")
    else:
        command = f"node {shlex.quote(str(ENGINES / 'engine.mjs'))}"
    with connect(command) as bench:
        yield bench


def cases(claims, seed, count):
    """Yield random cases that the claims admit."""
    rng = np.random.default_rng(seed)
    losses, optimizers = list(claims.losses), list(claims.optimizers)
    while count:
        loss, optimizer = str(rng.choice(losses)), str(rng.choice(optimizers))
        case = drawn_case(rng, loss=loss, optimizer=optimizer, dtype="float64")
        if claims.refuses(case) is None:
            yield case
            count -= 1


def test_everything_is_within_its_bound_of_the_truth(bench):
    compared = 0
    for case in cases(bench.capabilities, 0, CASES):
        outcome = bench.run(case)
        assert outcome.result is not None, outcome.message
        got, expected = outcome.quantities(), truth(case).quantities()
        assert got.keys() == expected.keys()
        for name, near in expected.items():
            assert not refutes(near, got[name]).any(), (name, case.to_json())
            compared += int(np.count_nonzero(near.bounded))
    assert compared > 20 * CASES


def test_a_process_that_is_asked_twice_answers_the_same(bench):
    """A fresh process gives the same answers, because no case leaves anything behind."""
    drawn = list(cases(bench.capabilities, 1, 20))
    first, second = ([bench.run(case).quantities() for case in drawn] for _ in range(2))
    bench.fresh()
    fresh = [bench.run(case).quantities() for case in reversed(drawn)][::-1]
    for one, two, three in zip(first, second, fresh, strict=True):
        for name, array in one.items():
            np.testing.assert_array_equal(two[name], array, err_msg=name)
            np.testing.assert_array_equal(three[name], array, err_msg=name)


def test_infinity_and_nan_come_back_as_such(bench):
    case = next(case for case in cases(bench.capabilities, 2, 99) if len(case.layers) > 1)
    for value in (np.inf, -np.inf, np.nan):
        outcome = bench.run(case.but(x=np.full_like(case.x, value)))
        assert outcome.fault is None, outcome.message
        assert outcome.result["outputs"].shape == (case.n, case.widths[-1])


@pytest.mark.skipif(COMPILER is None, reason="there is no C compiler (cc)")
def test_the_engine_in_c_has_no_undefined_behaviour(tmp_path):
    sanitized = compiled(tmp_path, "-g", "-fsanitize=undefined", "-fno-sanitize-recover")
    with connect(sanitized) as bench:
        for case in cases(bench.capabilities, 3, 50):
            outcome = bench.run(case)
            assert outcome.fault is None, outcome.message
