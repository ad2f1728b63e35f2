"""Columns of text that go to fields of numbers: which cell is no number, and the option that reads it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.packaging.binding import Bound
from stream_infer.packaging.csv_layout import NUMBERS

_SIGNS = re.compile(r"[^\d\s.,+\-eE]+")
_GROUPED = re.compile(r"\s*[+-]?\d{1,3}(,\d{3})+\s*")


def check_numbers(frames: Mapping[str, pd.DataFrame | None], columns: Sequence[Bound]) -> None:
    """Raise `Misconfigured` with each column that has text where its field has a number; frames by option."""
    numbers = [one for one in columns if one.leaf.kind in NUMBERS and one.leaf.logical is None]
    problems = [
        problem
        for option, frame in frames.items()
        if frame is not None
        for one in numbers
        for problem in _problem(option, one, frame[one.name])
    ]
    if problems:
        raise Misconfigured(problems)


def _problem(option: str, bound: Bound, column: pd.Series) -> Iterator[Problem]:
    if column.dtype.kind in "biufcmM":
        return
    texts = [value for value in column.unique() if isinstance(value, str)]
    if texts:
        unread = [text for text in texts if not _is_number(text)]
        shown = (unread or texts)[0]
        field = f"field '{bound.leaf.path}' is {bound.leaf.kind}"
        what = f"column '{bound.name}' has the text '{shown}', and {field}"
        yield Problem(option, bound.name, what, _fix(unread))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _fix(texts: Sequence[str]) -> str:
    signs = sorted({sign for text in texts for sign in _SIGNS.findall(text)})
    if signs or not texts:
        return f"write plain numbers, without {' '.join(signs)}" if signs else "make it a column of numbers"
    both = next((text for text in texts if "," in text and "." in text), None)
    if both is not None:
        english = both.rfind(".") > both.rfind(",")
        return "give --csv-thousands ','" if english else "give --csv-decimal ',' --csv-thousands '.'"
    commas = [text for text in texts if "," in text]
    if not commas:
        return "write plain numbers, such as 1234.5"
    if all(map(_GROUPED.fullmatch, commas)):
        return (
            "give --csv-thousands ',' if the comma groups digits, --csv-decimal ',' if it is the decimal mark"
        )
    return "give --csv-decimal ','"
