"""The documentation's table of what verifies each piece names them all, and still holds."""

import coverage_table
import pytest
from coverage_table import COLUMNS, KINDS, NO_SLOPE, PAGE, ROUNDS
from rotation import share

ROWS = {
    cells[0].strip("` "): dict(zip(COLUMNS, cells[1:], strict=True))
    for line in PAGE.read_text("utf-8").splitlines()
    if line.startswith("| `")
    for cells in [[cell.strip() for cell in line.strip("|").split("|")]]
}
PIECES = [(kind, name) for kind, (_, table, _) in KINDS.items() for name in table]


def test_the_table_has_every_piece_and_no_other() -> None:
    assert set(ROWS) == {name for _, name in PIECES}


@pytest.mark.parametrize(("kind", "name"), PIECES)
def test_every_piece_is_verified_in_every_way(kind: str, name: str) -> None:
    """No error exceeds its bound, and nothing is left out without one of the reasons."""
    cells = ROWS[name]
    for way in ("manualnn", "torch", "differences", "far out"):
        assert cells[way] in {NO_SLOPE, "finite"} or 0 <= float(cells[way]) <= 1, way
    for way in ("proofs", "exact", "relations", "bugs"):
        assert cells[way] == ROUNDS or int(cells[way]) > 0 or (name, way) == ("Identity", "bugs")
    assert (cells["differences"] == NO_SLOPE) == (kind == "optimizers")


@pytest.mark.parametrize(("kind", "name"), PIECES)
def test_the_table_counts_the_proofs_and_the_bugs(kind: str, name: str) -> None:
    assert ROWS[name]["proofs"] == coverage_table.proofs(kind, name)
    assert ROWS[name]["bugs"] == coverage_table.bugs(kind, name)


@pytest.mark.parametrize(("kind", "name"), share(PIECES, 24))
def test_the_tables_numbers_are_those_that_are_measured(kind: str, name: str) -> None:
    """In turn; errors depend on the machine's arithmetic, so that they only stay below 1."""
    for cell in (*coverage_table.steps(kind, name), coverage_table.far(kind, name)):
        assert cell == "finite" or float(cell) <= 1
