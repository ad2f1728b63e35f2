"""The generated pages are those that the code gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from docs import generate
from docs.generate import PAGES
from tests.architecture.tree import ROOT


@pytest.mark.parametrize("name", PAGES)
def test_a_generated_page_is_up_to_date(name: str) -> None:
    assert (ROOT / "docs" / name).read_text("utf-8") == PAGES[name](), "run `python -m docs.generate`"


def test_a_stale_page_fails_the_check_and_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "PAGES", {"reference/one.md": lambda: "# One\n"})

    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().out == "stale: docs/reference/one.md\n"
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0

    assert (tmp_path / "docs" / "reference" / "one.md").read_text("utf-8") == "# One\n"
