"""Conformance vectors: the files, their correct numbers, and the same bytes on every machine."""

import hashlib
import json
import re
import subprocess
import sys
from fractions import Fraction
from math import ulp

import numpy as np
import pytest
from hypothesis import settings
from oracle.drawn import vectors_of_everything
from oracle.made_up import COPIES, made_up_features, with_known_features
from rotation import ROOT
from safetensors.numpy import load as load_tensors
from schemas import validate

from manualnn.oracle.cases import lattice, magnitudes
from manualnn.oracle.cases.catalogue import recipes_for
from manualnn.oracle.cases.partners import has_feature, newcomers
from manualnn.oracle.protocol.capabilities import Capabilities
from manualnn.oracle.protocol.case import Case, read_array
from manualnn.oracle.protocol.features import ALWAYS, LAYERS, LOSSES, OPTIMIZERS
from manualnn.oracle.textbook.engine import Textbook
from manualnn.oracle.truth.extended import MissingMpmathError
from manualnn.oracle.truth.step import truth
from manualnn.oracle.vectors import files as vectors
from manualnn.oracle.vectors.canonical import json_bytes, safetensors_bytes
from manualnn.oracle.vectors.draw import vector_cases
from manualnn.oracle.vectors.files import VectorsError, flags, read_vectors, vector_files
from manualnn.oracle.vectors.portable_random import PortableRandom

CASES = vectors_of_everything()
EVERY = max(1, 1000 // settings.default.max_examples)
DIGITS = np.inf if EVERY == 1 else 1000
"""So many numbers of 60 digits are computed for a case, except in a long search."""
CHEAP = [
    case for case in CASES if case.steps * sum(a.size for a in case.arrays().values()) <= DIGITS
]
SOME = CHEAP[::EVERY]
"""As many as there is time for; all of them in a long search."""
ALL = Capabilities.read(Textbook().capabilities())
NEWCOMERS = newcomers(ALL)
SAMPLED = {recipe.name for recipe in recipes_for(ALL) if recipe.is_sampled}
OF_PARTNERS = [
    case
    for case in CASES
    if case.recipe not in SAMPLED and not any(has_feature(case, n) for n in NEWCOMERS)
]
"""The cases that stay as they are when a feature is added."""
PINNED = "6c67dd7b948b2f965bfb8a53d0f56873bb0ae9817b67fa69aa93e7b5631be9c9"
"""sha256 of every 16th vector of OF_PARTNERS. Changes with VERSION, and never otherwise."""


SMALL = {
    "layers": ["Linear", "Sigmoid", "Tanh", "ReLU"],
    "losses": {"MSELoss": {"reduction": ["sum"]}},
    "optimizers": ["SGD"],
}


def digest(cases):
    """Hash the files of cases, by their names."""
    whole = hashlib.sha256()
    for case in cases:
        for name, content in sorted(vector_files(case).items()):
            whole.update(name.encode() + content)
    return whole.hexdigest()


def content_of(case):
    files = vector_files(case)
    assert len(files) == 1
    content = json.loads(next(iter(files.values())))
    validate("vector", content)
    return content


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("vectors")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "vector_cases", lambda *_: SOME)
        assert vectors.write_vectors(out) == len(SOME)
    return out


# The cases


def test_there_are_some_hundred_cases_each_once():
    assert 200 <= len(OF_PARTNERS) <= 400
    assert len(CASES) - len(OF_PARTNERS) <= 60 * len(NEWCOMERS)
    assert len({case.id for case in CASES}) == len(CASES)


@pytest.mark.parametrize("page", ["README.md", ".docs/author.md"])
def test_the_documentation_says_how_many_there_are(page):
    text = " ".join((ROOT / page).read_text("utf-8").split())
    (said,) = re.findall(r"some ([\d,]+) cases with their truth", text)
    assert abs(int(said.replace(",", "")) - len(CASES)) < 0.1 * len(CASES)


def test_every_layer_loss_reduction_optimizer_and_option_is_in_a_case():
    needed = {*LAYERS, *LOSSES, *OPTIMIZERS, "state", "steps", "masks", "probabilities"}
    needed.add("sample weights")
    needed |= {
        f"{loss}.{reduction}" for loss in LOSSES for reduction in ("mean", "sum", "batchmean")
    }
    for table in (LAYERS, LOSSES, OPTIMIZERS):
        for name, options in table.items():
            needed |= {f"{name}.{o}" for o in options if o not in ALWAYS | {"reduction"}}
    assert needed - set().union(*map(flags, CASES)) == set()


@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_a_new_feature_adds_cases_and_changes_no_other(first, monkeypatch):
    for module in (magnitudes, lattice):
        monkeypatch.setattr(module, "truth", lambda case: truth(with_known_features(case)))
    with made_up_features(first=first, options=()):
        after = vector_cases()
        extra = [case for case in after if any(has_feature(case, n) for n in COPIES)]
    assert [case.to_json() for case in after if case not in extra] == [c.to_json() for c in CASES]
    files = [vector_files(case) for case in after[: len(OF_PARTNERS) : 16 * EVERY]]
    assert files == [vector_files(case) for case in OF_PARTNERS[:: 16 * EVERY]]
    for newcomer in COPIES:
        recipes = {case.recipe for case in extra if has_feature(case, newcomer)}
        assert {"plain", "shapes", "zeros"} <= recipes


def test_a_case_is_the_same_in_both_dtypes():
    for case in CASES:
        for name, array in case.arrays().items():
            assert np.isfinite(array).all(), case.id
            if array.dtype.kind == "f":
                fits = np.array_equal(array.astype(np.float32).astype(np.float64), array)
                # A mask is 1/(1 − p) of its dtype.
                assert fits or name.startswith("noise."), case.id


def test_another_seed_has_other_cases():
    of_small = [vector_cases(seed, Capabilities.read(SMALL)) for seed in (0, 1)]
    first, second = ({case.id for case in cases} for cases in of_small)
    assert first
    assert second
    assert not first & second


@pytest.mark.parametrize(
    "content",
    [SMALL, {**SMALL, "optimizers": [], "layers": ["Linear"]}, {**SMALL, "layers": ["Softsign"]}],
    ids=["small", "without optimizer", "newcomer"],
)
def test_a_small_engine_gets_about_as_many_cases_and_each_fits_its_claims(content):
    claims = Capabilities.read(content)
    cases = vector_cases(0, claims)
    assert len(cases) > len(OF_PARTNERS) / 2
    assert [reason for case in cases if (reason := claims.refuses(case))] == []


# Their truth


def fractions(array):
    return np.vectorize(Fraction, otypes=[object])(np.asarray(array, float))


def exact_step(case):
    """Outputs, loss and its gradient with respect to them, in rational numbers."""
    y, t = fractions(case.x), fractions(case.t)
    for i, layer in enumerate(case.layers):
        if layer["type"] == "Linear":
            y = y @ fractions(case.params[f"{i}.weight"]).T
            if layer.get("bias", True):
                y = y + fractions(case.params[f"{i}.bias"])
        elif layer["type"] == "ReLU":
            y = np.where(y > 0, y, 0)
    divisor = {"mean": y.size, "batchmean": len(y), "sum": 1}[case.loss.get("reduction", "mean")]
    scale = Fraction(case.loss.get("factor", 1)) / divisor
    return y, ((y - t) ** 2).sum() * scale, 2 * (y - t) * scale


def rational(case):
    rational_layers = {"Linear", "ReLU", "Identity"}
    return (
        case.loss["type"] == "MSELoss"
        and {layer["type"] for layer in case.layers} <= rational_layers
        and case.layers[-1]["type"] == "Linear"
        and case.layers[-1].get("bias", True)
        and case.steps == 1
        and case.n > 0
        and sum(array.size for array in case.arrays().values()) < 300
    )


RATIONAL = [case for case in CASES if rational(case)]


def test_there_are_cases_that_rational_numbers_decide():
    assert len(RATIONAL) >= 5


@pytest.mark.parametrize("case", RATIONAL, ids=lambda case: case.id)
def test_hi_and_lo_add_up_to_the_truth(case):
    """To 2⁻⁴⁰ of the bound, where the truth is computed in rational numbers."""
    expected = content_of(case)["expected"]
    outputs, loss, dy = exact_step(case)
    bias = f"grads.{len(case.layers) - 1}.bias"
    for name, exact in (("outputs", outputs), ("loss", loss), (bias, dy.sum(axis=0))):
        near = expected[name]
        pairs = zip(*(np.ravel(a) for a in (exact, near["hi"], near["lo"])), strict=True)
        for bound, (v, hi, lo) in zip(np.ravel(near["bound"]["float64"]), pairs, strict=True):
            off = abs(Fraction(hi) + Fraction(lo) - v)
            assert off <= Fraction(bound) * Fraction(2) ** -vectors.BITS_BELOW_BOUND
            assert bound or off == 0


@pytest.mark.parametrize("case", SOME, ids=lambda case: case.id)
def test_what_is_written_is_well_formed(case):
    """hi is the float64 next to the truth; float32 is never judged more sharply than float64."""
    for near in vectors.recorded_truth(case).values():
        hi, lo, bound = near["hi"], near["lo"], near["bound"]
        assert hi.shape == lo.shape == bound["float64"].shape == bound["float32"].shape
        assert all(abs(b) <= ulp(a) / 2 for a, b in zip(hi.flat, lo.flat, strict=True))
        assert (bound["float64"] <= bound["float32"]).all()
        assert (bound["float64"] >= 0).all()
        for b in bound.values():
            assert all(float(f"{value:.2e}") == value for value in b.flat if np.isfinite(value))


def test_most_bounds_are_sharp():
    """Each case counts once, so that one long case does not decide."""
    shares = {"float64": [], "float32": []}
    for case in SOME:
        own = {dtype: [] for dtype in shares}
        for near in vectors.recorded_truth(case).values():
            for dtype, bound in near["bound"].items():
                told = near["hi"] != 0
                with np.errstate(over="ignore"):  # a subnormal number may have a normal bound
                    own[dtype] += list((bound[told] / np.abs(near["hi"][told])).flat)
        for dtype, some in own.items():
            shares[dtype] += [np.median(some)] if some else []
    assert np.median(shares["float64"]) < 1e-12
    assert np.median(shares["float32"]) < 1e-3


# The bytes


def test_the_bytes_are_those_of_this_version():
    """If they are not, VERSION has to be another one, and PINNED what this prints."""
    assert digest(OF_PARTNERS[::16]) == PINNED


def test_another_process_writes_the_same_bytes():
    share = slice(1, None, 4 * EVERY)
    program = f"from oracle.test_vectors import *; print(digest(CHEAP[{share}]))"
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}; {program}"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603
    assert run.stdout.strip() == digest(CHEAP[share])


def test_the_manifest_names_every_file_and_its_hash(folder):
    manifest = json.loads((folder / "manifest.json").read_bytes())
    written = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert set(manifest["sha256"]) == written - {"manifest.json"}
    for name, expected in manifest["sha256"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == expected
    assert manifest["count"] == len(manifest["cases"]) == len(SOME)
    validate("manifest", manifest)
    for entry in manifest["cases"]:
        validate("vector", (folder / entry["file"]).read_bytes())


def test_json_is_written_as_floats_that_read_back_exactly():
    content = {"b": [[0.1, 1e300], [-0.0, 5e-324]], "a": {"type": "Linear"}, "c": "γ"}
    assert json.loads(json_bytes(content)) == content
    assert np.signbit(json.loads(json_bytes(content))["b"][1][0])
    assert json_bytes(dict(reversed(content.items()))) == json_bytes(content)


def test_safetensors_reads_what_is_written_without_it():
    arrays = {"b": np.arange(6.0).reshape(2, 3).T, "a": np.array([3, -100]), "c": np.zeros((0, 3))}
    read = load_tensors(safetensors_bytes(arrays))
    assert set(read) == set(arrays)
    for name, array in arrays.items():
        assert read[name].dtype == array.dtype
        assert np.array_equal(read[name], array)
    assert int.from_bytes(safetensors_bytes(arrays)[:8], "little") % 8 == 0


def test_large_cases_say_where_their_arrays_are():
    case = next(c for c in CASES if sum(a.size for a in c.arrays().values()) > vectors.INLINE)
    (json_name, text), (tensors_name, data) = vector_files(case).items()
    content, read = json.loads(text), load_tensors(data)
    assert json_name == f"cases/{case.id}.json"
    assert content["case"]["x"] == {"path": tensors_name, "key": "x"}
    assert np.array_equal(read["x"], case.x)
    near = content["expected"]["outputs"]
    for number in (near["hi"], near["lo"], near["bound"]["float32"]):
        assert read[number["key"]].shape == (case.n, case.widths[-1])


# Reading


def test_what_is_read_is_what_was_written(folder):
    found = read_vectors(folder)
    seed, cases = found.seed, found.cases
    assert seed == 0
    assert [case.id for case in cases] == [case.id for case in SOME]


def test_the_json_of_a_case_is_the_protocols(folder):
    case = next(case for case in SOME if len(vector_files(case)) == 1)
    content = json.loads((folder / "cases" / f"{case.id}.json").read_bytes())["case"]
    assert Case.from_json(content).id == case.id
    assert np.array_equal(read_array(content["x"], float), case.x)


def test_a_changed_file_is_noticed(folder):
    path = folder / "cases" / f"{SOME[0].id}.json"
    before = path.read_bytes()
    path.write_bytes(before.replace(b'"steps": 1', b'"steps": 2'))
    with pytest.raises(VectorsError, match=f"{SOME[0].id}.json is missing or was changed"):
        read_vectors(folder)
    path.write_bytes(before)


def test_a_folder_without_vectors_says_what_to_do(tmp_path):
    with pytest.raises(VectorsError, match="manualnn vectors"):
        read_vectors(tmp_path)
    (tmp_path / "manifest.json").write_text('{"format": "manualnn conformance vectors"}')
    with pytest.raises(VectorsError, match="of version None"):
        read_vectors(tmp_path)


def test_files_of_something_else_are_not_overwritten(tmp_path):
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(VectorsError, match="name a new folder"):
        vectors.write_vectors(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["README.md"]
    assert (tmp_path / "README.md").read_text() == "mine"


def test_without_mpmath_there_is_a_next_step(monkeypatch, tmp_path):
    def missing():
        raise MissingMpmathError

    monkeypatch.setattr(vectors, "mpmath_width", missing)
    with pytest.raises(VectorsError, match="pip install mpmath"):
        vectors.write_vectors(tmp_path)


# Portable random numbers


def test_portable_numbers_are_made_of_the_bits_that_numpy_promises():
    raw = np.random.PCG64(np.random.SeedSequence((5, 6))).random_raw(12)
    assert PortableRandom(5, 6).random() == (int(raw[0]) >> 11) / 2**53
    assert PortableRandom(5, 6).integers(3, 10) == 3 + int(raw[0]) % 7
    total = sum(int(bits) >> 40 for bits in raw)
    assert PortableRandom(5, 6).standard_normal() == total / 2**24 - 6


def test_portable_numbers_have_the_moments_they_should():
    """Each mean of 4,000 within 5 standard errors, which a right one misses in 2 of 10⁶."""
    z = 2 + 3 * PortableRandom(1).standard_normal((40, 100))
    assert abs(z.mean() - 2) < 5 * 3 / 4000**0.5
    assert abs(((z - 2) ** 2).mean() - 9) < 5 * 9 * 2**0.5 / 4000**0.5
    u = PortableRandom(2).uniform(-1, 1, 4000)
    assert abs(u.mean()) < 5 * 3**-0.5 / 4000**0.5
    ones = PortableRandom(3).choice([0, 0, 0, 1], 4000).mean()
    assert abs(ones - 0.25) < 5 * (0.75 * 0.25 / 4000) ** 0.5


def test_portable_orders_are_permutations():
    rng = PortableRandom(4)
    order = rng.permutation(100)
    assert sorted(order.tolist()) == list(range(100)) != order.tolist()


def test_portable_streams_of_different_keys_differ():
    assert PortableRandom(0, 1).integers(2**60) != PortableRandom(0, 2).integers(2**60)
    assert PortableRandom(0, 1).integers(2**60) == PortableRandom(0, 1).integers(2**60)
