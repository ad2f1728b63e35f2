"""The whole of monitoring inputs and outputs: a frame in, what it opens and ends out.

Holds windows, watches and incidents, and gives them away as JSON documents, each under its own key, so that
only what has changed has to be stored, and none is large: each column has one of its own. Of each source
partition the newest few models are remembered, of older ones nothing. What documents mean to a topic is
`steps.monitor`'s business.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from stream_infer.drift import windows
from stream_infer.drift.distance import INSUFFICIENT, LEAST_REFERENCE_ROWS
from stream_infer.drift.frames import Frame
from stream_infer.drift.incidents import Change, IncidentPolicy, Incidents
from stream_infer.drift.reference import Reference
from stream_infer.drift.watch import Watch, WatchPolicy
from stream_infer.drift.windows import Lane, WindowPolicy, Windows
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
    watch: WatchPolicy = field(default_factory=WatchPolicy)
    incidents: IncidentPolicy = field(default_factory=IncidentPolicy)


@dataclass(frozen=True, slots=True)
class Unsure:
    """A model without a reference that its stream could be compared with: said once."""

    frame: Frame
    reason: str
    rows: int


class Monitor:
    """Watches every lane of a pipeline. Deterministic: the same frames give the same changes."""

    def __init__(self, pipeline: str, policy: MonitorPolicy, references: References) -> None:
        self._policy = policy
        self._references = references
        self._windows = Windows(policy.windows)
        self._watches: dict[Lane, Watch] = {}
        self._incidents = Incidents(pipeline, policy.incidents)
        self._pipeline = pipeline
        self._known: dict[str, int] = {}
        self._touched: dict[str, Callable[[], Document | None]] = {}

    @property
    def records(self) -> int:
        """How many input records the frames have told of."""
        return sum(self._known.values())

    def watch_of(self, lane: Lane) -> Watch:
        """Return who watches `lane`."""
        if lane not in self._watches:
            self._watches[lane] = Watch(self._policy.watch, self._references(lane.digest))
        return self._watches[lane]

    def take(self, frame: Frame, now_ms: int) -> Sequence[Change | Unsure]:
        """Take a frame; return what opens and ends with it, in order."""
        changes: list[Change | Unsure] = list(self._greet(frame))
        self._known[frame.digest] += frame.records
        looks = self._windows.add(frame, now_ms)
        self._touched["models"] = lambda: dict(self._known)
        for lane in self._windows.moved:
            self._touched[_key("window", lane)] = partial(self._window, lane)
        for look in looks:
            lane = Lane(look.source, look.digest)
            changes += self._incidents.take(self.watch_of(lane).look(look))
            self._touched["incidents"] = self._incidents.to_document
            self._touch(lane)
            self._let_go(lane.source)
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
                self._windows.restore(_lane(document), windows.read(document))
            elif key.startswith("watch/"):
                lane = _lane(document)
                reference = self._references(lane.digest)
                self._watches[lane] = Watch.from_document(document, self._policy.watch, reference)
        for key, document in documents.items():
            if key.startswith("column/"):
                self._watches[_lane(document)].restore_column(document)

    def _window(self, lane: Lane) -> Document | None:
        gathering = self._windows.lanes().get(lane)
        return None if gathering is None else _of(lane) | windows.write(gathering)

    def _touch(self, lane: Lane) -> None:
        """Note that everything about `lane` has changed, or is gone."""
        watch = self._watches[lane]
        self._touched[_key("watch", lane)] = partial(self._watched, lane, watch.to_document)
        for kind, name in watch.columns:
            key = f"{_key('column', lane)}/{kind}/{name}"
            self._touched[key] = partial(self._watched, lane, partial(watch.column_document, kind, name))

    def _watched(self, lane: Lane, document: Callable[[], Document]) -> Document | None:
        return _of(lane) | document() if lane in self._watches else None

    def _let_go(self, source: Partition) -> None:
        """Forget what was watched longest ago, of the models of one source partition."""
        lanes = sorted((lane for lane in self._watches if lane.source == source), key=self._recency)
        for lane in lanes[:-_MODELS_KEPT]:
            self._touch(lane)
            del self._watches[lane]

    def _recency(self, lane: Lane) -> tuple[int, str]:
        return self._watches[lane].last, lane.digest

    def _greet(self, frame: Frame) -> Sequence[Unsure]:
        """Say so when a model is new and its reference too small to compare with."""
        if frame.digest in self._known:
            return ()
        self._known[frame.digest] = 0
        reference = self._references(frame.digest)
        rows = 0 if reference is None else reference.rows
        return () if rows >= LEAST_REFERENCE_ROWS else (Unsure(frame, INSUFFICIENT, rows),)


def _key(what: str, lane: Lane) -> str:
    return f"{what}/{lane.source.topic}/{lane.source.index}/{lane.digest}"


def _of(lane: Lane) -> Document:
    return {"lane": [lane.source.topic, lane.source.index, lane.digest]}


def _lane(document: Mapping[str, Any]) -> Lane:
    topic, index, digest = document["lane"]
    return Lane(Partition(topic, index), digest)
