"""Files of tables: read as they were written, whatever program wrote them, or refused with line."""

import bz2
import csv
import gzip
import io
import lzma
import re
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manualnn.errors import TableError
from manualnn.tabular import Column, Table, read_batches, read_table
from manualnn.tabular.column import MISSING, label_of

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")  # DuckDB's own files

FEW = settings(max_examples=max(10, settings().max_examples // 10))  # a file takes 30 ms
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**60), 2**60)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=6)
WORDS = st.text("xyzäß, ;|\"'\n", min_size=1, max_size=6).map(str.strip).filter(bool)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reading")


def nine(more: list[str]) -> Any:
    """Draw nine cells: numerals and some others."""
    return st.lists(NUMBERS.map(repr) | st.sampled_from(more), min_size=9, max_size=9)


def written(rows: list[Any], **options: Any) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, **options).writerows(rows)
    return text.getvalue()


def read(folder: Path, content: str | bytes, **options: Any) -> Table:
    path = folder / "t.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path, **options)


def cells(table: Table) -> dict[str, list[Any]]:
    """Return the cells by column: numbers, texts, and None for missing."""
    return {
        name: [
            None if gap else cell
            for cell, gap in zip(column.values.tolist(), column.missing, strict=True)
        ]
        for name, column in table.columns.items()
    }


# ---------------------------------------------------------------------- what was written


@FEW
@given(
    rows=st.lists(st.tuples(NUMBERS, WORDS), min_size=2, max_size=6),
    options=st.fixed_dictionaries(
        {"delimiter": st.sampled_from(",;\t|"), "lineterminator": st.sampled_from(["\n", "\r\n"])}
    ),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]),
    compress=st.sampled_from([bytes, gzip.compress, bz2.compress, lzma.compress]),
)
def test_numbers_come_back_bit_for_bit_and_texts_letter_for_letter(
    folder: Path, rows: Any, options: Any, encoding: str, compress: Any
) -> None:
    header = ["number", "word", "n"]
    text = written([header, *((n, word, 1) for n, word in rows)], **options)
    table = read(folder, compress(text.encode(encoding)), delimiter=options["delimiter"])
    numbers = table.columns["number"]
    assert numbers.kind == "number"
    assert numbers.numbers().tolist() == [float(n) for n, _ in rows]
    whole = [label for label in numbers.labels() if "." not in label and "e" not in label]
    assert list(map(int, whole)) == [int(n) for n, _ in rows if n == int(n)]
    assert table.columns["word"].values.tolist() == [word for _, word in rows]


@given(
    columns=st.lists(
        st.lists(
            NUMBERS.map(repr) | st.sampled_from(["NA", "", " 7 ", "-3"]), min_size=9, max_size=9
        )
        | st.lists(
            NUMBERS.map(repr) | st.sampled_from(["x", "007", "inf", "1_0"]), min_size=9, max_size=9
        ),
        min_size=1,
        max_size=4,
    ),
    rows=st.integers(2, 5),
)
def test_a_long_file_whose_numbers_duckdb_casts_is_the_same_table(
    folder: Path, columns: Any, rows: int
) -> None:
    names = [f"name{i}" for i in range(len(columns))]
    text = written([[*names, "n"], *([*row, 1] for row in zip(*columns, strict=True))])
    whole = read(folder, text, delimiter=",", missing=["-3"])
    parts = list(read_batches(folder / "t.csv", delimiter=",", missing=["-3"], rows=rows))
    assert sum(map(len, parts)) == len(whole) == 9
    assert [row for part in parts for row in part.numbering] == [*range(1, 10)]
    joined = Table.joined(parts)
    for name in names:
        np.testing.assert_array_equal(joined.columns[name].labels(), whole.columns[name].labels())


def test_a_cell_late_in_a_long_file_is_no_number_by_the_same_rule(folder: Path) -> None:
    odd = ["007", "x", "1_0", "inf", "9007199254740993", " 5 ", "-3", "1e400", "NaN", "0x1"]
    lines = [",".join(f"name{i}" for i in range(len(odd))), *[",".join("1" * len(odd))] * 9]
    text = "\n".join([*lines, ",".join(odd), *lines[1:2]])
    whole = read(folder, text, missing=["-3"])
    parts = read_batches(folder / "t.csv", missing=["-3"], rows=4)
    joined = Table.joined(parts)
    for name, column in whole.columns.items():
        assert joined.columns[name].labels().tolist() == column.labels().tolist()
    found = [column.labels()[9] for column in whole.columns.values()]
    assert found == ["007", "x", "1_0", "inf", "9007199254740993", "5", None, "inf", None, "0x1"]


@pytest.mark.once
def test_parquet_and_zstd_hold_the_same_table(tmp_path: Path) -> None:
    rows = "SELECT i, i / 8 AS f, 'w' || (i % 3) AS w, i % 2 = 0 AS b, 2::BIGINT ** 62 + i AS large"
    with duckdb.connect() as connection:
        for name in ("t.parquet", "t.csv.zst", "t.csv"):
            form = "PARQUET" if name.endswith("parquet") else "CSV"
            path = tmp_path / name
            connection.execute(f"COPY ({rows} FROM range(9) t(i)) TO '{path}' (FORMAT {form})")
    tables = [read_table(tmp_path / name) for name in ("t.parquet", "t.csv.zst", "t.csv")]
    for name in "ifwb":
        labels = [table.columns[name].labels().tolist() for table in tables]
        assert labels[0] == labels[1] == labels[2]
        assert None not in labels[0]


# ---------------------------------------------------------------------- what programs write

LATE = 30_000
"""More rows than DuckDB looks at to find the layout."""
AB = {"a": [1, 3], "b": [2, 4]}
FILES: dict[str, tuple[str | bytes, dict[str, list[Any]]]] = {
    "comments": ("# made by x\n# more, stuff\na,b\n1,2\n3,4\n", AB),
    "sep=": ("sep=;\r\na;b\r\n1;2\r\n3;4\r\n", AB),
    "comments among the rows": ("a,b\n# x\n1,2\n## y, z, u\n3,4\n", AB),
    "signs like comments": ("a,b\n#1,2\n#3,4\n", {"a": ["#1", "#3"], "b": [2, 4]}),
    "sep= of a rare sign": ("sep=:\na:b\n1:2\n3:4\n", AB),
    "sep= of a tab": ("sep=\t\na\tb\n1\t2\n3\t4\n", AB),
    "np.savetxt": ("# a,b\n1.0e+00,2.0e+00\n3.000e+00,4.0e+00\n", AB),
    "old Mac": ("a,b\r1,2\r3,4\r", AB),
    "mixed line ends": ("a,b\r\n1,2\n3,4\r\n", AB),
    "no last line end": ("a,b\n1,2\n3,4", AB),
    "blank lines": ("\na,b\n\n1,2\n\n\n3,4\n\n", AB),
    "bars": ("a|b\n1|2\n3|4\n", AB),
    "tabs": ("a\tb\n1\t2\n3\t4\n", AB),
    "one blank": ("a b\n1 2\n3 4\n", AB),
    "aligned": ("  a    b\n  1    2\n  3    4\n", AB),
    "UTF-16 without its mark": ("a,b\n1,2\n3,4\n".encode("utf-16-be"), AB),
    "padded": (" a ,  b\n 1 , 2 \n 3 ,  4\n", AB),
    "title": ("My report, 2020, by me\n\na,b\n1,2\n3,4\n", AB),
    "a title without commas": ("My report\na,b\n1,2\n3,4\n3,4\n", {"a": [1, 3, 3], "b": [2, 4, 4]}),
    "empty rows first": (",\r\na,b\r\n1,2\r\n3,4\r\n", AB),
    "trailing separator": ("a,b\n1,2,\n3,4,\n", AB | {"column 3": [None, None]}),
    "trailing in all rows": ("a,b,\n1,2,\n3,4,\n", AB | {"column 3": [None, None]}),
    "R": ('"a","b"\n"x",1,2\n"y",3,4\n', {"column 1": ["x", "y"]} | AB),
    "pandas": (",a,b\n0,1,2\n1,3,4\n", {"column 1": [0, 1]} | AB),
    "pandas without names": (
        ",0,1\n0,5.5,7\n1,4.5,9\n",
        {"column 1": [0, 1], "0": [5.5, 4.5], "1": [7, 9]},
    ),
    "years": (
        "x,1990,1991,1992\nu,1,2,3\nv,4,5,6\n",
        {"x": ["u", "v"], "1990": [1, 4], "1991": [2, 5], "1992": [3, 6]},
    ),
    "three of a name": ("a,a.1,a\n1,2,3\n", {"a": [1], "a.1": [2], "a.2": [3]}),
    "two of a name": ("a,a,b\n1,2,3\n", {"a": [1], "a.1": [2], "b": [3]}),
    "SQL": ('select,"a;""b""",\'; DROP\n1,2,3\n', {"select": [1], 'a;"b"': [2], "'; DROP": [3]}),
    "no header": (
        "5.1,x\n4.9,x\n4.7,y\n",
        {"column 1": [5.1, 4.9, 4.7], "column 2": ["x", "x", "y"]},
    ),
    "no header, text": (
        "p,x\ne,s\np,s\n",
        {"column 1": ["p", "e", "p"], "column 2": ["x", "s", "s"]},
    ),
    "a name among the texts": (
        "a,b,c\na,x,u\nz,y,v\n",
        {"a": ["a", "z"], "b": ["x", "y"], "c": ["u", "v"]},
    ),
    "text only": (
        "name,city\nAnn,Rome\nBo,Oslo\n",
        {"name": ["Ann", "Bo"], "city": ["Rome", "Oslo"]},
    ),
    "one column": ("a\n1\n3\n", {"a": [1, 3]}),
    "one column with gaps": ('a\n1\n""\n\n3\n\n', {"a": [1, None, 3]}),
    "header only": ("a,b\n", {"a": [], "b": []}),
    "a semicolon in a text": ("note\nx\na;b\n", {"note": ["x", "a;b"]}),
    "quotes": (
        'a,b\r\n"x\r\ny","1 ""q"", z"\r\n"5"" disk",z\r\n',
        {"a": ["x\r\ny", '5" disk'], "b": ['1 "q", z', "z"]},
    ),
    "late quotes": (
        "a,b\n" + "1,2\n" * LATE + '3,"x, y"\n',
        {"a": [1] * LATE + [3], "b": ["2"] * LATE + ["x, y"]},
    ),
    "late text": (
        "a,b\n" + "1,2\n" * LATE + "x,4\n",
        {"a": ["1"] * LATE + ["x"], "b": [2] * LATE + [4]},
    ),
    "decimal commas": ("a;b\n1,5;x\n1.234,25;y\n", {"a": [1.5, 1234.25], "b": ["x", "y"]}),
    "decimal commas without names": (
        "9;2,5\n10;3,25\nx;1,5\n",
        {"column 1": ["9", "10", "x"], "column 2": [2.5, 3.25, 1.5]},
    ),
    "codes": ("a,b\n00210,1\n10115,2\n", {"a": ["00210", "10115"], "b": [1, 2]}),
    "large integers": (
        "a,b\n9007199254740993,1\n2,1\n",
        {"a": ["9007199254740993", "2"], "b": [1, 1]},
    ),
    "missing": (
        "a,b\nNA,x\n?,-\n3,#N/A\n-1,Na\n",
        {"a": [None, None, 3, -1], "b": ["x", None, None, "Na"]},
    ),
    "a long line": ("a,b\n" + "x" * 200_000 + ",1\n", {"a": ["x" * 200_000], "b": [1]}),
}


@pytest.mark.parametrize(("content", "expected"), FILES.values(), ids=FILES)
def test_a_file_is_read_as_its_program_meant_it(
    folder: Path, content: str | bytes, expected: dict[str, list[Any]]
) -> None:
    assert cells(read(folder, content)) == expected


REMARKS = {
    "a;b\n1;2\n3;4\n": "separator semicolon",
    "a;b\n1,5;2\n3,25;4\n": "decimal commas",
    "5.1,x\n4.9,x\n": "the first row looks like data, so the columns have no names",
    "x,1\n3,2\n4,2\n": "the first row was read as names, though 1 of them look like data",
    "a,b\n1,2,3\n4,5,6\n": "there is one name less than columns, so the first column has no name",
    "# x\na,b\n1,2\n3,4\n": "lines before the table that begin with # left out",
    "a,a,b\n1,2,3\n4,5,6\n": "a column of the same name as another is called 'a.1'",
    "Report\n\na,b\n1,2\n3,4\n": "skipped 2 lines before the table, from 'Report' on",
}


@pytest.mark.parametrize(("text", "remark"), REMARKS.items())
def test_what_a_user_may_want_to_check_is_remarked(folder: Path, text: str, remark: str) -> None:
    assert read(folder, text).remarks == [remark] or remark in read(folder, text).remarks[1:]
    assert read(folder, "a,b\n1,x\n2,y\n").remarks == []


def test_options_take_the_place_of_what_is_found(folder: Path) -> None:
    assert cells(read(folder, "a,b\n1,2\n", header=False))["column 1"] == ["a", "1"]
    assert cells(read(folder, "5,6\n1,2\n", header=True)) == {"5": [1], "6": [2]}
    assert cells(read(folder, "a;b\n1;5\n", delimiter=",")) == {"a;b": ["1;5"]}
    assert cells(read(folder, 'a,b\n"1,234",2\n', decimal=",")) == {"a": [1.234], "b": [2]}
    assert cells(read(folder, "a,b\n-999,2\n1,2\n", missing=["-999"]))["a"] == [None, 1]
    assert cells(read(folder, "é,b\n1,2\n".encode("cp850"), encoding="cp850")) == {
        "é": [1],
        "b": [2],
    }
    assert list(read(folder, "a,b,c\n1,2,3\n", columns=["c"]).columns) == ["c"]
    assert read(folder, "a,b\n007, x\n", text=["1", "b"]).texts == {"a": ["007"], "b": [" x"]}


REFUSED = {
    "empty": ("", "t.csv is empty"),
    "blank": ("\ufeff \r\n\r\n", "is empty"),
    "too few cells": ("a,b\n1,2\n\n3\n4,5\n", "line 4: got 1 cell, expected 2"),
    "too many cells": ("a,b\n1,2\n1,2\n1,2,3\n", "line 4: got 3 cells, expected 2"),
    "rows that grow": ("a\n" + "1\n" * 99 + "1,2\n" * 999, "line 101: got 2 cells, expected 1"),
    "open quote": ('a,b\n1,2\n"3,4\n5,6\n', "line 3: a quote opens here and is not closed"),
    "spreadsheet": (b"PK\x03\x04" + b"\0" * 99, "is a ZIP.*expected Parquet, or CSV"),
    "JSON": ('{"a": 1}\n{"a": 2}\n', "is JSON; expected Parquet, or CSV"),
    "cut Parquet": (b"PAR1" + b"\0" * 99, r"cannot be read: [^\n]*$(?<!parquet\(\?\))"),
    "texts with blanks": ("a   b\n1  x y z\n2  x\n3  x y\n", "different numbers of words"),
    "not UTF-8": ("a;b\nö;ß\nö;ß\n".encode("latin-1"), "not in the encoding utf-8: .*byte 0xf6"),
    "not Latin-1": ("a;b\nö;ß\n".encode("utf-16"), "not in the encoding latin-1: it has zero"),
    "damaged": (bz2.compress(b"a,b\n1,2\n" * 99)[:-9], "is a damaged bz2 file"),
    "another encoding": ("a,b\né,2\n".encode("latin-1"), "not in the encoding ascii"),
}


@pytest.mark.parametrize(("content", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_table_is_refused_with_its_line(
    folder: Path, content: str | bytes, message: str
) -> None:
    wanted = re.search(r"encoding ([a-z0-9-]+)", message)
    options = {"encoding": wanted[1]} if wanted else {}
    with pytest.raises(TableError, match=message) as error:
        read(folder, content, **options)
    assert str(error.value).startswith(str(folder / "t.csv"))


@pytest.mark.once
def test_the_time_of_a_wide_table_grows_no_faster_than_its_columns(folder: Path) -> None:
    import time

    def seconds(width: int) -> float:
        start = time.process_time()
        table = read(
            folder,
            f"{','.join(f'f{i}' for i in range(width))}\n" + f"{'1.5,' * (width - 1)}1.5\n" * 3,
        )
        assert table.columns["f9"].numbers().tolist() == [1.5] * 3
        with pytest.raises(TableError, match=f"lacks {width} of the {width} columns"):
            table.require([f"g{i}" for i in range(width)])
        return time.process_time() - start

    seconds(10)
    assert seconds(4000) < 20 * seconds(500)  # 8 times if it is linear, 64 if it is quadratic


# ---------------------------------------------------------------------- the same class

NUMERALS = st.one_of(
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
)


@given(first=NUMERALS, second=NUMERALS)
def test_two_cells_are_one_class_if_their_numbers_are_equal(first: float, second: float) -> None:
    """However they are spelled, as text or as numbers: whole numbers exactly."""
    spellings = [
        {label_of(repr(x)), label_of(f"+{x!r}".replace("+-", "-")), label_of(f"{x!r}"), *also}
        for x in (first, second)
        for also in [
            {label_of(f"{x}.0"), label_of(f"{x}e0")}
            if isinstance(x, int)
            else {label_of(x), label_of(f"{x:.18e}"), label_of(np.format_float_scientific(x))}
        ]
    ]
    assert len(spellings[0]) == len(spellings[1]) == 1
    assert (spellings[0] == spellings[1]) == (first == second)


@pytest.mark.parametrize(
    ("cells_of", "labels"),
    [
        (["0", "0.0", "0e0", "-0", "0.000000000000000000e+00"], ["0"] * 5),
        ([1, 1.0, True, "true", "TRUE"], ["1", "1", "True", "True", "True"]),
        (["00210", "210", "210.0", "0x10", "1_0"], ["00210", "210", "210", "0x10", "1_0"]),
        (
            ["9007199254740993", 9007199254740993, "9007199254740992.0"],
            ["9007199254740993", "9007199254740993", "9007199254740992"],
        ),
        (
            ["yes", "Yes", "Infinity", "1e999", "é", "1\n2"],
            ["yes", "Yes", "inf", "inf", "é", "1\n2"],
        ),
        (
            [None, np.nan, "NA", " x ", np.float32(0.5), np.int8(3)],
            [None, None, None, "x", "0.5", "3"],
        ),
    ],
)
def test_labels_spell_each_class_in_one_way(cells_of: list[Any], labels: list[str]) -> None:
    assert Column.of(cells_of).labels().tolist() == labels


ODD = ["inf", "-Infinity", "1e999", "007", "TRUE", "1_0", "+5", "-0", "1e5", "12%", "1\n2", b"7"]


@given(st.lists(TEXTS | NUMBERS | st.booleans() | st.sampled_from([None, *ODD]), max_size=6))
def test_labels_are_their_own_labels_and_do_not_depend_on_the_other_cells(
    values: list[Any],
) -> None:
    labels = Column.of(values).labels().tolist()
    assert Column.of(labels).labels().tolist() == [None if x in MISSING else x for x in labels]
    assert labels == [label for cell in values for label in Column.of([cell]).labels()]
    parts = [Column.of(values[:2]), Column.of(values[2:])]
    assert Column.joined(parts).labels().tolist() == labels


KINDS = {
    "number": [
        ["1", "2.5"],
        ["12%", "7 %"],
        ["1,234", "5"],
        ["$5", "$1,000.50"],
        [1, None],
        ["inf", "1"],
    ],
    "boolean": [["yes", "no", ""], ["T", "F"], [True, False], ["y", "N"], ["TRUE", "false"]],
    "date": [
        ["2020-01-31", "2020-02-01T10:00:00Z"],
        ["1/2/2020"],
        ["31.12.99"],
        ["2-Jan-2020", "3 March 1999"],
        np.array(["2020-01-02", "NaT"], "datetime64[ns]"),
    ],
    "text": [
        ["a", "1"],
        ["007", "1"],
        ["05%", "x"],
        ["1.2.3"],
        ["1990 Jul"],
        ["1\n2"],
        ["192-168-1-1"],
    ],
    "empty": [[], ["NA", None]],
}


@pytest.mark.parametrize(("kind", "values"), [(k, v) for k, vs in KINDS.items() for v in vs])
def test_the_kind_of_a_column_is_told_from_all_its_cells(kind: str, values: list[Any]) -> None:
    assert Column.of(values).kind == kind


def test_decorated_numbers_are_numbers() -> None:
    assert Column.of(["12%", "7.5 %", None]).numbers()[:2].tolist() == [12, 7.5]
    assert Column.of(["$1,234.5", "-3"]).numbers().tolist() == [1234.5, -3]


CHECKS: dict[str, list[Any]] = {
    "'$1,000' for 1000.0, and the like": ["$1,000", "5"],
    "numbers in 20 rows and text in 2: 'n. v.' (read as text; if it means missing: "
        "--missing-value='n. v.')": [*range(20), "n. v.", "n. v.", None],
    "numbers in 20 rows and text in 4: '[0]', '[1]', '[2]' … (read as text; if it means missing: "
        "--missing-value='[0]' --missing-value='[1]' --missing-value='[2]' …)":
        [*range(20), *(f"[{i}]" for i in range(4))],
    "": ["a", "b", *range(2)],
}  # fmt: skip


@pytest.mark.parametrize(("remark", "values"), CHECKS.items())
def test_what_a_user_may_want_to_check_of_numbers_is_remarked(
    remark: str, values: list[Any]
) -> None:
    assert Column.of(values).remark == remark
    assert not Column.of([1, 2.5, None]).remark
    assert not Column.of([*range(9), "x"] * 2).remark
    assert not Column.of([*range(10), *(f"x{i}" for i in range(10))]).remark
    assert not Column.of([f"0{i}" for i in range(3)] + [*range(100)]).remark


@pytest.mark.once
def test_the_time_to_look_for_numbers_among_texts_is_linear_in_the_texts() -> None:
    import time

    column = Column.of([*range(20_000), *(f"w{i}" for i in range(15_000))])
    start = time.process_time()
    assert column.remark.startswith("numbers in 20000 rows and text in 15000: 'w0', 'w1', 'w10' …")
    assert time.process_time() - start < 2  # 4 s if each is compared with each


ROW_NAMES = {
    ",a\n1,5\n2,6\n5,7\n": "column 1",
    ",a\nx,5\ny,6\n": "column 1",
    ",a\nx,5\nx,6\n": None,
    ",a\n1.5,5\n2.5,6\n": None,
    ",a\n3,5\n1,6\n": None,
    ",a\n1,5\ninf,6\ninf,6\n": None,
    "rownames,a\n7,5\n8,6\n": "rownames",
    "id,a,b\n1,5,5\n2,6,7\n3,7,7\n": "id",
    "id,a\n1,5\n2,6\n3,7\n": None,
    "id,a,b\n1,5,5\n3,6,5\n4,7,7\n": None,
    "t,a\n1,5\n2,6\n3,7\n": None,
    "1,5\n2,6\n3,9\n": "column 1",
    "2,5\n3,6\n5,9\n": None,
}


@pytest.mark.parametrize(("text", "name"), ROW_NAMES.items())
def test_a_first_column_that_counts_or_names_the_rows_is_recognised(
    folder: Path, text: str, name: str | None
) -> None:
    assert read(folder, text).row_names == name


def test_standard_input_is_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(gzip.compress(b"a,b\n1,2\n"))))
    table = read_table("-")
    assert cells(table) == {"a": [1], "b": [2]}
    assert re.match("standard input", table.name)


def test_a_name_that_is_a_pattern_is_the_name_of_one_file(tmp_path: Path) -> None:
    for name, content in {"t[1].csv": "a,b\n1,2\n", "t1.csv": "c,d\n3,4\n"}.items():
        (tmp_path / name).write_text(content)
    assert cells(read_table(tmp_path / "t[1].csv")) == {"a": [1], "b": [2]}
