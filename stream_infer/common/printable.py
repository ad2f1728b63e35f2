"""Text for a terminal: names and reasons come from packages, topics and files of others."""

from __future__ import annotations

import json


def printable(text: str) -> str:
    """Return `text` in one line without control characters."""
    return "".join(
        c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def printable_json(document: object) -> str:
    """Return `document` as one line of JSON, in which what a terminal may take for a command is escaped.

    Raises `TypeError` for what JSON has no form for.
    """
    line = json.dumps(document, ensure_ascii=False)
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
