"""Options of the command line: those that several commands share, and one frozen dataclass per command.

Nothing heavy is imported here: `--help` has to answer at once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

import typer

from stream_infer.packaging.csv_layout import CsvOptions

ConfigFile = Annotated[
    Path,
    typer.Option(
        "--config", "-c", envvar="STREAM_INFER_CONFIG", metavar="FILE", help="The worker.toml to use."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

_CSV = "CSV files"
DEFAULT_CONFIG = Path("worker.toml")

Options = TypeVar("Options")


@dataclass(frozen=True, slots=True, kw_only=True)
class CsvFileOptions:
    """The options of commands that read CSV files."""

    csv_separator: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_CSV, metavar="SIGN", help="What separates cells, or tab (default ',')."
        ),
    ] = None
    csv_decimal: Annotated[
        str | None, typer.Option(rich_help_panel=_CSV, metavar="SIGN", help="The decimal mark (default '.').")
    ] = None
    csv_thousands: Annotated[
        str | None,
        typer.Option(
            rich_help_panel=_CSV, metavar="SIGN", help="What groups three digits (default: nothing)."
        ),
    ] = None
    csv_encoding: Annotated[
        str | None, typer.Option(rich_help_panel=_CSV, metavar="NAME", help="The encoding (default utf-8).")
    ] = None

    def csv(self) -> CsvOptions:
        """Return these options."""
        return CsvOptions(self.csv_separator, self.csv_decimal, self.csv_thousands, self.csv_encoding)


def takes_options(run: Callable[[Options], None]) -> Callable[..., None]:
    """Return `run`, whose parameter `options` is a dataclass, as a command with one parameter per field.

    A field is declared as Typer declares a parameter: `Annotated`, with a `typer.Option` or `typer.Argument`.
    """
    hints = get_type_hints(run)
    make: Callable[..., Options] = hints["options"]
    types = get_type_hints(make, include_extras=True)

    def command(**values: Any) -> None:  # noqa: ANN401 - the fields of any dataclass
        run(make(**values))

    command.__doc__ = _unwrapped(inspect.getdoc(run) or "")
    command.__annotations__ = types
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # read by inspect.signature
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=types[field.name],
        )
        for field in fields(make)  # type: ignore[arg-type]  # the class of a dataclass
    )
    return command


def _unwrapped(text: str) -> str:
    """Return `text` with one line per paragraph: the terminal's width is not that of the source."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))
