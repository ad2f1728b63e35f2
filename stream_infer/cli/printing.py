"""Tables on the command line."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream_infer.common.printable import printable

Row = Sequence[str]


def table(title: str, header: Row, rows: Sequence[Row]) -> None:
    """Print `rows` under `title`; without a header, two columns: name and value."""
    shown = Table(title=Text(title), title_justify="left", box=SIMPLE_HEAD, show_header=bool(header))
    for name in header or ("", ""):
        shown.add_column(name, overflow="fold")
    for row in rows:
        shown.add_row(*(Text(printable(cell)) for cell in row))
    Console(highlight=False).print(shown)
