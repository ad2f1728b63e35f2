"""The whole of monitoring inputs and outputs: a frame in, what it opens and ends out.

Holds windows, watches and incidents, and gives them away as JSON documents, each under its own key, so that
only what has changed has to be stored, and none is large: each column has one of its own. Of each source
partition the newest few models are remembered, of older ones nothing. What documents mean to a topic is
`steps.monitoring.monitor`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from stream_infer.drift import windows
from stream_infer.drift.detector_bank import DetectionPolicy, DetectorBank
from stream_infer.drift.distance import INSUFFICIENT, LEAST_REFERENCE_ROWS
from stream_infer.drift.frames import ObservationFrame
from stream_infer.drift.incidents import Change, IncidentPolicy, Incidents
from stream_infer.drift.reference import Reference
from stream_infer.drift.windows import StreamKey, WindowPolicy, Windows
from stream_infer.flow.records import Partition

_MODELS_KEPT = 4
"""So many models of a source partition are remembered: the one that serves, and some to go back to."""

Document = dict[str, Any]
References = Callable[[str], Reference | None]
"""The reference of a package by its digest."""


@dataclass(frozen=True, slots=True)
class MonitorPolicy:
    """Everything there is to choose; the defaults are one set for all streams."""

    windows: WindowPolicy = field(default_factory=WindowPolicy)
    watch: DetectionPolicy = field(default_factory=DetectionPolicy)
    incidents: IncidentPolicy = field(default_factory=IncidentPolicy)


@dataclass(frozen=True, slots=True)
class ReferenceMissing:
    """A model without a reference that its stream could be compared with: said once."""

    frame: ObservationFrame
    reason: str
    rows: int


class Monitor:
    """Watches every stream of a pipeline. Deterministic: the same frames give the same changes."""

    def __init__(self, pipeline: str, policy: MonitorPolicy, references: References) -> None:
        self._policy = policy
        self._references = references
        self._windows = Windows(policy.windows)
        self._banks: dict[StreamKey, DetectorBank] = {}
        self._incidents = Incidents(pipeline, policy.incidents)
        self._pipeline = pipeline
        self._known: dict[str, int] = {}
        self._touched: dict[str, Callable[[], Document | None]] = {}

    @property
    def records(self) -> int:
        """How many input records the frames have told of."""
        return sum(self._known.values())

    def bank_of(self, stream: StreamKey) -> DetectorBank:
        """Return who watches `stream`."""
        if stream not in self._banks:
            self._banks[stream] = DetectorBank(self._policy.watch, self._references(stream.digest))
        return self._banks[stream]

    def take(self, frame: ObservationFrame, now_ms: int) -> Sequence[Change | ReferenceMissing]:
        """Take a frame; return what opens and ends with it, in order."""
        changes: list[Change | ReferenceMissing] = list(self._greet(frame))
        self._known[frame.digest] += frame.records
        looks = self._windows.add(frame, now_ms)
        self._touched["models"] = lambda: dict(self._known)
        for stream in self._windows.moved:
            self._touched[_key("window", stream)] = partial(self._window, stream)
        for look in looks:
            stream = StreamKey(look.source, look.digest)
            changes += self._incidents.take(self.bank_of(stream).evaluate(look))
            self._touched["incidents"] = self._incidents.to_document
            self._touch(stream)
            self._let_go(stream.source)
        return changes

    def changed(self) -> Mapping[str, Document | None]:
        """Return the documents that have changed since the last call, None for those that are gone."""
        touched, self._touched = self._touched, {}
        return {key: document() for key, document in sorted(touched.items())}

    def restore(self, documents: Mapping[str, Document]) -> None:
        """Take over the state that `documents` hold; those of others are left alone."""
        for key, document in documents.items():
            if key == "models":
                self._known = dict(document)
            elif key == "incidents":
                self._incidents = Incidents.from_document(document, self._pipeline, self._policy.incidents)
            elif key.startswith("window/"):
                self._windows.restore(_lane(document), windows.pending_from_document(document))
            elif key.startswith("watch/"):
                stream = _lane(document)
                reference = self._references(stream.digest)
                self._banks[stream] = DetectorBank.from_document(document, self._policy.watch, reference)
        for key, document in documents.items():
            if key.startswith("column/"):
                self._banks[_lane(document)].restore_column(document)

    def _window(self, stream: StreamKey) -> Document | None:
        gathering = self._windows.streams().get(stream)
        return None if gathering is None else _of(stream) | windows.pending_to_document(gathering)

    def _touch(self, stream: StreamKey) -> None:
        """Note that everything about `stream` has changed, or is gone."""
        bank = self._banks[stream]
        self._touched[_key("watch", stream)] = partial(self._watched, stream, bank.to_document)
        for kind, name in bank.columns:
            key = f"{_key('column', stream)}/{kind}/{name}"
            self._touched[key] = partial(self._watched, stream, partial(bank.column_document, kind, name))

    def _watched(self, stream: StreamKey, document: Callable[[], Document]) -> Document | None:
        return _of(stream) | document() if stream in self._banks else None

    def _let_go(self, source: Partition) -> None:
        """Forget what was watched longest ago, of the models of one source partition."""
        streams = sorted((stream for stream in self._banks if stream.source == source), key=self._recency)
        for stream in streams[:-_MODELS_KEPT]:
            self._touch(stream)
            del self._banks[stream]

    def _recency(self, stream: StreamKey) -> tuple[int, str]:
        return self._banks[stream].last, stream.digest

    def _greet(self, frame: ObservationFrame) -> Sequence[ReferenceMissing]:
        """Say so when a model is new and its reference too small to compare with."""
        if frame.digest in self._known:
            return ()
        self._known[frame.digest] = 0
        reference = self._references(frame.digest)
        rows = 0 if reference is None else reference.rows
        return () if rows >= LEAST_REFERENCE_ROWS else (ReferenceMissing(frame, INSUFFICIENT, rows),)


def _key(what: str, stream: StreamKey) -> str:
    return f"{what}/{stream.source.topic}/{stream.source.index}/{stream.digest}"


def _of(stream: StreamKey) -> Document:
    return {"lane": [stream.source.topic, stream.source.index, stream.digest]}


def _lane(document: Mapping[str, Any]) -> StreamKey:
    topic, index, digest = document["lane"]
    return StreamKey(Partition(topic, index), digest)
