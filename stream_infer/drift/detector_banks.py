"""The detector banks of a pipeline: of each partition and of all of them together, under each model.

A bank continues the series of features of the model that served before it, where both compare a feature with
the same baseline: a new model is no reason to begin anew. Of each partition the newest few models are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from stream_infer.drift.alarms import Place, WindowResult
from stream_infer.drift.baseline import BaselineLearner, LearnedBaseline
from stream_infer.drift.detector_bank import DetectionPolicy, DetectorBank
from stream_infer.drift.frames import ObservationFrame
from stream_infer.drift.incident import Incident, IncidentResolved, IncidentSettled
from stream_infer.drift.incident_documents import stream_from_document, stream_to_document
from stream_infer.drift.reference import Reference
from stream_infer.drift.windows import StreamKey
from stream_infer.flow.records import Partition

MODELS_KEPT = 4
"""So many models are remembered: the serving one, and some to roll back to."""
_KEPT_SETTLED, _KEPT_RESOLVED = 40, 3
"""So many values of a series stay: those at the new level, and those that are back."""

Document = dict[str, Any]
References = Callable[[str], Reference | None]
"""The reference of a package by its digest."""


class DetectorBanks:
    """The banks by stream. `baselines` has the learner of a model by its digest."""

    def __init__(
        self, policy: DetectionPolicy, references: References, baselines: Callable[[str], BaselineLearner]
    ) -> None:
        self._policy = policy
        self._references = references
        self._baselines = baselines
        self._banks: dict[StreamKey, DetectorBank] = {}
        self._serving: dict[Partition, str] = {}
        self._changed: dict[str, Callable[[], Document | None]] = {}

    def evaluate(self, window: ObservationFrame, places: tuple[Place, ...] = ()) -> WindowResult:
        """Take the next window of a partition, or of all of them with its places; return what it shows."""
        stream = StreamKey(window.source, window.digest)
        serving = self._serving.get(stream.source)
        before = None if serving is None else self._banks.get(StreamKey(stream.source, serving))
        bank = self._of(stream)
        result = bank.evaluate(window, places, None if before is bank else before)
        if serving != stream.digest:
            self._serving[stream.source] = stream.digest
            self._changed["serving"] = self._serving_document
        self._mark_changed(stream)
        self._forget_old_models(stream.source)
        return result

    def learned(self, stream: StreamKey) -> LearnedBaseline | None:
        """Return the baseline of `stream`, or what the first events of the pipeline have taught so far."""
        bank = self._banks.get(stream)
        learned = None if bank is None else bank.learned
        return learned or self._baselines(stream.digest).so_far

    def restart(self, change: IncidentSettled | IncidentResolved) -> None:
        """Begin the series of the columns of an incident again that has settled or is over.

        Their detectors would see the change, or the way back, once more in another aspect.
        """
        settled = isinstance(change, IncidentSettled)
        since: dict[tuple[StreamKey, tuple[str, str]], int] = {}
        for key, track in change.incident.tracks.items():
            place = key.stream, (key.signal.kind, key.signal.name)
            since[place] = min(track.opened_window, since.get(place, track.opened_window))
        for (stream, column), window in since.items():
            if stream not in self._banks:
                continue
            if settled:
                self._banks[stream].restart(column, _KEPT_SETTLED)
            else:
                self._banks[stream].restart(column, _KEPT_RESOLVED, window)
            self._mark_changed(stream)

    def accept(self, incident: Incident) -> None:
        """Begin the series of the columns of an incident with its values alone: they are normal now."""
        kept: dict[tuple[StreamKey, tuple[str, str]], int] = {}
        for key, track in incident.tracks.items():
            place = key.stream, (key.signal.kind, key.signal.name)
            kept[place] = max(len(track.recent), kept.get(place, 0))
        for (stream, column), count in kept.items():
            if stream in self._banks:
                for signal, series in self._banks[stream].series.items():
                    if signal[:2] == column:
                        series.accept(count)
                self._banks[stream].comparison.accept(column)
                self._mark_changed(stream)

    def changed(self) -> Mapping[str, Callable[[], Document | None]]:
        """Return makers of the documents that changed since the last call, by key; of None for one gone."""
        changed, self._changed = self._changed, {}
        return changed

    def restore(self, documents: Mapping[str, Document]) -> None:
        """Take over the banks in `documents`; those of others are left alone."""
        for key, document in documents.items():
            if key.startswith("watch/"):
                stream = _stream_of(document)
                reference, baseline = self._references(stream.digest), self._baselines(stream.digest)
                bank = DetectorBank.from_document(document, self._policy, reference, baseline)
                self._banks[stream] = bank
        for key, document in documents.items():
            if key.startswith("column/"):
                self._banks[_stream_of(document)].restore_column(document)
        for topic, index, digest in documents.get("serving", {}).get("models", ()):
            self._serving[Partition(topic, index)] = digest

    def _of(self, stream: StreamKey) -> DetectorBank:
        if stream not in self._banks:
            reference, baseline = self._references(stream.digest), self._baselines(stream.digest)
            self._banks[stream] = DetectorBank(self._policy, reference, baseline)
        return self._banks[stream]

    def _mark_changed(self, stream: StreamKey) -> None:
        """Note that the bank of `stream` has changed, or is gone."""
        bank = self._banks[stream]
        self._changed[document_key("watch", stream)] = partial(self._document, stream, bank.to_document)
        for kind, name in bank.columns:
            key = f"{document_key('column', stream)}/{kind}/{name}"
            self._changed[key] = partial(self._document, stream, partial(bank.column_document, kind, name))

    def _forget_old_models(self, source: Partition) -> None:
        """Forget the banks of a partition that are not of the newest few models."""
        streams = [stream for stream in self._banks if stream.source == source]
        streams.sort(key=lambda stream: (self._banks[stream].last_offset, stream.digest))
        for stream in streams[:-MODELS_KEPT]:
            self._mark_changed(stream)
            del self._banks[stream]

    def _document(self, stream: StreamKey, document: Callable[[], Document]) -> Document | None:
        return naming(stream) | document() if stream in self._banks else None

    def _serving_document(self) -> Document:
        return {"models": [[source.topic, source.index, digest] for source, digest in self._serving.items()]}


def document_key(kind: str, stream: StreamKey) -> str:
    """Return the key of a document of `stream`."""
    return f"{kind}/{stream.source.topic}/{stream.source.index}/{stream.digest}"


def naming(stream: StreamKey) -> Document:
    """Return the part of a document that names its stream."""
    return {"lane": stream_to_document(stream)}


def _stream_of(document: Mapping[str, Any]) -> StreamKey:
    return stream_from_document(document["lane"])
