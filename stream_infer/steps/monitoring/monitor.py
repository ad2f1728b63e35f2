"""The step of the monitor's role: frames and labels in, monitoring events and its own state out.

Reads no clock: an event's time is that of the record that led to it. The state goes out as documents (see
`state_documents`); `restore` takes them back, and `forget` goes back to the ones that were committed last.
Nothing but these documents survives a batch, so a kill changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stream_infer.avro.record import RecordReader, RecordWriter
from stream_infer.drift.incident import IncidentChange, IncidentOpened, IncidentResolved
from stream_infer.drift.monitor import Monitor, MonitorPolicy, ReferenceMissing, References
from stream_infer.drift.windows import StreamKey
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.flow.records import Batch, Outcome, Partition, Rejected, Stage
from stream_infer.steps.monitoring import drift_event
from stream_infer.steps.monitoring.event_context import EventContext
from stream_infer.steps.monitoring.event_output import event_output
from stream_infer.steps.monitoring.label_join import LabelJoinSettings, LabelJoinStep, rows_of
from stream_infer.steps.monitoring.state_documents import StateDocuments
from stream_infer.steps.observing.frame_check import check_frame
from stream_infer.steps.observing.frame_record import from_record

MonitoringEvent = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """The pipeline, its topic of observation frames, and the policy of detection.

    `incarnations` are topic ids by name, see `StateDocuments`.
    """

    pipeline: str
    observations: str
    policy: MonitorPolicy = field(default_factory=MonitorPolicy)
    incarnations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RecordCodec:
    """The reader of frames and the writer of events."""

    frames: RecordReader
    events: RecordWriter


class MonitorStep:
    """A `Step`: a batch of observation frames, predictions and labels to events and state."""

    def __init__(
        self,
        settings: MonitorSettings,
        references: References,
        codec: RecordCodec,
        labels: LabelJoinSettings | None = None,
    ) -> None:
        self._settings = settings
        self._references = references
        self._codec = codec
        self._labels = labels
        self._documents = StateDocuments(settings.pipeline, settings.incarnations)
        self.restore({})

    @property
    def label_join(self) -> LabelJoinStep | None:
        """The join of labels with predictions, if there are labels; metrics show its counts."""
        return self._label_join

    @property
    def records(self) -> int:
        """The number of input records that the frames so far summarise."""
        return self._monitor.records

    def position(self, partition: Partition) -> int:
        """Return the next offset of `partition` in the state; 0 where it knows of none."""
        return self._documents.position(partition)

    def restore(self, documents: Mapping[str, bytes]) -> None:
        """Begin with the state in `documents`: key without the pipeline -> the newest value in the log."""
        state = self._documents.restore(documents)
        self._monitor = Monitor(self._settings.pipeline, self._settings.policy, self._references)
        self._monitor.restore(dict(state))
        self._label_join: LabelJoinStep | None = None
        if self._labels is not None:
            self._label_join = LabelJoinStep(self._settings.pipeline, self._labels)
            self._label_join.restore(state)

    def __call__(self, batch: Batch) -> Outcome:
        """Take the records of `batch`.

        1. count the last outcome as committed; 2. take each frame in order; 3. take predictions and labels;
        4. write the events that follow; 5. write the documents that changed, and the positions.
        """
        self._documents.commit()
        events: list[MonitoringEvent] = []
        rejected: list[Rejected] = []
        for row in rows_of(batch, self._settings.observations):
            self._take_frame(batch, row, events, rejected)
        changed: dict[str, object] = {**self._monitor.changed()}
        if self._label_join is not None:
            label_events, bad_rows = self._label_join.take(batch)
            events += label_events
            rejected += bad_rows
            changed |= self._label_join.changed()
        rejected.sort(key=lambda reject: reject.row)
        outputs = [
            event_output(self._settings.pipeline, events, self._codec.events),
            self._documents.change(changed, batch),
        ]
        return Outcome(
            cursor=batch.cursor,
            outputs=[output for output in outputs if len(output)],
            predicted=0,
            rejected=rejected,
            skipped=len(batch) - len(rejected),
            model_version="",
        )

    def forget(self) -> None:
        self.restore(self._documents.committed)

    def _take_frame(
        self, batch: Batch, row: int, events: list[MonitoringEvent], rejected: list[Rejected]
    ) -> None:
        try:
            frame = from_record(self._codec.frames.read(batch.values[row] or b""))
            check_frame(frame)
        except ValueError as error:
            rejected.append(Rejected(row, Stage.DECODE, DeadLetterClass.INVALID, str(error)))
            return
        now_ms = batch.timestamp_ms[row]
        events += self._drift_events(self._monitor.take(frame, now_ms), now_ms)

    def _drift_events(
        self, changes: Sequence[IncidentChange | ReferenceMissing], now_ms: int
    ) -> Iterator[MonitoringEvent]:
        pipeline = self._settings.pipeline
        for change in changes:
            match change:
                case IncidentOpened():
                    yield drift_event.opened_event(pipeline, change, self._context(change), now_ms)
                case IncidentResolved():
                    yield drift_event.resolved_event(pipeline, change, self._context(change), now_ms)
                case ReferenceMissing():
                    yield drift_event.reference_missing_event(pipeline, change, now_ms)

    def _context(self, change: IncidentChange) -> EventContext:
        digest = change.incident.digest
        bank = self._monitor.bank_of(StreamKey(change.frame.source, digest))
        return EventContext(self._references(digest), bank.learned)
