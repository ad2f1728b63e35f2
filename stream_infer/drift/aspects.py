"""The signals that are monitored: which column of a model, and which aspect of it."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Aspect(StrEnum):
    """The aspect of a column that a signal measures."""

    MEAN = "mean"
    SPREAD = "spread"
    CATEGORIES = "categories"
    UNSEEN = "unseen_category"
    OUT_OF_RANGE = "out_of_range"
    NULLS = "null_rate"
    NON_FINITE = "non_finite_rate"
    DEAD_LETTERS = "dead_letter_rate"
    ERROR = "error"
    DISTRIBUTION = "distribution"


QUALITY = frozenset({Aspect.NON_FINITE, Aspect.DEAD_LETTERS})
"""Values that should not be there at all."""
RATES = QUALITY | {Aspect.NULLS, Aspect.UNSEEN, Aspect.OUT_OF_RANGE}
"""Of these less than before, or than in training, is no worse: a fall may end an incident, and opens none."""


class Signal(NamedTuple):
    """One monitored quantity: an aspect of a column. Kind and name are empty for all records of a stream."""

    kind: str
    name: str
    aspect: Aspect


RECORDS = ""
"""The kind of a signal that is about records, not about a column."""
