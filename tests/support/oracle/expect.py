"""What must become of each event, computed from its bytes and the bare estimator.

Decodes with fastavro, one record at a time, and asks the estimator itself: none of this is the code that is
judged, nor does it know how the events were made.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import fastavro
import numpy as np
import pandas as pd

from tests.support.log import Record

Place = tuple[int, int]
"""Partition and offset of a record of the input."""

MAGIC = b"\xc3\x01"
_HEAD = len(MAGIC) + 8


@dataclass(frozen=True, slots=True)
class Answer:
    """The prediction that a good event must lead to."""

    label: str
    score: float
    event_time: int
    copied: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Expected:
    """One entry for each record of the input: the answer, or `stage/class` of the dead letter."""

    answers: Mapping[Place, Answer]
    dead_letters: Mapping[Place, str]


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings that decide what becomes of an event; named as in `Job`."""

    schema: Any
    framing: str
    reject_nan: Sequence[str]
    event_time: str
    copied: Sequence[str]


def raw_schema(text: str) -> Any:
    """Return the parsed schema without its logical types, so that a timestamp is the number on the wire."""

    def bare(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: bare(value) for key, value in node.items() if key != "logicalType"}
        return [bare(each) for each in node] if isinstance(node, list) else node

    return fastavro.parse_schema(bare(json.loads(text)))


def expect(records: Sequence[Record], rules: Rules, estimator: Any) -> Expected:
    """Return what must become of `records`."""
    dead: dict[Place, str] = {}
    good: dict[Place, dict[str, Any]] = {}
    for record in records:
        place = (record.partition, record.offset)
        event = _read(record.value, rules)
        if isinstance(event, str):
            dead[place] = event
        elif any(isinstance(event[name], float) and math.isnan(event[name]) for name in rules.reject_nan):
            dead[place] = "validate/nan"
        else:
            good[place] = event
    answers: dict[Place, Answer] = {}
    for place, event, probabilities in _asked(good, estimator):
        if probabilities is None:
            dead[place] = "predict/raised"
        elif np.isnan(probabilities).any():
            dead[place] = "predict/output_nan"
        else:
            answers[place] = _answer(event, probabilities, rules, estimator)
    return Expected(answers, dead)


def _read(value: bytes | None, rules: Rules) -> dict[str, Any] | str:
    """Return the event in `value`, or why there is none."""
    if value is None:
        return "decode/null_value"
    if not value:
        return "decode/empty"
    if rules.framing == "single-object":
        if value[:2] != MAGIC:
            return "decode/bad_magic"
        value = value[_HEAD:]
    source = io.BytesIO(value)
    try:
        event = cast(dict[str, Any], fastavro.schemaless_reader(source, rules.schema, None))
    except UnicodeDecodeError:
        return "decode/invalid_utf8"
    except (EOFError, IndexError):
        return "decode/truncated"
    return event if source.tell() == len(value) else "decode/trailing_bytes"


def _asked(
    events: Mapping[Place, dict[str, Any]], estimator: Any
) -> list[tuple[Place, dict[str, Any], Any | None]]:
    """Return each event with its probabilities, or None where the estimator raises on it alone."""
    columns = list(estimator.feature_names_in_)
    frame = pd.DataFrame.from_records(list(events.values()), columns=columns)
    frame = frame.astype({name: "float64" for name in columns if frame[name].dtype == object})
    said = _ask(estimator, frame)
    return [(place, event, said[i]) for i, (place, event) in enumerate(events.items())]


def _ask(estimator: Any, frame: pd.DataFrame) -> list[Any | None]:
    """Ask for all rows at once; when the estimator raises, for each half."""
    try:
        return list(estimator.predict_proba(frame))
    except ValueError:
        if len(frame) == 1:
            return [None]
    middle = len(frame) // 2
    return _ask(estimator, frame.iloc[:middle]) + _ask(estimator, frame.iloc[middle:])


def _answer(event: dict[str, Any], probabilities: Any, rules: Rules, estimator: Any) -> Answer:
    """Return the answer of a classifier of two classes: the score is the second one's."""
    return Answer(
        label=str(estimator.classes_[probabilities.argmax()]),
        score=float(probabilities[1]),
        event_time=event[rules.event_time],
        copied={name: str(event[name]) for name in rules.copied},
    )
