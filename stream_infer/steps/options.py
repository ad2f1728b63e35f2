"""What a pipeline chooses about its records; apart from the step, so that settings load without models."""

from __future__ import annotations

from enum import StrEnum


class Tombstones(StrEnum):
    """What a record with a null value leads to."""

    SKIP = "skip"
    DEAD_LETTER = "dead_letter"


class Partitioning(StrEnum):
    """Which partition a prediction goes to: that of its event, or its key's."""

    SOURCE = "source"
    KEY = "key"


class OnDifference(StrEnum):
    """What becomes of a package that was made for something else, where that may be harmless."""

    WARN = "warn"
    REFUSE = "refuse"


class JoinBy(StrEnum):
    """What a prediction and its label have in common: the prediction's id, or the record key."""

    PREDICTION_ID = "prediction_id"
    KEY = "key"
