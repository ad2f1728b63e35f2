"""Predictions, delayed labels, and what becomes of a label: the values that the join works on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

_MS_A_DAY = 86_400_000
_MOST_DELAY_MS = 2**53
_BASE_BYTES = 1_000
_TEXTS = 4
"""A text is kept as an id, in its document and in the document's key, and once more while it is written."""


class Predicted(NamedTuple):
    """A model's answer to one event. `time_ms` is the record's timestamp, `event_ms` the time of the event.

    `label` is a classifier's, `value` a regressor's; `score` belongs to the label. Both times are Unix
    milliseconds.
    """

    id: str
    version: str
    digest: str
    time_ms: int
    event_ms: int
    label: str | None = None
    score: float | None = None
    value: float | None = None

    @property
    def size_bytes(self) -> int:
        """About how much memory a prediction takes that is kept, with its stored document."""
        texts = len(self.id) + len(self.version) + len(self.digest) + len(self.label or "")
        return _BASE_BYTES + _TEXTS * texts


class Truth(NamedTuple):
    """The true outcome of one event: a label or a value. `id` is the prediction's.

    `time_ms` is the record's timestamp, `known_ms` the time at which the outcome was known.
    """

    id: str
    time_ms: int
    known_ms: int
    label: str | None = None
    value: float | None = None

    @property
    def size_bytes(self) -> int:
        """About how much memory a label takes that is kept, with its stored document."""
        return _BASE_BYTES + _TEXTS * (len(self.id) + len(self.label or ""))

    @property
    def content(self) -> str | float | None:
        """The label, or else the value: two labels of one prediction that differ here are in conflict."""
        return self.label if self.label is not None else self.value


class Pair(NamedTuple):
    """A prediction and its truth."""

    predicted: Predicted
    truth: Truth

    @property
    def delay_ms(self) -> int:
        """The time from the event until its truth was known; 0 when it was known before, at most 2^53."""
        return min(max(0, self.truth.known_ms - self.predicted.event_ms), _MOST_DELAY_MS)


class LabelOutcome(StrEnum):
    """What becomes of a label. The first two make pairs."""

    JOINED = "joined"
    EARLY = "early"
    LATE = "late"
    DOUBLE = "double"
    CONFLICTING = "conflicting"
    UNKNOWN = "unknown"
    UNSAMPLED = "unsampled"
    INVALID = "invalid"
    CORRECTED = "corrected"


PAIRED = frozenset({LabelOutcome.JOINED, LabelOutcome.EARLY})


@dataclass(frozen=True, slots=True)
class JoinPolicy:
    """How long a prediction waits for its label and a label for its prediction, and how many may do so.

    `window` is the number of offsets of a partition of labels that make a window. The sample that
    `max_pending` or `max_pending_bytes` leads to stays: a pipeline that was once over its budget keeps it.
    With `corrected_within_ms` the label of a prediction that was known last counts, if it was written so soon
    after the one that it corrects; else the first.
    """

    max_delay_ms: int = 7 * _MS_A_DAY
    max_early_ms: int = 600_000
    max_pending: int = 100_000
    window: int = 200
    max_pending_bytes: int = 512 * 2**20
    corrected_within_ms: int = 0


@dataclass(frozen=True, slots=True)
class LabelWindow:
    """A closed window of one partition of labels ("topic/index"), with the offsets of its records.

    `outcomes` counts every record in it, `pairs` are in offset order, `time_ms` is the newest record's
    timestamp. `coverage` is the part of all ids that the sample keeps.
    """

    log: str
    first_offset: int
    last_offset: int
    time_ms: int
    outcomes: Mapping[LabelOutcome, int]
    pairs: tuple[Pair, ...]
    coverage: float


@dataclass(frozen=True, slots=True)
class ReadProgress:
    """How far the topics have been read: no record before these record times is still to come.

    `reached` is the next offset of each partition of labels ("topic/index").
    """

    predictions_ms: int
    labels_ms: int
    reached: Mapping[str, int]
