"""The table of libraries and inputs in docs/packages.md is what this machine finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.library_matrix import COLUMNS, LIBRARIES, outcome, table

PAGE = (Path(__file__).parents[3] / "docs" / "packages.md").read_text("utf-8")
HEAD = f"| | {' | '.join(COLUMNS)} |"


def written() -> dict[tuple[str, str], str]:
    """Return the cells of the table on the page."""
    lines = PAGE[PAGE.index(HEAD) :].splitlines()[2 : 2 + len(LIBRARIES)]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {(row[0], kind): cell for row in rows for kind, cell in zip(COLUMNS, row[1:], strict=True)}


def test_the_page_has_the_table_of_the_script() -> None:
    assert table(written()) in PAGE


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("library", LIBRARIES)
def test_a_model_answers_as_its_maker_or_is_refused(tmp_path: Path, library: str, kind: str) -> None:
    assert outcome(library, kind, tmp_path) == written()[library, kind]
