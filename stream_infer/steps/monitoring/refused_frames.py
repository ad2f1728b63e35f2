"""Observation frames that were refused: all are counted, and an event tells of them, once an hour at most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stream_infer.flow.codes import EventType
from stream_infer.flow.records import Batch, Rejected

REASON = "refused_frames"
_TELL_EVERY_MS = 3_600_000


class RefusedFrames:
    """How many frames were refused, and how many of them no event has told of yet."""

    def __init__(self, pipeline: str) -> None:
        self._pipeline = pipeline
        self._total = self._untold = 0
        self._told_ms: int | None = None

    def take(self, batch: Batch, refused: Sequence[Rejected]) -> Sequence[Mapping[str, object]]:
        """Count the frames `refused` of `batch`; return the event about all untold ones when it is time."""
        if not refused:
            return ()
        self._total += len(refused)
        self._untold += len(refused)
        time_ms = batch.time_ms(refused[-1].row)
        if self._told_ms is not None and time_ms < self._told_ms + _TELL_EVERY_MS:
            return ()
        event = self._event(batch, refused[-1], time_ms)
        self._untold, self._told_ms = 0, time_ms
        return (event,)

    def to_document(self) -> dict[str, object]:
        """Return the state as JSON values."""
        return {"total": self._total, "untold": self._untold, "told_ms": self._told_ms}

    def restore(self, document: Mapping[str, Any]) -> None:
        """Take over the state that `to_document` wrote."""
        self._total, self._untold = document["total"], document["untold"]
        self._told_ms = document["told_ms"]

    def _event(self, batch: Batch, newest: Rejected, time_ms: int) -> Mapping[str, object]:
        source, offset = batch.source(newest.row), batch.offset[newest.row]
        return {
            "id": f"{self._pipeline}/{REASON}/{source.topic}/{source.index}/{offset}",
            "type": EventType.QUALITY,
            "severity": "warning",
            "time": time_ms,
            "pipeline": self._pipeline,
            "incident_id": None,
            "summary": f"observation frames refused: {self._untold} since the last such event; the newest is "
            f"{source.topic}/{source.index} offset {offset}: {newest.message}",
            "attributes": {"reason": REASON, "frames": str(self._untold), "total": str(self._total)},
        }
