"""The step of the monitor's role: frames and labels in, monitoring events and its own state out.

Reads no clock: an event's time is that of the record that led to it. The state goes out as documents (see
`state_documents`); `restore` takes them back, and `forget` goes back to the ones that were committed last.
Nothing but these documents survives a batch, so a kill changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stream_infer.avro.record import RecordReader, RecordWriter
from stream_infer.drift.detector_banks import References
from stream_infer.drift.incident import (
    IncidentChange,
    IncidentOpened,
    IncidentResolved,
    IncidentSettled,
    IncidentUpdated,
)
from stream_infer.drift.monitor import Monitor, MonitorPolicy, ReferenceMissing
from stream_infer.drift.windows import StreamKey
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.flow.records import Batch, Outcome, Partition, Rejected, Stage
from stream_infer.steps.monitoring import drift_event
from stream_infer.steps.monitoring.event_context import EventContext
from stream_infer.steps.monitoring.event_output import event_output
from stream_infer.steps.monitoring.incident_desk import DOCUMENT, IncidentDesk
from stream_infer.steps.monitoring.label_join import LabelJoinSettings, LabelJoinStep, rows_of
from stream_infer.steps.monitoring.refused_frames import RefusedFrames
from stream_infer.steps.monitoring.state_documents import StateDocuments
from stream_infer.steps.observing.frame_check import checked_frame

MonitoringEvent = Mapping[str, object]

_REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class MonitorSettings:
    """The pipeline, its topic of observation frames, and the policy of detection.

    `events` is the topic of monitoring events, which commands come on; without it there are none.
    `state_limit` is asked for the most bytes that the state topic takes as one record.
    """

    pipeline: str
    observations: str
    policy: MonitorPolicy = field(default_factory=MonitorPolicy)
    state_limit: Callable[[], int] = lambda: 1_000_000
    events: str = ""


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
        self._documents = StateDocuments(settings.pipeline, settings.state_limit)
        self.restore({})

    @property
    def label_join(self) -> LabelJoinStep | None:
        """The join of labels with predictions, if there are labels; metrics show its counts."""
        return self._label_join

    @property
    def records(self) -> int:
        """The number of input records that the frames so far summarise."""
        return self._monitor.records

    def position(self, partition: Partition, topic_id: str) -> int:
        """Return the next offset of `partition` in the state; 0 where it knows of none."""
        return self._documents.position(partition, topic_id)

    def restore(self, documents: Mapping[str, bytes]) -> None:
        """Begin with the state in `documents`: key without the pipeline -> the newest value in the log."""
        state = self._documents.restore(documents)
        self._monitor = Monitor(self._settings.pipeline, self._settings.policy, self._references)
        self._monitor.restore(dict(state))
        self._refused = RefusedFrames(self._settings.pipeline)
        if _REFUSED in state:
            self._refused.restore(state[_REFUSED])
        self.desk = IncidentDesk(self._settings.pipeline, self._settings.events, state.get(DOCUMENT))
        self._label_join: LabelJoinStep | None = None
        if self._labels is not None:
            self._label_join = LabelJoinStep(self._settings.pipeline, self._labels)
            self._label_join.restore(state)

    def __call__(self, batch: Batch) -> Outcome:
        """Take the records of `batch`.

        1. count the last outcome as committed; 2. take commands; 3. take each frame in order; 4. tell of the
        refused ones; 5. take predictions and labels; 6. write the events that follow; 7. write the documents
        that changed, and the positions.
        """
        self._documents.commit()
        settings, desk = self._settings, self.desk
        events = list(desk.take(batch, settings.observations, self._monitor, self._label_join))
        rejected: list[Rejected] = []
        for row in rows_of(batch, settings.observations):
            self._take_frame(batch, row, events, rejected)
        changed: dict[str, object] = {**self._monitor.changed(), **desk.changed()}
        if rejected:
            events += self._refused.take(batch, rejected)
            changed[_REFUSED] = self._refused.to_document()
        if self._label_join is not None:
            label_events, bad_rows = self._label_join.take(batch)
            events += label_events
            rejected += bad_rows
            changed |= self._label_join.changed()
        rejected.sort(key=lambda reject: reject.row)
        outputs = [
            event_output(settings.pipeline, [desk.toned(event) for event in events], self._codec.events),
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
            record = self._codec.frames.read(batch.values[row] or b"")
            frame = checked_frame(record, self._settings.pipeline)
        except ValueError as error:
            rejected.append(Rejected(row, Stage.DECODE, DeadLetterClass.INVALID, str(error)))
            return
        now_ms = batch.time_ms(row)
        events += self._drift_events(self._monitor.take(frame, now_ms), now_ms)

    def _drift_events(
        self, changes: Sequence[IncidentChange | ReferenceMissing], now_ms: int
    ) -> Iterator[MonitoringEvent]:
        pipeline = self._settings.pipeline
        for change in changes:
            match change:
                case IncidentOpened():
                    yield drift_event.opened_event(pipeline, change, self._context(change), now_ms)
                case IncidentUpdated():
                    yield drift_event.updated_event(pipeline, change, self._context(change), now_ms)
                case IncidentSettled():
                    yield drift_event.settled_event(pipeline, change, self._context(change), now_ms)
                case IncidentResolved():
                    yield drift_event.resolved_event(pipeline, change, self._context(change), now_ms)
                case ReferenceMissing():
                    yield drift_event.reference_missing_event(pipeline, change, now_ms)

    def _context(self, change: IncidentChange) -> EventContext:
        digest = change.incident.digest
        learned = self._monitor.learned(StreamKey(change.frame.source, digest))
        return EventContext(self._references(digest), learned)
