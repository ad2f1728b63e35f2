"""The files of the page, and the chart library out of its installed package.

Nothing is fetched from elsewhere. The library adds `style` elements for kinds of charts that the page does
not use, which its security policy forbids; it leaves them out where an element of their name is there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

CHARTS = "charts.js"
_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
_FOLDER = "page"
_ASSETS = ("page.js", "sections.js", "columns.js", "draw.js", "style.css", "icon.svg")
_STYLE_NAMES = re.compile(r'document\.getElementById\("([0-9a-f]{64})"\)')
_KEPT_OUT = "<!-- kept out -->"


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file as it is served: content, media type and a tag that changes with the content."""

    content: bytes
    media_type: str
    tag: str


@dataclass(frozen=True, slots=True)
class PageFiles:
    """The page and its assets by name. `has_charts` is false where plotly is not installed."""

    index: bytes
    assets: Mapping[str, PageFile]
    has_charts: bool


def load_page_files() -> PageFiles:
    """Return all files of the page."""
    folder = resources.files("stream_infer.dashboard") / _FOLDER
    assets = {name: _file(name, (folder / name).read_bytes()) for name in _ASSETS}
    index = (folder / "index.html").read_text("utf-8")
    charts = _chart_library()
    if charts is not None:
        assets[CHARTS] = _file(CHARTS, charts)
        names = dict.fromkeys(_STYLE_NAMES.findall(charts.decode("utf-8")))
        index = index.replace(_KEPT_OUT, "".join(f'<template id="{name}"></template>' for name in names))
    return PageFiles(index.encode(), assets, charts is not None)


def _chart_library() -> bytes | None:
    # The package itself is not imported: it takes a second, and only its file is wanted.
    try:
        installed = distribution("plotly").locate_file("plotly/package_data/plotly.min.js")
        return Path(str(installed)).read_bytes()
    except (PackageNotFoundError, OSError):
        return None


def _file(name: str, content: bytes) -> PageFile:
    suffix = name[name.rindex(".") :]
    return PageFile(content, _TYPES[suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
