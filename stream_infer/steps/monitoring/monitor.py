"""The step of the monitor's role: frames and labels in, monitoring events and its own state out.

Reads no clock: an event's time is that of the record that led to it. The state goes out as JSON documents
under keys (a compacted topic keeps the newest of each); `restore` takes them back, and `forget` does the same
with what was committed last. Nothing but these documents survives a batch, so a kill changes nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stream_infer.avro.record import RecordReader, RecordWriter
from stream_infer.drift.incident import IncidentChange, IncidentOpened, IncidentResolved
from stream_infer.drift.monitor import Monitor, MonitorPolicy, ReferenceMissing, References
from stream_infer.drift.windows import StreamKey
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.flow.records import Batch, Channel, Headers, Outcome, Output, Partition, Rejected, Stage
from stream_infer.steps import cloudevents
from stream_infer.steps.monitoring import drift_event
from stream_infer.steps.monitoring.drift_event import EventContext
from stream_infer.steps.monitoring.label_join import LabelJoinSettings, LabelJoinStep, rows_of
from stream_infer.steps.observing.frame_record import from_record

POSITIONS = "positions"
"""The document that says up to where the state has come; it is in every outcome."""


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """What the role is told. `observations` is the topic of frames.

    `incarnations` has an id for each topic that another of the same name has not: offsets that the state
    remembers are those of one topic, and mean nothing in the one that was made in its place.
    """

    pipeline: str
    observations: str
    policy: MonitorPolicy = field(default_factory=MonitorPolicy)
    incarnations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordCodec:
    """How frames are read and events written."""

    frames: RecordReader
    events: RecordWriter


class MonitorStep:
    """A `Step`: a batch of observation frames to events and state."""

    def __init__(
        self,
        settings: MonitorSettings,
        references: References,
        codec: RecordCodec,
        judging: LabelJoinSettings | None = None,
    ) -> None:
        self._settings = settings
        self._judging = judging
        self._references = references
        self._codec = codec
        self._stored: dict[str, bytes] = {}
        self._pending: dict[str, bytes | None] = {}
        self._monitor = self._new()
        self._judge = self._new_judge()

    @property
    def judge(self) -> LabelJoinStep | None:
        """Who joins labels with predictions, if there are labels: what it counts is for metrics."""
        return self._judge

    @property
    def records(self) -> int:
        """How many input records the frames so far have told of."""
        return self._monitor.records

    def position(self, partition: Partition) -> int:
        """Return the next offset of `partition` that the state knows of; 0 where it knows of none."""
        return self._positions.get(self._place(partition), 0)

    @property
    def _positions(self) -> Mapping[str, int]:
        found: dict[str, int] = json.loads(self._stored.get(POSITIONS, b"{}"))
        return found

    def _place(self, partition: Partition) -> str:
        incarnation = self._settings.incarnations.get(partition.topic)
        place = f"{partition.topic}/{partition.index}"
        return place if incarnation is None else f"{place}@{incarnation}"

    def restore(self, documents: Mapping[str, bytes]) -> None:
        """Begin with the state in `documents`: key without the pipeline -> the newest value in the log."""
        self._stored = dict(documents)
        self._pending = {}
        read = {key: json.loads(value) for key, value in self._stored.items()}
        self._monitor = self._new()
        self._monitor.restore(read)
        self._judge = self._new_judge()
        if self._judge is not None:
            self._judge.restore(read)

    def __call__(self, batch: Batch) -> Outcome:
        """Take the frames of `batch`.

        1. what the last outcome changed is committed; 2. each frame in order; 3. predictions and labels;
        4. an event for all that they lead to; 5. the documents that have changed, and the positions.
        """
        self._settle()
        events: list[Mapping[str, object]] = []
        rejected: list[Rejected] = []
        for row in rows_of(batch, self._settings.observations):
            self._frame(batch, row, events, rejected)
        if self._judge is not None:
            told, bad = self._judge.take(batch)
            events += told
            rejected += bad
        rejected.sort(key=lambda reject: reject.row)
        self._pending = self._documents(batch)
        outputs = [self._events(events), self._state()]
        return Outcome(
            cursor=batch.cursor,
            outputs=[output for output in outputs if len(output)],
            predicted=0,
            rejected=rejected,
            skipped=len(batch) - len(rejected),
            model_version="",
        )

    def forget(self) -> None:
        self.restore(self._stored)

    def _new(self) -> Monitor:
        return Monitor(self._settings.pipeline, self._settings.policy, self._references)

    def _new_judge(self) -> LabelJoinStep | None:
        return None if self._judging is None else LabelJoinStep(self._settings.pipeline, self._judging)

    def _settle(self) -> None:
        for key, value in self._pending.items():
            if value is None:
                self._stored.pop(key, None)
            else:
                self._stored[key] = value
        self._pending = {}

    def _frame(
        self, batch: Batch, row: int, events: list[Mapping[str, object]], rejected: list[Rejected]
    ) -> None:
        try:
            frame = from_record(self._codec.frames.read(batch.values[row] or b""))
        except ValueError as error:
            rejected.append(Rejected(row, Stage.DECODE, DeadLetterClass.INVALID, str(error)))
            return
        now_ms = batch.timestamp_ms[row]
        events += self._said(self._monitor.take(frame, now_ms), now_ms)

    def _said(
        self, changes: Sequence[IncidentChange | ReferenceMissing], now_ms: int
    ) -> Iterator[dict[str, object]]:
        pipeline = self._settings.pipeline
        for change in changes:
            match change:
                case IncidentOpened():
                    yield drift_event.opened_event(pipeline, change, self._backdrop(change), now_ms)
                case IncidentResolved():
                    yield drift_event.resolved_event(pipeline, change, self._backdrop(change), now_ms)
                case ReferenceMissing():
                    yield drift_event.reference_missing_event(pipeline, change, now_ms)

    def _backdrop(self, change: IncidentChange) -> EventContext:
        digest = change.incident.digest
        watch = self._monitor.bank_of(StreamKey(change.frame.source, digest))
        return EventContext(self._references(digest), watch.learned)

    def _events(self, events: Sequence[Mapping[str, object]]) -> Output:
        pipeline = self._settings.pipeline
        headers: list[Headers | None] = [
            cloudevents.headers(
                str(event["id"]),
                str(event["type"]),
                f"/stream-infer/{pipeline}/monitor",
                _whole(event["time"]),
            )
            for event in events
        ]
        return Output(
            channel=Channel.EVENTS,
            rows=[],
            keys=[f"{pipeline}/{event['incident_id'] or event['type']}".encode() for event in events],
            values=[self._codec.events.write(event) for event in events],
            headers=headers,
        )

    def _documents(self, batch: Batch) -> dict[str, bytes | None]:
        changed: dict[str, object] = {**self._monitor.changed()}
        if self._judge is not None:
            changed |= self._judge.changed()
        documents = {
            key: None if document is None else _json(document)
            for key, document in changed.items()
            if document is not None or key in self._stored  # what came and went in one batch left no trace
        }
        positions = dict(self._positions)
        positions |= {self._place(p): span.next for p, span in batch.cursor.spans.items()}
        return documents | {POSITIONS: _json(positions)}

    def _state(self) -> Output:
        prefix = f"{self._settings.pipeline}/"
        return Output(
            channel=Channel.STATE,
            rows=[],
            keys=[(prefix + key).encode() for key in self._pending],
            values=list(self._pending.values()),
            headers=[None] * len(self._pending),
        )


def _json(document: object) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True, allow_nan=False).encode()


def _whole(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("a time is whole milliseconds")
    return value
