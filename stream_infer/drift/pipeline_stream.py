"""The stream of all partitions of a pipeline under one model, in windows for change detectors and baseline.

With many partitions a window of each takes long; one of all together takes as long as that of a single one.
Populations of partitions may differ (keyed topics) and a backlog is read partition by partition, so a window
waits for a share of the partitions that are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream_infer.drift.baseline import BaselineLearner
from stream_infer.drift.frames import ObservationFrame
from stream_infer.drift.pipeline_window import PipelineWindow, grown_window
from stream_infer.drift.windows import WHOLE

_RECORDS, _MOST_RECORDS = 1_000, 4_000
_SHARE = 0.75


class PipelineStream:
    """The open window of one model over all partitions, and the baseline that the first windows teach."""

    def __init__(self, baseline: BaselineLearner) -> None:
        self.baseline = baseline
        self._partitions: set[tuple[str, int]] = set()
        self._open: PipelineWindow | None = None
        self._seen_ms = 0

    @property
    def seen_ms(self) -> int:
        """When the newest frame arrived."""
        return self._seen_ms

    @property
    def is_divided(self) -> bool:
        """Whether the pipeline has more than one partition: of one its own detectors see the whole."""
        return len(self._partitions) > 1

    def take(self, frame: ObservationFrame, now_ms: int) -> PipelineWindow | None:
        """Take a frame of any partition; return the window that is complete with it, if one is."""
        self._seen_ms = now_ms
        self._partitions.add((frame.source.topic, frame.source.index))
        window = self._open = grown_window(self._open, frame, WHOLE, now_ms)
        self.baseline.pending = window.frame
        shared = len(window.places) >= _SHARE * len(self._partitions)
        if window.frame.records < (_RECORDS if shared else _MOST_RECORDS):
            return None
        self._open, self.baseline.pending = None, None
        return window

    def to_document(self) -> dict[str, object]:
        """Return the state as JSON values."""
        return {
            "seen_ms": self._seen_ms,
            "partitions": sorted(list(one) for one in self._partitions),
            "open": None if self._open is None else self._open.to_document(),
            "baseline": self.baseline.to_document(),
        }

    def restore(self, document: Mapping[str, Any]) -> None:
        """Take over the state that `to_document` wrote."""
        self._seen_ms = document["seen_ms"]
        self._partitions = {(topic, index) for topic, index in document["partitions"]}
        window = document["open"]
        self._open = None if window is None else PipelineWindow.from_document(window)
        self.baseline.restore(document["baseline"])
        self.baseline.pending = None if self._open is None else self._open.frame
