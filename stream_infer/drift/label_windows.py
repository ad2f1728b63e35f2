"""The open windows of labels: ranges of offsets of a partition, closed in order once all is decided.

Where the offsets of a partition begin again, its topic was recreated or truncated: the open windows have all
the labels that they will have, and are kept under another name until those are decided.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from stream_infer.drift.labels import (
    PAIRED,
    LabelOutcome,
    LabelWindow,
    Pair,
    Predicted,
    Truth,
)
from stream_infer.drift.prediction_memory import IdSample

_ENDED = "~"  # no topic has it in its name

Place = tuple[str, int]
"""A partition of labels ("topic/index") and an offset in it, or the number of a window of it."""


class WindowedLabel(NamedTuple):
    """A label in an open window; its outcome is None while it waits for its prediction."""

    truth: Truth
    outcome: LabelOutcome | None = None
    predicted: Predicted | None = None

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes, with its stored document."""
        return self.truth.size_bytes + (0 if self.predicted is None else self.predicted.size_bytes)


@dataclass(slots=True)
class OpenLabelWindow:
    """A window that is not closed: labels and those that wait by offset, and counts of records not kept."""

    first_offset: int
    last_offset: int
    time_ms: int
    dropped: Counter[LabelOutcome] = field(default_factory=Counter)
    labels: dict[int, WindowedLabel] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)
    size_bytes: int = 0

    def put(self, offset: int, label: WindowedLabel) -> None:
        """Set the label at `offset`."""
        before = self.labels.get(offset)
        self.size_bytes += label.size_bytes - (0 if before is None else before.size_bytes)
        self.labels[offset] = label
        if label.outcome is None:
            self.waiting.add(offset)
        else:
            self.waiting.discard(offset)

    def drop(self, offset: int) -> None:
        """Count the label at `offset` as outside of the sample, and forget it."""
        self.size_bytes -= self.labels.pop(offset).size_bytes
        self.waiting.discard(offset)
        self.dropped[LabelOutcome.UNSAMPLED] += 1

    def closed(self, log: str, coverage: float) -> LabelWindow:
        """Return this window, in which every label has an outcome, as a closed one."""
        labels = [label for _, label in sorted(self.labels.items())]
        decided = Counter(label.outcome for label in labels if label.outcome is not None)
        return LabelWindow(
            log.partition(_ENDED)[0],
            self.first_offset,
            self.last_offset,
            self.time_ms,
            self.dropped + decided,
            tuple(Pair(label.predicted, label.truth) for label in labels if label.predicted is not None),
            coverage,
        )


class WaitingLabels:
    """The places of labels that wait, by the id of their prediction."""

    def __init__(self) -> None:
        self._places: dict[str, set[Place]] = {}

    def of(self, name: str) -> Sequence[Place]:
        """Return the places of the labels that wait for `name`, in order of partition and offset."""
        return sorted(self._places.get(name, ()))

    def add(self, name: str, place: Place) -> None:
        """Let the label at `place` wait for `name`."""
        self._places.setdefault(name, set()).add(place)

    def discard(self, name: str, place: Place) -> None:
        """End the wait of the label at `place`, if it waits."""
        places = self._places.get(name, set())
        places.discard(place)
        if not places:
            self._places.pop(name, None)

    def move(self, name: str, place: Place, to: Place) -> None:
        """Let the label at `place` wait at another one, if it waits."""
        if place in self._places.get(name, ()):
            self.discard(name, place)
            self.add(name, to)


class PairedLabels:
    """The labels in open windows that count, with their places, by the id of their prediction."""

    def __init__(self) -> None:
        self._labels: dict[str, tuple[Place, Truth]] = {}

    def get(self, name: str) -> tuple[Place, Truth] | None:
        """Return the label that counts for the prediction `name`, if its window is open."""
        return self._labels.get(name)

    def add(self, truth: Truth, place: Place) -> None:
        """Let the label at `place` count."""
        self._labels[truth.id] = place, truth

    def discard(self, truth: Truth, place: Place) -> None:
        """Forget the label at `place`, if it counts."""
        if self._labels.get(truth.id, (None,))[0] == place:
            del self._labels[truth.id]

    def move(self, truth: Truth, place: Place, to: Place) -> None:
        """Let the label at `place` count at another one, if it counts."""
        if self._labels.get(truth.id, (None,))[0] == place:
            self._labels[truth.id] = to, truth


class LabelWindows:
    """The open windows of all partitions of labels. A window is `size` offsets."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._open: dict[str, dict[int, OpenLabelWindow]] = {}
        self._waiting = WaitingLabels()
        self.paired = PairedLabels()
        self._labels = 0
        self._changed: set[str] = set()

    def __len__(self) -> int:
        return self._labels

    @property
    def size_bytes(self) -> int:
        """About how much memory the labels take, with their stored documents."""
        return sum(window.size_bytes for windows in self._open.values() for window in windows.values())

    def add(self, log: str, offset: int, truth: Truth) -> None:
        """Take the label at `offset` of `log`; it waits for its prediction until `decide`."""
        self._window(log, offset, truth.time_ms).put(offset, WindowedLabel(truth))
        self._labels += 1
        self._waiting.add(truth.id, (log, offset))
        self._changed.add(f"l/{log}/{offset}")

    def count(self, log: str, offset: int, time_ms: int, outcome: LabelOutcome) -> None:
        """Take a record that is not kept."""
        self._window(log, offset, time_ms).dropped[outcome] += 1

    def waiting_for(self, name: str) -> Sequence[tuple[Place, Truth]]:
        """Return the labels that wait for the prediction `name`, in order of partition and offset."""
        places = self._waiting.of(name)
        return [
            ((log, offset), self._open[log][offset // self._size].labels[offset].truth)
            for log, offset in places
        ]

    def decide(self, place: Place, outcome: LabelOutcome, predicted: Predicted | None = None) -> None:
        """Give a waiting label its outcome, and its prediction if the two make a pair."""
        log, offset = place
        window = self._open[log][offset // self._size]
        truth = window.labels[offset].truth
        window.put(offset, WindowedLabel(truth, outcome, predicted))
        self._waiting.discard(truth.id, place)
        if outcome in PAIRED:
            self.paired.add(truth, place)
        self._changed.add(f"l/{log}/{offset}")

    def keep(self, sample: IdSample) -> None:
        """Count the labels outside of `sample`, and forget them."""
        for log, windows in self._open.items():
            for number, window in windows.items():
                for offset, label in [
                    item for item in window.labels.items() if item[1].truth.id not in sample
                ]:
                    window.drop(offset)
                    self._labels -= 1
                    self.paired.discard(label.truth, (log, offset))
                    self._waiting.discard(label.truth.id, (log, offset))
                    self._changed |= {f"l/{log}/{offset}", f"w/{log}/{number}"}

    def close(
        self, reached: Mapping[str, int], expired_ms: int, coverage: float, final_ms: int | None = None
    ) -> Iterator[LabelWindow]:
        """Yield the windows that have been read to their end and have no label left that waits.

        `reached` is the next offset of each partition. No prediction comes any more for a label from before
        `expired_ms`, and no correction of one from before `final_ms`, where there are any.
        """
        for log, windows in sorted(self._open.items()):
            for number, window in list(windows.items()):
                if _ENDED not in log and reached.get(log, 0) < (number + 1) * self._size:
                    break
                for offset in sorted(window.waiting):
                    if window.labels[offset].truth.time_ms < expired_ms:
                        self.decide((log, offset), LabelOutcome.UNKNOWN)
                if window.waiting or (final_ms is not None and window.time_ms >= final_ms):
                    break
                del windows[number]
                self._labels -= len(window.labels)
                for offset, label in window.labels.items():
                    self.paired.discard(label.truth, (log, offset))
                self._changed |= {f"w/{log}/{number}", *(f"l/{log}/{offset}" for offset in window.labels)}
                yield window.closed(log, coverage)

    def changed(self) -> Mapping[str, Any]:
        """Return the documents that changed since the last call by name, None for those that are gone."""
        changed, self._changed = self._changed, set()
        return {name: _document(name, self._open, self._size) for name in changed}

    def restore(self, documents: Mapping[str, Any]) -> None:
        """Take over the state in `documents`, by name; those of others are left alone."""
        for (log, number), (first, last, time_ms, dropped) in _sorted("w/", documents):
            counts = Counter({LabelOutcome(outcome): count for outcome, count in dropped.items()})
            self._open.setdefault(log, {})[number] = OpenLabelWindow(first, last, time_ms, counts)
        for (log, offset), (truth, outcome, predicted) in _sorted("l/", documents):
            label = WindowedLabel(
                Truth(*truth),
                None if outcome is None else LabelOutcome(outcome),
                None if predicted is None else Predicted(*predicted),
            )
            self._open[log][offset // self._size].put(offset, label)
            self._labels += 1
            if label.outcome is None:
                self._waiting.add(label.truth.id, (log, offset))
            elif label.outcome in PAIRED:
                self.paired.add(label.truth, (log, offset))

    def _window(self, log: str, offset: int, time_ms: int) -> OpenLabelWindow:
        number, windows = offset // self._size, self._open.setdefault(log, {})
        newest = next(reversed(windows.values()), None)
        if newest is not None and offset <= newest.last_offset:
            self._changed |= _end(log, self._open, self._waiting, self.paired)
            windows = self._open[log]
        window = windows.setdefault(number, OpenLabelWindow(offset, offset, time_ms))
        window.last_offset, window.time_ms = offset, max(window.time_ms, time_ms)
        self._changed.add(f"w/{log}/{number}")
        return window


def _end(
    log: str, windows_of: dict[str, dict[int, OpenLabelWindow]], waiting: WaitingLabels, paired: PairedLabels
) -> set[str]:
    """Give the open windows of `log` another name; return the names of the documents that have changed."""
    ended = next(name for n in itertools.count(1) if not windows_of.get(name := f"{log}{_ENDED}{n}"))
    windows_of[ended], windows_of[log] = windows_of[log], {}
    changed = set()
    for number, window in windows_of[ended].items():
        changed |= {f"w/{log}/{number}", f"w/{ended}/{number}"}
        for offset, label in window.labels.items():
            changed |= {f"l/{log}/{offset}", f"l/{ended}/{offset}"}
            waiting.move(label.truth.id, (log, offset), (ended, offset))
            paired.move(label.truth, (log, offset), (ended, offset))
    return changed


def _document(name: str, windows_of: Mapping[str, Mapping[int, OpenLabelWindow]], size: int) -> object:
    """Return the document `name` of a window of `size` offsets, or of a label; None where it is gone."""
    log, number = _place(name)
    windows = windows_of.get(log, {})
    if name.startswith("w/"):
        window = windows.get(number)
        return window and [window.first_offset, window.last_offset, window.time_ms, dict(window.dropped)]
    window = windows.get(number // size)
    return window and window.labels.get(number)


def _sorted(prefix: str, documents: Mapping[str, Any]) -> Sequence[tuple[Place, Any]]:
    found = [(_place(name), document) for name, document in documents.items() if name.startswith(prefix)]
    return sorted(found, key=lambda item: item[0])


def _place(name: str) -> Place:
    log, _, number = name[2:].rpartition("/")
    return log, int(number)
