"""The monitoring of inputs and outputs: a frame in, the incidents that it opens and ends out.

Holds windows, detector banks and incidents, and gives their state away as JSON documents, each under its own
key, so that only the changed ones have to be stored, and none is large: each column has one of its own. The
newest few models are remembered, of older ones nothing. How documents go to a topic
is in `steps.monitoring.monitor`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from stream_infer.drift import windows
from stream_infer.drift.alarms import WindowResult
from stream_infer.drift.baseline import BaselineLearner, LearnedBaseline
from stream_infer.drift.detector_bank import DetectionPolicy
from stream_infer.drift.detector_banks import (
    MODELS_KEPT,
    DetectorBanks,
    Document,
    References,
    document_key,
    naming,
)
from stream_infer.drift.distance import INSUFFICIENT_REFERENCE, MIN_REFERENCE_ROWS
from stream_infer.drift.frames import ObservationFrame
from stream_infer.drift.ignored import IgnoredSignals, drop_ignored
from stream_infer.drift.incident import Incident, IncidentChange, IncidentResolved, IncidentSettled
from stream_infer.drift.incident_documents import stream_from_document
from stream_infer.drift.incidents import IncidentPolicy, Incidents
from stream_infer.drift.model_states import ModelStates
from stream_infer.drift.pipeline_levels import LevelPolicy, PipelineLevels
from stream_infer.drift.pipeline_stream import PipelineStream
from stream_infer.drift.windows import StreamKey, WindowPolicy, Windows


@dataclass(frozen=True, slots=True)
class MonitorPolicy:
    """All choices of monitoring; the defaults are one set for all streams."""

    windows: WindowPolicy = field(default_factory=WindowPolicy)
    detection: DetectionPolicy = field(default_factory=DetectionPolicy)
    incidents: IncidentPolicy = field(default_factory=IncidentPolicy)
    levels: LevelPolicy = field(default_factory=LevelPolicy)


@dataclass(frozen=True, slots=True)
class ReferenceMissing:
    """A model whose reference has too few rows (`rows`) to compare its stream with; reported once."""

    frame: ObservationFrame
    reason: str
    rows: int


class Monitor:
    """Monitors every stream of a pipeline. Deterministic: the same frames give the same changes."""

    def __init__(self, pipeline: str, policy: MonitorPolicy, references: References) -> None:
        self._policy = policy
        self._references = references
        self._windows = Windows(policy.windows)
        self._streams = ModelStates("stream/", _new_stream, MODELS_KEPT)
        self._banks = DetectorBanks(
            policy.detection, references, lambda digest: self._streams.of(digest).baseline
        )
        self._levels = ModelStates("levels/", self._new_levels, MODELS_KEPT)
        self._incidents = Incidents(pipeline, policy.incidents)
        self.ignored = IgnoredSignals()
        self._pipeline = pipeline
        self._records: dict[str, int] = {}
        self._changed: dict[str, Callable[[], Document | None]] = {}

    @property
    def records(self) -> int:
        """The number of input records that the frames so far summarise."""
        return sum(self._records.values())

    def learned(self, stream: StreamKey) -> LearnedBaseline | None:
        """Return the baseline of `stream` that the first events of the pipeline have taught so far."""
        return self._banks.learned(stream)

    def take(self, frame: ObservationFrame, now_ms: int) -> Sequence[IncidentChange | ReferenceMissing]:
        """Take a frame; return the incidents that open and end with it, in order."""
        changes: list[IncidentChange | ReferenceMissing] = list(self._new_model(frame))
        self._records[frame.digest] += frame.records
        complete = self._windows.add(frame, now_ms)
        self._changed["models"] = lambda: dict(self._records)
        for stream in self._windows.changed:
            self._changed[document_key("window", stream)] = partial(_window_document, self._windows, stream)
        for judged in self._levels.of(frame.digest).take(frame, now_ms):
            changes += self._decided(judged)
        self._levels.mark_changed(frame.digest)
        changes += self._whole(frame, now_ms)
        for window in complete:
            changes += self._decided(self._banks.evaluate(window))
        return changes

    def accept(self, incident_id: str) -> bool:
        """End an incident whose values are normal from now on; return whether it was open."""
        incident = self._incidents.end(incident_id)
        if incident is None:
            return False
        self._changed["incidents"] = self._incidents.to_document
        self._banks.accept(incident)
        columns = {(key.signal.kind, key.signal.name) for key in incident.tracks}
        for digest in {key.stream.digest for key in incident.tracks}:
            self._levels.of(digest).accept(columns)
            self._levels.mark_changed(digest)
        return True

    def ignore(self, incident_id: str) -> Incident | None:
        """Ignore the signal that an incident is named after; return the incident if it goes on without."""
        incident = self._incidents.end(incident_id)
        if incident is None:
            return None
        self.ignored.ignore(incident_id, incident.alarm.signal)
        drop_ignored(incident, self.ignored)
        if incident.tracks:
            self._incidents.resume(incident)
        self._changed["incidents"] = self._incidents.to_document
        return incident if incident.tracks else None

    def changed(self) -> Mapping[str, Document | None]:
        """Return the documents that changed since the last call, None for those that are gone."""
        parts = (part.changed() for part in (self._levels, self._streams, self._banks, self.ignored))
        changed = self._changed | {key: maker for part in parts for key, maker in part.items()}
        self._changed = {}
        return {key: document() for key, document in sorted(changed.items())}

    def restore(self, documents: Mapping[str, Document]) -> None:
        """Take over the state in `documents`; those of others are left alone."""
        for key, document in documents.items():
            if key == "models":
                self._records = dict(document)
            elif key == "incidents":
                self._incidents = Incidents.from_document(document, self._pipeline, self._policy.incidents)
            elif key == "ignored":
                self.ignored = IgnoredSignals.from_document(document)
            elif key.startswith("window/"):
                self._windows.restore(
                    stream_from_document(document["lane"]), windows.pending_from_document(document)
                )
            elif key.startswith("levels/"):
                self._levels.restore(key, document)
            elif key.startswith("stream/"):
                self._streams.restore(key, document)
        self._banks.restore(documents)

    def _whole(self, frame: ObservationFrame, now_ms: int) -> Sequence[IncidentChange]:
        """Take a frame into the stream of all partitions; return what a window that it completes changes."""
        stream = self._streams.of(frame.digest)
        window = stream.take(frame, now_ms)
        self._streams.mark_changed(frame.digest)
        if window is None:
            return ()
        changes: Sequence[IncidentChange] = ()
        if stream.is_divided:
            changes = self._decided(self._banks.evaluate(window.frame, window.sorted_places()))
        stream.baseline.add(window.frame)
        return changes

    def _decided(self, result: WindowResult) -> Sequence[IncidentChange]:
        """Return what a window changes in the incidents."""
        changes = self._incidents.take(self.ignored.without(result))
        self._changed["incidents"] = self._incidents.to_document
        for change in changes:
            if isinstance(change, IncidentSettled | IncidentResolved):
                self._banks.restart(change)
        return changes

    def _new_levels(self, digest: str, _before: PipelineLevels | None) -> PipelineLevels:
        baseline = self._streams.of(digest).baseline
        return PipelineLevels(self._policy.levels, self._references(digest), baseline)

    def _new_model(self, frame: ObservationFrame) -> Sequence[ReferenceMissing]:
        """Report a model that is new and has a reference too small to compare with."""
        if frame.digest in self._records:
            return ()
        self._records[frame.digest] = 0
        reference = self._references(frame.digest)
        rows = 0 if reference is None else reference.rows
        if rows >= MIN_REFERENCE_ROWS:
            return ()
        return (ReferenceMissing(frame, INSUFFICIENT_REFERENCE, rows),)


def _new_stream(_digest: str, before: PipelineStream | None) -> PipelineStream:
    """Return the stream of a new model, which inherits the features' baseline of the model before."""
    learned = None if before is None else before.baseline.learned
    return PipelineStream(BaselineLearner(None if learned is None else learned.of_features()))


def _window_document(pending_windows: Windows, stream: StreamKey) -> Document | None:
    pending = pending_windows.pending(stream)
    return None if pending is None else naming(stream) | windows.pending_to_document(pending)
