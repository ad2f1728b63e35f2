"""The site that `make docs` has built: it is whole, and asks nothing of any other site."""

from __future__ import annotations

import os
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT

SITE = ROOT / os.environ.get("STREAM_INFER_SITE", "")
LOADS = {
    "script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src", "video": "src",
    "audio": "src", "object": "data", "embed": "src",
}  # fmt: skip
ELSEWHERE = re.compile(r"(?:https?:)?//")
STYLE_LOADS = re.compile(r"@import\s+[\"']?([^\"';)]+)|url\(\s*[\"']?([^\"')]+)")

pytestmark = pytest.mark.skipif(
    "STREAM_INFER_SITE" not in os.environ, reason="`make docs` builds the site and runs these tests on it"
)


class Loads(HTMLParser):
    """Collects what a page has the browser fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        target = dict(attrs).get(LOADS.get(tag, ""))
        if target:
            self.found.append(target)


def loaded(page: Path) -> list[str]:
    parser = Loads()
    parser.feed(page.read_text("utf-8"))
    return parser.found


def test_no_page_loads_anything_from_elsewhere() -> None:
    found = {page: loaded(page) for page in SITE.rglob("*.html")}

    assert any(found.values())
    assert [target for targets in found.values() for target in targets if ELSEWHERE.match(target)] == []


def test_no_style_loads_anything_from_elsewhere() -> None:
    styles = list(SITE.rglob("*.css"))
    targets = [a or b for style in styles for a, b in STYLE_LOADS.findall(style.read_text("utf-8"))]

    assert styles
    assert [target for target in targets if ELSEWHERE.match(target)] == []


def test_no_script_names_an_address_to_load_from() -> None:
    scripts = [script.read_text("utf-8") for script in SITE.rglob("*.js")]

    assert scripts
    assert not any(re.search(r"(?:fetch|import|src\s*=)\s*\(?\s*[\"']https?:", script) for script in scripts)


def test_every_page_of_the_documentation_is_there() -> None:
    pages = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]

    assert [p for p in pages if not (SITE / p.relative_to(ROOT)).with_suffix(".html").exists()] == []
