"""How tables, times and texts of others are printed, wherever the command line prints them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

Row = Sequence[str]


def clean(text: str) -> str:
    """Return `text` without what a terminal would act on: reasons and names come from packages and topics."""
    return "".join(
        c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}" for c in text
    )


def moment(unix_ms: int) -> str:
    """Return the time in UTC, to the second; the number itself when no calendar has it."""
    try:
        time = datetime.fromtimestamp(unix_ms / 1000, UTC)
    except (OverflowError, OSError, ValueError):  # whoever wrote it has a calendar of his own
        return f"{unix_ms} ms"
    return time.isoformat(sep=" ", timespec="seconds")


def table(title: str, header: Row, rows: Sequence[Row]) -> None:
    """Print `rows` under `title`; without a header, two columns: what, and how it is."""
    shown = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, show_header=bool(header))
    for name in header or ("", ""):
        shown.add_column(name, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(clean(cell)) for cell in row))
    Console(highlight=False).print(shown)
