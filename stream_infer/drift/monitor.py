"""The monitoring of inputs and outputs: a frame in, the incidents that it opens and ends out.

Holds windows, detector banks and incidents, and gives their state away as JSON documents, each under its own
key, so that only the changed ones have to be stored, and none is large: each column has one of its own. Of
each source partition the newest few models are remembered, of older ones nothing. How documents go to a topic
is in `steps.monitoring.monitor`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from stream_infer.drift import windows
from stream_infer.drift.detector_bank import DetectionPolicy, DetectorBank
from stream_infer.drift.distance import INSUFFICIENT_REFERENCE, MIN_REFERENCE_ROWS
from stream_infer.drift.frames import ObservationFrame
from stream_infer.drift.incident import IncidentChange
from stream_infer.drift.incident_documents import stream_from_document, stream_to_document
from stream_infer.drift.incidents import IncidentPolicy, Incidents
from stream_infer.drift.reference import Reference
from stream_infer.drift.windows import StreamKey, WindowPolicy, Windows
from stream_infer.flow.records import Partition

_MODELS_KEPT = 4
"""So many models of a source partition are remembered: the serving one, and some to roll back to."""

Document = dict[str, Any]
References = Callable[[str], Reference | None]
"""The reference of a package by its digest."""


@dataclass(frozen=True, slots=True)
class MonitorPolicy:
    """All choices of monitoring; the defaults are one set for all streams."""

    windows: WindowPolicy = field(default_factory=WindowPolicy)
    detection: DetectionPolicy = field(default_factory=DetectionPolicy)
    incidents: IncidentPolicy = field(default_factory=IncidentPolicy)


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
        self._banks: dict[StreamKey, DetectorBank] = {}
        self._incidents = Incidents(pipeline, policy.incidents)
        self._pipeline = pipeline
        self._records: dict[str, int] = {}
        self._changed: dict[str, Callable[[], Document | None]] = {}

    @property
    def records(self) -> int:
        """The number of input records that the frames so far summarise."""
        return sum(self._records.values())

    def bank_of(self, stream: StreamKey) -> DetectorBank:
        """Return the detectors of `stream`."""
        if stream not in self._banks:
            self._banks[stream] = DetectorBank(self._policy.detection, self._references(stream.digest))
        return self._banks[stream]

    def take(self, frame: ObservationFrame, now_ms: int) -> Sequence[IncidentChange | ReferenceMissing]:
        """Take a frame; return the incidents that open and end with it, in order."""
        changes: list[IncidentChange | ReferenceMissing] = list(self._new_model(frame))
        self._records[frame.digest] += frame.records
        complete = self._windows.add(frame, now_ms)
        self._changed["models"] = lambda: dict(self._records)
        for stream in self._windows.changed:
            self._changed[_key("window", stream)] = partial(self._window_document, stream)
        for window in complete:
            stream = StreamKey(window.source, window.digest)
            changes += self._incidents.take(self.bank_of(stream).evaluate(window))
            self._changed["incidents"] = self._incidents.to_document
            self._mark_changed(stream)
            self._forget_old_models(stream.source)
        return changes

    def changed(self) -> Mapping[str, Document | None]:
        """Return the documents that changed since the last call, None for those that are gone."""
        changed, self._changed = self._changed, {}
        return {key: document() for key, document in sorted(changed.items())}

    def restore(self, documents: Mapping[str, Document]) -> None:
        """Take over the state in `documents`; those of others are left alone."""
        for key, document in documents.items():
            if key == "models":
                self._records = dict(document)
            elif key == "incidents":
                self._incidents = Incidents.from_document(document, self._pipeline, self._policy.incidents)
            elif key.startswith("window/"):
                self._windows.restore(_stream_of(document), windows.pending_from_document(document))
            elif key.startswith("watch/"):
                stream = _stream_of(document)
                reference = self._references(stream.digest)
                self._banks[stream] = DetectorBank.from_document(document, self._policy.detection, reference)
        for key, document in documents.items():
            if key.startswith("column/"):
                self._banks[_stream_of(document)].restore_column(document)

    def _window_document(self, stream: StreamKey) -> Document | None:
        pending = self._windows.pending(stream)
        return None if pending is None else _naming(stream) | windows.pending_to_document(pending)

    def _bank_document(self, stream: StreamKey, document: Callable[[], Document]) -> Document | None:
        return _naming(stream) | document() if stream in self._banks else None

    def _mark_changed(self, stream: StreamKey) -> None:
        """Note that the bank of `stream` has changed, or is gone."""
        bank = self._banks[stream]
        self._changed[_key("watch", stream)] = partial(self._bank_document, stream, bank.to_document)
        for kind, name in bank.columns:
            key = f"{_key('column', stream)}/{kind}/{name}"
            document = partial(bank.column_document, kind, name)
            self._changed[key] = partial(self._bank_document, stream, document)

    def _forget_old_models(self, source: Partition) -> None:
        """Forget the banks of a source partition that are not of the newest few models."""
        streams = [stream for stream in self._banks if stream.source == source]
        streams.sort(key=lambda stream: (self._banks[stream].last_offset, stream.digest))
        for stream in streams[:-_MODELS_KEPT]:
            self._mark_changed(stream)
            del self._banks[stream]

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


def _key(kind: str, stream: StreamKey) -> str:
    return f"{kind}/{stream.source.topic}/{stream.source.index}/{stream.digest}"


def _naming(stream: StreamKey) -> Document:
    return {"lane": stream_to_document(stream)}


def _stream_of(document: Mapping[str, Any]) -> StreamKey:
    return stream_from_document(document["lane"])
