"""The state of the errors of one model, and its document."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from stream_infer.drift.class_errors import ErrorsByClass
from stream_infer.drift.error_samples import ErrorSample


@dataclass(slots=True)
class ErrorState:
    """The stored state of one model's errors: the open block, the baseline, and what detectors have seen.

    `values` and `label_errors` are in thousandths. `calm_blocks` counts blocks since a detector last fired.
    `expected` are the sums of the errors to expect in the open block, now and at first. `origin` is the
    baseline before errors settled at another level, `away` how far the newest blocks are from it.
    `longest_delay_ms` is the longest delay of the labels of the baseline. `one_class` is the class of all
    labels, where that is told. `accepted`: someone took other errors than the promised ones as normal.
    """

    block: ErrorSample = field(default_factory=ErrorSample)
    baseline: ErrorSample = field(default_factory=ErrorSample)
    baseline_blocks: int = 0
    values: list[int] = field(default_factory=list)
    label_errors: list[int] = field(default_factory=list)
    incident: str | None = None
    calm_blocks: int = 0
    expected: tuple[float, float] = (0.0, 0.0)
    origin: ErrorSample | None = None
    away: list[float] = field(default_factory=list)
    settled: bool = False
    longest_delay_ms: int = 0
    one_class: str | None = None
    accepted: bool = False
    classes: ErrorsByClass = field(default_factory=ErrorsByClass)

    def to_document(self) -> Mapping[str, Any]:
        """Return the state as JSON values."""
        return {
            "lot": self.block.to_document(),
            "first": self.baseline.to_document(),
            "first_lots": self.baseline_blocks,
            "values": self.values,
            "bits": self.label_errors,
            "incident": self.incident,
            "alarmed": self.calm_blocks,
            "level": {
                "expected": self.expected,
                "origin": self.origin and self.origin.to_document(),
                "away": self.away,
                "settled": self.settled,
                "longest_delay_ms": self.longest_delay_ms,
                "one_class": self.one_class,
                "accepted": self.accepted,
            },
            "classes": self.classes.to_document(),
        }

    @staticmethod
    def from_document(document: Mapping[str, Any]) -> ErrorState:
        """Return the state that wrote `document`."""
        state = ErrorState(
            block=ErrorSample.from_document(document["lot"]),
            baseline=ErrorSample.from_document(document["first"]),
            baseline_blocks=document["first_lots"],
            values=document["values"],
            label_errors=document["bits"],
            incident=document["incident"],
            calm_blocks=document["alarmed"],
        )
        if "classes" in document:  # which the first release did not count
            level = document["level"]
            now, first = level["expected"]
            state.expected, state.away = (now, first), level["away"]
            state.origin = level["origin"] and ErrorSample.from_document(level["origin"])
            state.settled, state.one_class = level["settled"], level["one_class"]
            state.longest_delay_ms = level["longest_delay_ms"]
            state.accepted = level.get("accepted", False)
            state.classes = ErrorsByClass.from_document(document["classes"])
        return state
