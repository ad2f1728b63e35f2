"""A workshop with a model, a sample and a schema that make a package; cases spoil one of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from stream_infer.packaging.create import create_package
from stream_infer.packaging.create_report import CreateReport
from stream_infer.packaging.options import CreateOptions
from tests.support.rehearsals import unrehearsed
from tests.unit.packaging.workshop import Workshop

RNG = np.random.default_rng(5)
FRAME = pd.DataFrame({
    "a": RNG.normal(size=40).round(3),
    "b": RNG.integers(0, 9, 40).astype(float),
    "word": RNG.choice(list("pqr"), 40),
    "at": pd.date_range("2026-01-05T07:00", periods=40, freq="17D16h"),
})  # fmt: skip
NUMBERS = FRAME[["a", "b"]]
SUM = FRAME["a"] * 2 + FRAME["b"]
BIG = np.where(SUM.median() < SUM, "big", "small")
TIME = {"type": "long", "logicalType": "timestamp-millis"}
TYPES: Mapping[str, Any] = {"a": ["null", "double"], "b": "double", "word": "string", "at": TIME}


def event(**types: Any) -> dict[str, Any]:
    """Return a schema of events with these types, the others as in `TYPES`."""
    fields = [{"name": name, "type": kind} for name, kind in {**TYPES, **types}.items()]
    return {"type": "record", "name": "Event", "fields": fields}


@cache
def linear() -> LinearRegression:
    """Return a regressor of the columns a and b."""
    return LinearRegression().fit(NUMBERS, SUM)


@cache
def classifier() -> LogisticRegression:
    """Return a classifier of the columns a and b."""
    return LogisticRegression().fit(NUMBERS, BIG)


class Bench(Workshop):
    """A workshop whose parts fit; a case replaces one of them."""

    def make(self, model: Any = None, golden: Any = None, **more: Any) -> CreateReport:
        """Make the package from files, as the command does."""
        given = {"schema": event(), **more}
        return self.create(
            linear() if model is None else model, NUMBERS.head(12) if golden is None else golden, **given
        )

    def make_in_memory(self, model: Any = None, golden: Any = None, **more: Any) -> CreateReport:
        """Make the package as `stream_infer.package` does."""
        options = CreateOptions(
            model=linear() if model is None else model,
            golden=NUMBERS.head(12) if golden is None else golden,
            name="m",
            version="1",
            **{"schema": event(), "output": self.package, **more},
        )
        return create_package(options, unrehearsed)

    def schema(self, text: str | Mapping[str, Any]) -> Any:
        """Write the file of a schema."""
        return self.file("given.avsc", text if isinstance(text, str) else json.dumps(text))

    def bytes(self, name: str, data: bytes) -> Any:
        """Write a file."""
        path = self.folder / name
        path.write_bytes(data)
        return path


Steps = Iterator[tuple[str, Callable[[], object]]]
"""What a user tries: each but the last is refused with a fix that has the words; the next one follows it."""

Case = Callable[[Bench, pytest.MonkeyPatch], Steps]
DONE = ""
CASES: dict[str, Case] = {}


def case(told: Case) -> Case:
    """Add a case under the name of its function."""
    CASES[told.__name__.replace("_", " ")] = told
    return told


def cases(*rows: Sequence[Any]) -> Callable[[Callable[..., Steps]], Callable[..., Steps]]:
    """Add a case for each row of arguments of a function."""

    def add(told: Callable[..., Steps]) -> Callable[..., Steps]:
        for number, row in enumerate(rows):
            name = f"{told.__name__.replace('_', ' ')} {number}"
            CASES[name] = lambda bench, patch, row=row: told(bench, patch, *row)  # type: ignore[misc]
        return told

    return add
