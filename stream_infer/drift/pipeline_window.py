"""A window of a whole pipeline: the frames of all partitions as one, and the part of each partition in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from stream_infer.drift.alarms import Place
from stream_infer.drift.frame_documents import frame_from_document, frame_to_document
from stream_infer.drift.frames import ObservationFrame, merge_frames
from stream_infer.flow.records import Partition


@dataclass(slots=True)
class PipelineWindow:
    """The frames so far as one, whose source is that of all partitions; `places` are by partition."""

    frame: ObservationFrame
    places: dict[tuple[str, int], Place]
    opened_ms: int

    @staticmethod
    def of(frame: ObservationFrame, source: Partition, now_ms: int) -> PipelineWindow:
        """Return a window of `source` that begins with `frame`, of any partition."""
        place = Place(frame.source.topic, frame.source.index, frame.first_offset, frame.last_offset)
        return PipelineWindow(replace(frame, source=source), {place[:2]: place}, now_ms)

    def add(self, frame: ObservationFrame) -> None:
        """Take another frame, of any partition."""
        other = PipelineWindow.of(frame, self.frame.source, self.opened_ms)
        self.frame = merge_frames(self.frame, other.frame)
        for key, new in other.places.items():
            known = self.places.get(key, new)
            first, last = min(known.first_offset, new.first_offset), max(known.last_offset, new.last_offset)
            self.places[key] = Place(*key, first, last)

    def sorted_places(self) -> tuple[Place, ...]:
        """Return the places in order of topic and partition."""
        return tuple(place for _, place in sorted(self.places.items()))

    def to_document(self) -> dict[str, object]:
        """Return the window as JSON values."""
        places = [list(place) for place in self.places.values()]
        return {"frame": frame_to_document(self.frame), "places": places, "opened_ms": self.opened_ms}

    @staticmethod
    def from_document(document: Mapping[str, Any]) -> PipelineWindow:
        """Return the window that `to_document` wrote."""
        places = {(place[0], place[1]): Place(*place) for place in document["places"]}
        return PipelineWindow(frame_from_document(document["frame"]), places, document["opened_ms"])


def grown_window(
    window: PipelineWindow | None, frame: ObservationFrame, source: Partition, now_ms: int
) -> PipelineWindow:
    """Return `window` with `frame`, or a new one of `source` that begins with it."""
    if window is None:
        return PipelineWindow.of(frame, source, now_ms)
    window.add(frame)
    return window
