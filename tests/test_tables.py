"""Tables of text: columns line up, also with wide and combining characters."""

import pytest

from manualnn.output.tables import align_columns, format_markdown, measure_width


def test_columns_line_up_and_lines_have_no_blanks_at_their_end():
    rows = [["", "trained on", "held out"], ["accuracy", "99.3%", ""]]
    assert align_columns(rows, "lr") == [
        "           trained on   held out",
        "accuracy        99.3%",
    ]


def test_the_last_letter_holds_for_all_further_columns():
    assert align_columns([["a", "b", "c"], ["aaa", "bbb", "ccc"]], "lrc", gap="|") == [
        "a  |  b| c",
        "aaa|bbb|ccc",
    ]
    assert align_columns([["a", "b"], ["aa", "bb"]], "r") == [" a    b", "aa   bb"]


def test_wide_characters_take_two_columns_and_combining_ones_none():
    assert measure_width("重み") == 4
    assert measure_width("e\u0301") == 1
    assert align_columns([["重み", "x"], ["bias", "y"]]) == ["重み   x", "bias   y"]
    assert align_columns([["e\u0301", "x"], ["e", "y"]]) == ["e\u0301   x", "e   y"]


def test_markdown_has_a_rule_with_the_alignment_and_escapes_bars():
    assert format_markdown(["name", "value"], [["a|b", "1.25"], ["c", "10"]], "lr") == [
        "| name | value |",
        "| ---- | ----: |",
        r"| a\|b |  1.25 |",
        "| c    |    10 |",
    ]
    assert format_markdown(["", "é"], [["a long cell", "✓"]], "lc", padded=False) == [
        "|  | é |",
        "| --- | :-: |",
        "| a long cell | ✓ |",
    ]


def test_a_table_without_rows_is_its_header():
    assert format_markdown(["a"], []) == ["| a   |", "| --- |"]
    assert align_columns([]) == []


def test_rows_have_to_be_of_one_length():
    with pytest.raises(ValueError, match="zip"):
        align_columns([["a", "b"], ["c"]])
