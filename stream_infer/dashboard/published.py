"""What the page shows now, as bytes, in one frozen value that the reading thread replaces whole."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stream_infer.dashboard.documents import Document, finite


@dataclass(frozen=True, slots=True)
class PublishedSection:
    """The JSON of one section, and the number of its version."""

    version: int
    body: bytes


@dataclass(frozen=True, slots=True)
class PublishedPage:
    """All sections by name, and the details of each column in the order of the section `columns`."""

    sections: Mapping[str, PublishedSection] = field(default_factory=dict)
    columns: Sequence[bytes] = ()


class PageCell:
    """Holds the newest page. One thread publishes, any reads."""

    def __init__(self) -> None:
        self._page = PublishedPage()

    @property
    def current(self) -> PublishedPage:
        """The newest page."""
        return self._page

    def publish(self, documents: Mapping[str, Document], columns: Sequence[Document] | None = None) -> None:
        """Replace the sections in `documents` that changed, and all columns if there are some."""
        before = self._page
        sections = dict(before.sections)
        for name, document in documents.items():
            body, known = as_json(document), before.sections.get(name)
            if known is None or known.body != body:
                sections[name] = PublishedSection(1 if known is None else known.version + 1, body)
        details = before.columns if columns is None else [as_json(one) for one in columns]
        self._page = PublishedPage(sections, details)


def as_json(document: object) -> bytes:
    """Return a JSON text on one line, in ASCII: it can stand in an event stream as it is."""
    return json.dumps(finite(document), separators=(",", ":"), allow_nan=False).encode()
