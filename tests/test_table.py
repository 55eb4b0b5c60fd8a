"""CSV files: read exactly as they were written, or refused with line and column."""

import csv
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from manualnn.errors import SpecError, TableError
from manualnn.tabular.csv_table import Table, read_csv
from manualnn.tabular.prepare import prepare

CELLS = st.text(st.characters(codec="utf-8"), max_size=8).filter(lambda cell: cell == cell.strip())
NAMES = CELLS.filter(lambda name: name and not name.replace("_", "").isnumeric())
FLOATS = st.floats(allow_nan=False, allow_infinity=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def table_of(path: Path, text: str | bytes, delimiter: str | None = None) -> Table:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_csv(path, delimiter)


def written(rows: list[Any], **options: Any) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, **options).writerows(rows)
    return text.getvalue()


# ---------------------------------------------------------------------- as it was written


@given(
    rows=st.integers(1, 4).flatmap(
        lambda n: st.tuples(
            st.lists(NAMES, min_size=n, max_size=n, unique=True),
            st.lists(st.lists(CELLS, min_size=n, max_size=n), max_size=5),
        )
    ),
    delimiter=st.sampled_from(",;\t|"),
    lineterminator=st.sampled_from(["\n", "\r\n"]),
    bom=st.sampled_from(["", "\ufeff"]),
)
def test_any_text_comes_back(
    folder: Path, rows: Any, delimiter: str, lineterminator: str, bom: str
) -> None:
    header, cells = rows
    assume(any(not _is_number(name) for name in header))
    text = written(
        [header, *cells],
        delimiter=delimiter,
        lineterminator=lineterminator,
        quoting=csv.QUOTE_ALL,
    )
    table = table_of(folder / "any.csv", bom + text, delimiter)
    assert table.columns == tuple(header)
    assert [list(row) for row in table.rows] == cells


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


@given(values=st.lists(st.tuples(FLOATS, FLOATS, FLOATS), min_size=1), sep=st.sampled_from(",;\t|"))
def test_numbers_come_back_bit_for_bit_and_the_delimiter_is_found(
    folder: Path, values: Any, sep: str
) -> None:
    table = table_of(folder / "n.csv", written([["a", "b", "c"], *values], delimiter=sep))
    np.testing.assert_array_equal(table.numbers(["c", "a"]), np.array(values)[:, [2, 0]])


def test_quotes_blanks_and_line_numbers(tmp_path: Path) -> None:
    table = table_of(tmp_path / "t.csv", 'a, "b c"\r\n"x\r\ny", 1\r\n\r\nz,2.00\r\n\r\n')
    assert table.columns == ("a", "b c")
    assert table.lines == [2, 5]
    assert table.labels("a") == ["x\r\ny", "z"]
    assert table.labels("b c") == ["1", "2"]


def test_a_semicolon_with_decimal_commas_in_the_cells_is_found(tmp_path: Path) -> None:
    table = table_of(tmp_path / "t.csv", "a;b\n1,5;2,5\n3;4\n")
    assert table.columns == ("a", "b")
    with pytest.raises(TableError, match=r"line 2, column 'a': got the text '1,5'.*with a point"):
        table.numbers(["a"])


# ---------------------------------------------------------------------- files that are refused

NO_TABLES = {
    "empty": ("", "is empty"),
    "blank": ("\ufeff \r\n\r\n", "is empty"),
    "ragged": ("a,b\n1,2\n\n3\n", r"line 4: got 1 cell, expected 2"),
    "ragged the other way": ("a,b\n1,2,3\n", "line 2: got 3 cells, expected 2"),
    "no header": ("5.1,3.5\n4.9,3.0\n", "line 1: expected the names of the columns, got only num"),
    "two of a name": ("a,b, a\n1,2,3\n", "line 1: two columns are called 'a'"),
    "no name": (",a\n0,1\n", r"line 1: column 1 has no name.*index=False"),
    "open quote": ('a,b\n1,2\n"3,4\n5,6\n', r"line 3: this is not CSV"),
    "not UTF-8": ("a,b\n1,2\né,3\n".encode("latin-1"), "line 3: byte 0xe9 is not UTF-8"),
    "UTF-16": ("a,b\n".encode("utf-16"), "line 1: byte 0xff is not UTF-8"),
}


@pytest.mark.parametrize(("text", "message"), NO_TABLES.values(), ids=NO_TABLES)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str | bytes, message: str) -> None:
    path = tmp_path / "t.csv"
    with pytest.raises(TableError, match=message) as error:
        table_of(path, text)
    assert str(path) in str(error.value)


NO_NUMBERS = {
    "": r"the cell is empty; fill it or remove the row",
    " ": r"the cell is empty",
    "NA": r"the value is missing \(got 'NA'\)",
    "nan": r"the value is missing",
    "-inf": r"got '-inf', expected a finite number",
    "1e999": r"got '1e999', expected a finite number",
    "12a": r"got the text '12a', expected a number; correct it",
    "1_000": r"got the text '1_000'",
    "3,14": r".* write the decimals with a point",
    "0,125": r".* write the decimals with a point",
    "-1,000": r".* write -1000 if the comma groups thousands, -1.000 if it marks decimals",
    "1,234.5": r".* write the thousands without commas, 1234.5",
    "12,345,678": r".* write the thousands without commas, 12345678",
}


@pytest.mark.parametrize(("cell", "message"), NO_NUMBERS.items(), ids=repr)
def test_a_cell_that_is_no_number_is_named_by_line_and_column(
    tmp_path: Path, cell: str, message: str
) -> None:
    table = table_of(tmp_path / "t.csv", written([["a", "b"], [1, 2], [3, cell], ["x", "y"]]))
    with pytest.raises(TableError, match=f"t.csv, line 3, column 'b': {message}"):
        table.numbers(["b"])


def test_a_column_of_text_may_be_ignored_and_is_told_so(tmp_path: Path) -> None:
    table = table_of(tmp_path / "t.csv", "city,y\nRome,1\nOslo,2\n" + "Bern,3\n" * 10)
    with pytest.raises(TableError, match=r"line 2, column 'city'.*--ignore city;"):
        prepare(table, "y")
    with pytest.raises(TableError, match="no column to predict 'y' from"):
        prepare(table, "y", ignore=["city"])


def test_all_columns_of_text_are_told_at_once_and_ready_for_the_shell(tmp_path: Path) -> None:
    text = "name,city,a,of birth,y\n" + "Ann,,1,May,2\n" + "Bo,Rome,,-,4\n" * 11
    expected = (
        "line 2, column 'name': got the text 'Ann', expected a number; 3 columns are text: encode "
        "them as numbers, or leave them out with --ignore name --ignore city --ignore 'of birth'. "
        "Also wrong: 11 missing values in 1 column."
    )
    with pytest.raises(TableError) as error:
        prepare(table_of(tmp_path / "t.csv", text), "y")
    assert str(error.value) == f"{tmp_path / 't.csv'}, {expected}"


def test_cells_that_are_no_numbers_are_counted(tmp_path: Path) -> None:
    table = table_of(tmp_path / "t.csv", "a,b,c\n1,2,\n,2,3\nna,x,3\n,inf,?\n")
    with pytest.raises(TableError) as error:
        table.numbers("abc")
    assert str(error.value).endswith(
        "line 3, column 'a': the cell is empty; fill it or remove the row. Also wrong: "
        "4 missing values in 2 columns, 1 infinite number in 1 column, 1 text in 1 column."
    )
    with pytest.raises(TableError, match=r"remove the row\. Also wrong: 1 missing value in 1 col"):
        table.labels("a")
    table.rows[3][0] = "z"
    with pytest.raises(TableError, match=r"remove the row\.$"):
        table.labels("a")


def test_a_column_that_is_not_there_is_named_with_a_near_one(tmp_path: Path) -> None:
    table = table_of(tmp_path / "t.csv", "petal,class\n1,2\n")
    with pytest.raises(TableError, match="no column 'clas', but petal, class; did you mean"):
        table.labels("clas")


# ---------------------------------------------------------------------- from table to plan


def table_with(target: list[Any], x: Any = None) -> Table:
    """Return a table with a feature x and the target y."""
    x = range(len(target)) if x is None else x
    rows = [[str(a), str(b)] for a, b in zip(x, target, strict=True)]
    return Table("t.csv", ("x", "y"), rows, range(2, len(rows) + 2))


@pytest.mark.parametrize(
    ("target", "task"),
    [
        (["a", "b"] * 10, "classification"),
        ([0, 1.0] * 10, "classification"),
        ([*range(20)] * 2, "classification"),
        ([*range(20)] + [1] * 19, "regression"),
        ([*range(21)] * 2, "regression"),
        ([0, 0.5] * 10, "regression"),
        (["1", "2", "many"] * 10, "classification"),
    ],
)
def test_the_task_is_told_from_the_target(target: list[Any], task: str) -> None:
    assert prepare(table_with(target), "y").model.columns.task == task


def test_classes_are_in_the_order_of_numbers_where_they_are_numbers() -> None:
    assert prepare(table_with([10, 9, "8.0"] * 5), "y").model.columns.classes == ("8", "9", "10")
    assert prepare(table_with([10, 9, "b"] * 5), "y").model.columns.classes == ("10", "9", "b")


NO_TARGETS = {
    "missing class": (["a", "", *"ab" * 5], {}, "line 3, column 'y': the cell is empty"),
    "missing number": ([1.5, "nan", *range(9)], {}, "line 3, column 'y': the value is missing"),
    "one class": (["a"] * 12, {}, "every row is of the class 'a'"),
    "alone": ([*"ab" * 6, "c"], {}, "line 14, column 'y': 'c' is the only row of its class"),
    "text": (["a", "b"] * 6, {"task": "regression"}, "line 2, column 'y': got the text 'a'"),
    "constant": ([2.5] * 12, {}, "every row to train on has the same value, 2.5"),
    "huge": ([1e308, -1e308] * 6, {"task": "regression"}, "column 'y': the numbers are too large"),
    "too few rows": ([1.5] * 9, {}, "too few rows: got 9, expected at least 10"),
    "one row": ([1.5], {"test_fraction": 0}, "too few rows: got 1, expected at least 2"),
    "no rows": ([], {}, "too few rows: got 0"),
}


@pytest.mark.parametrize(("target", "options", "message"), NO_TARGETS.values(), ids=NO_TARGETS)
def test_a_target_that_cannot_be_learnt_is_refused(
    target: list[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(TableError, match=message):
        prepare(table_with(target), "y", **options)


@pytest.mark.parametrize("fraction", [-0.1, 1, np.nan])
def test_a_fraction_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(SpecError, match="from 0 to below 1"):
        prepare(table_with([1, 2] * 6), "y", test_fraction=fraction)


@given(
    counts=st.lists(st.integers(2, 30), min_size=2, max_size=5).filter(lambda c: sum(c) >= 10),
    fraction=st.floats(0, 1, exclude_max=True),
    seed=st.integers(0, 2**32),
)
def test_each_row_is_trained_on_or_held_out_and_each_class_is_in_both(
    counts: list[int], fraction: float, seed: int
) -> None:
    labels = np.repeat(range(len(counts)), counts)
    plan = prepare(
        table_with(labels.tolist()),
        "y",
        task="classification",
        test_fraction=fraction,
        seed=seed,
    )
    assert sorted([*plan.train, *plan.test]) == list(range(len(labels)))
    held_out = np.bincount(labels[plan.test], minlength=len(counts))
    expected = np.clip(np.round(np.array(counts) * fraction), 1, np.array(counts) - 1)
    np.testing.assert_array_equal(held_out, expected if fraction else 0)


@given(seed=st.integers(0, 99), junk=FLOATS.filter(lambda v: abs(v) < 1e100))
def test_rows_held_out_have_no_influence_on_what_is_learnt(seed: int, junk: float) -> None:
    """Not on the scaling, not on the parameters: whatever stands in them."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=20), rng.normal(size=20)
    plan = prepare(table_with(y.tolist(), x.tolist()), "y", seed=seed)
    x[plan.test] = y[plan.test] = junk
    other = prepare(table_with(y.tolist(), x.tolist()), "y", seed=seed)
    assert other.model.columns == plan.model.columns
    for each in (plan, other):
        each.model.trainer.fit(each.x[each.train], each.t[each.train], epochs=2, batch_size=5)
    assert other.model.trainer.params == plan.model.trainer.params


def test_inputs_are_standardised_and_what_never_varies_is_without_effect() -> None:
    rng = np.random.default_rng(0)
    rows = [["0.1", repr(v), repr(1e6 + 1e3 * v)] for v in rng.normal(size=50).tolist()]
    table = Table("t.csv", ("constant", "x", "y"), rows, range(2, 52))
    plan = prepare(table, "y")
    x, t = plan.x[plan.train], plan.t[plan.train]
    # A mean of n numbers of deviation 1 is off by n roundings at the most.
    rounding = len(x) * np.finfo(float).eps
    assert np.all(plan.x[:, 0] == 0)
    assert abs(x[:, 1].mean()) <= rounding
    assert abs(x[:, 1].std() - 1) <= rounding
    # The target's mean is 1e3 times its deviation, and so is the rounding.
    assert abs(t.mean()) <= 1e3 * rounding
    rows[0][0] = "999"
    assert np.all(plan.model.columns.inputs(table, float)[:, 0] == 0)


def test_a_number_beyond_the_dtype_is_named() -> None:
    table = table_with([1, 2] * 6, [1.0, 2.0] * 6)
    plan = prepare(table, "y", dtype=np.float32)
    table.rows[4][0] = "1e300"
    with pytest.raises(TableError, match=r"line 6, column 'x': .* too large .* float32"):
        plan.model.predict(table)
