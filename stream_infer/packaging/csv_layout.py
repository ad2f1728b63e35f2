"""How a CSV file is written: separator, decimal mark, digit groups, encoding; and its rows, each checked.

`pd.read_csv` shifts columns silently where rows have one cell more than the header, and fills up short ones:
here such a row is an error that names it.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from stream_infer.flow.errors import Misconfigured, Problem

NUMBERS = frozenset({"int", "long", "float", "double"})
"""The kinds of fields that have numbers."""

_NAMED = {"tab": "\t", "\\t": "\t"}
_LIKELY_SEPARATORS = (";", "\t", "|")


class CsvUnreadable(ValueError):
    """A CSV file that cannot be read as its layout says: what is wrong, the fix, and the row from 1 on."""

    def __init__(self, reason: str, fix: str, row: int | None = None) -> None:
        super().__init__(reason)
        self.fix, self.row = fix, row


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """The layout of a CSV file. A separator of None is a comma that nobody has chosen."""

    separator: str | None = None
    decimal: str = "."
    thousands: str | None = None
    encoding: str = "utf-8"

    @property
    def codec(self) -> str:
        """Return the encoding for `open`; UTF-8 may begin with a byte order mark."""
        return "utf-8-sig" if codecs.lookup(self.encoding).name == "utf-8" else self.encoding

    def plain_number(self, text: str) -> str:
        """Return the number `text` as Python writes it."""
        if self.thousands is not None:
            text = text.replace(self.thousands, "")
        return text.replace(self.decimal, ".")


DEFAULT_LAYOUT = CsvLayout()


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """The options `--csv-*`, as they were written on the command line."""

    separator: str | None = None
    decimal: str | None = None
    thousands: str | None = None
    encoding: str | None = None


def layout_of(options: CsvOptions) -> CsvLayout:
    """Return the layout that `options` describe. Raises `Misconfigured`."""
    layout = CsvLayout(
        options.separator and _NAMED.get(options.separator, options.separator),
        options.decimal or DEFAULT_LAYOUT.decimal,
        options.thousands,
        options.encoding or DEFAULT_LAYOUT.encoding,
    )
    marks = {
        "--csv-separator": layout.separator or ",",
        "--csv-decimal": layout.decimal,
        "--csv-thousands": layout.thousands or "",
    }
    problems = [
        Problem(option, mark, "is not one sign", "give one sign, such as ';' (or tab)")
        for option, mark in marks.items()
        if mark and (len(mark) > 1 or mark.isalnum())
    ]
    if layout.thousands == layout.decimal:
        what = "is the decimal mark too"
        problems.append(Problem("--csv-thousands", layout.decimal, what, "give --csv-decimal another sign"))
    try:
        codecs.lookup(layout.encoding)
    except LookupError:
        fix = "give a name that Python knows, such as latin-1, cp1252 or utf-16"
        problems.append(Problem("--csv-encoding", layout.encoding, "is no known encoding", fix))
    if problems:
        raise Misconfigured(problems)
    return layout


def csv_rows(path: Path, layout: CsvLayout) -> Iterator[list[str]]:
    """Yield the header and then each row of `path` without empty lines. Raises `CsvUnreadable`, `OSError`."""
    with path.open(encoding=layout.codec, newline="") as file:
        lines = csv.reader(file, delimiter=layout.separator or ",")
        try:
            header = next(lines, [])
            _check_header(header, layout)
            yield header
            for number, cells in enumerate(filter(None, lines), 1):
                if len(cells) != len(header):
                    raise _another_length(number, cells, header)
                _check_groups(number, cells, header, layout)
                yield cells
        except UnicodeDecodeError as error:
            raise _not_encoded(error) from error
        except csv.Error as error:
            raise CsvUnreadable(str(error), "give a file that is whole", lines.line_num) from error


def _check_header(header: Sequence[str], layout: CsvLayout) -> None:
    if len(set(header)) < len(header):
        twice = sorted({name for name in header if header.count(name) > 1})
        raise CsvUnreadable(f"the header has {', '.join(twice)} more than once", "give each column one name")
    other = next((one for one in _LIKELY_SEPARATORS if header and one in header[0]), None)
    if layout.separator is None and len(header) == 1 and other is not None:
        name = "tab" if other == "\t" else f"'{other}'"
        what = f"the header is one column, '{header[0]}'; its cells look separated by {name}"
        raise CsvUnreadable(what, f"give --csv-separator {name}, or --csv-separator ',' if it is one column")


def _another_length(number: int, cells: Sequence[str], header: Sequence[str]) -> CsvUnreadable:
    what = f"has {len(cells)} cells, and the header has {len(header)}"
    if len(cells) == len(header) + 1 and not cells[-1]:
        fix = "remove the separator at the end of the rows, or give the last column a name in the header"
        return CsvUnreadable(f"{what}: it ends in a separator", fix, number)
    return CsvUnreadable(
        what, "correct or remove the row; a cell with a separator in it needs quotes", number
    )


def _check_groups(number: int, cells: Sequence[str], header: Sequence[str], layout: CsvLayout) -> None:
    """Refuse a number with digit groups of another size: `pd.read_csv` would read 1,5 as 15."""
    if layout.thousands is None:
        return
    mark, decimal = re.escape(layout.thousands), re.escape(layout.decimal)
    for name, cell in zip(header, cells, strict=True):
        if layout.thousands not in cell or not re.fullmatch(rf"\s*[+-]?[\d{mark}]+({decimal}\d*)?\s*", cell):
            continue
        if not re.fullmatch(rf"\s*[+-]?\d{{1,3}}({mark}\d{{3}})+({decimal}\d*)?\s*", cell):
            what = (
                f"column '{name}' has '{cell}', and --csv-thousands '{layout.thousands}' groups three digits"
            )
            raise CsvUnreadable(what, "correct the cell, or leave --csv-thousands out", number)


def _not_encoded(error: UnicodeDecodeError) -> CsvUnreadable:
    at = error.object[error.start : error.start + 1].hex()
    utf_16 = error.object[:2] in {codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE}
    fix = f"give --csv-encoding {'utf-16' if utf_16 else 'latin-1, cp1252 or what it was written in'}"
    return CsvUnreadable(f"is not {error.encoding}: it has a byte 0x{at}", fix)
