"""The static site: every Markdown page that a reader is pointed to, built by `make docs`.

The source folder is the root of the project, so that a link works in a checkout as it does on the site. The
navigation is made of the lists of links in the index pages: there is no second list to keep.
"""

from __future__ import annotations

import posixpath
import re

from sphinx.application import Sphinx

import stream_infer

project = "stream_infer"
version = release = stream_infer.__version__
project_copyright = "The stream_infer authors, Apache-2.0"

extensions = ["myst_parser"]
source_suffix = {".md": "markdown"}
root_doc = "docs/index"
include_patterns = ["*.md", "docs/**.md", "benchmarks/README.md", "benchmarks/results/*.md", "examples/**.md"]
exclude_patterns = [".*", "build", "dist"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = f"stream_infer {version}"
html_extra_path = ["site"]
html_copy_source = False

_INDEXES = frozenset({"docs/index", "docs/decisions/index", "docs/reference/index", "docs/performance"})
_ENTRY = re.compile(r"^- \[[^\]]+\]\(([^)#]+)\.md\)", re.MULTILINE)
_SECTION = re.compile(r"^## (.+)$", re.MULTILINE)


def _add_navigation(_app: Sphinx, docname: str, source: list[str]) -> None:
    """Append to an index page one hidden table of contents for each of its sections."""
    if docname not in _INDEXES:
        return
    first, *parts = _SECTION.split(source[0])
    folder = posixpath.dirname(docname)
    for title, body in zip(["", *parts[::2]], [first, *parts[1::2]], strict=True):
        pages = [posixpath.normpath(posixpath.join("/", folder, page)) for page in _ENTRY.findall(body)]
        if pages:
            caption = [f":caption: {title}"] if title else []
            source[0] += "\n".join(["", "", "```{toctree}", ":hidden:", *caption, "", *pages, "```"])


def setup(app: Sphinx) -> None:
    """Take part in the build."""
    app.connect("source-read", _add_navigation)
