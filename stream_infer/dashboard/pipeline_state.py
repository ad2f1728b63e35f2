"""All that is known of a pipeline from its topics: a fold over their records, bounded in memory.

Pure: no clock, no I/O. `app.dashboard` reads the topics, `documents` says what a page gets of this.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stream_infer.dashboard.column_history import ColumnHistory, ReferenceOf
from stream_infer.dashboard.incident_history import IncidentHistory
from stream_infer.dashboard.letter_history import LetterHistory
from stream_infer.dashboard.model_timeline import ModelTimeline
from stream_infer.dashboard.traffic_history import TrafficHistory
from stream_infer.dashboard.version_metrics import VersionMetrics
from stream_infer.drift.frames import ObservationFrame
from stream_infer.flow.records import Partition

_KNOWN_IDS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerView:
    """A worker by its status; `member` is None while it is unknown whether it is in the group."""

    name: str
    state: str
    version: str | None
    digest: str | None
    generation: int | None
    partitions: int
    serves_since_ms: int | None
    updated_ms: int
    refused: str | None
    member: bool | None


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """Records of one partition that no prediction answers yet; only about so many unless `exact`."""

    partition: Partition
    records: int
    exact: bool


@dataclass(frozen=True, slots=True)
class LagView:
    """The lag of the group by partition, or why it is unknown."""

    partitions: Sequence[PartitionLag] = ()
    unknown: str | None = "not asked yet"

    @property
    def records(self) -> int:
        """The records of all partitions."""
        return sum(one.records for one in self.partitions)

    @property
    def exact(self) -> bool:
        """Whether every partition was counted."""
        return all(one.exact for one in self.partitions)


@dataclass(slots=True)
class PipelineState:
    """The state of one pipeline. One thread writes and reads it.

    `workers`, `lag` and `troubles` are replaced whole by the caller. `troubles` has a sentence for each
    topic that cannot be read.
    """

    traffic: TrafficHistory
    columns: ColumnHistory
    incidents: IncidentHistory
    timeline: ModelTimeline
    metrics: VersionMetrics
    letters: LetterHistory
    positions: dict[Partition, int] = field(default_factory=dict)
    workers: Mapping[str, WorkerView] = field(default_factory=dict)
    lag: LagView = field(default_factory=LagView)
    troubles: Sequence[str] = ()
    unreadable: int = 0
    events: int = 0
    _known: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def take_frame(self, frame: ObservationFrame, written_ms: int) -> None:
        """Take an observation frame that was written at `written_ms` (Unix ms)."""
        after = frame.last_offset + 1
        if after > self.positions.get(frame.source, 0):
            self.positions[frame.source] = after
        self.traffic.take(frame, written_ms)
        self.columns.take(frame, written_ms)

    def take_event(self, event: Mapping[str, Any]) -> None:
        """Take a monitoring event. Of several with one id the first counts: a replay writes it again."""
        if event["id"] in self._known:
            return
        self._known[event["id"]] = None
        if len(self._known) > _KNOWN_IDS:
            self._known.popitem(last=False)
        self.events += 1
        self.incidents.take(event)
        self.timeline.take(event)
        self.metrics.take(event)


def empty_state(reference_of: ReferenceOf, *, shows_payload: bool = False) -> PipelineState:
    """Return the state of a pipeline of which no record was read."""
    return PipelineState(
        TrafficHistory(),
        ColumnHistory(reference_of),
        IncidentHistory(),
        ModelTimeline(),
        VersionMetrics(),
        LetterHistory(shows_payload=shows_payload),
    )
