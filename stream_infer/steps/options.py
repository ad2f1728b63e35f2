"""Options of the steps; apart from them, so that settings load without models."""

from __future__ import annotations

from enum import StrEnum


class Tombstones(StrEnum):
    """The treatment of a record with a null value."""

    SKIP = "skip"
    DEAD_LETTER = "dead_letter"


class Partitioning(StrEnum):
    """The partition of a prediction: that of its event, or the one of its key."""

    SOURCE = "source"
    KEY = "key"


class OnDifference(StrEnum):
    """The treatment of a package that was made for something else, where that may be harmless."""

    WARN = "warn"
    REFUSE = "refuse"


class Pickles(StrEnum):
    """The treatment of a package whose load runs code that is in it: a pickle, or modules."""

    LOAD = "load"
    REFUSE = "refuse"


class JoinBy(StrEnum):
    """What joins a prediction and its label: the prediction's id, or the record key."""

    PREDICTION_ID = "prediction_id"
    KEY = "key"
