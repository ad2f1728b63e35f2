"""Delayed truth: which label belongs to which prediction, with bounded memory.

What becomes of a label follows from the two topics alone, never from what was read first. Labels fall into
windows of so many offsets of their partition; a window closes, in order, when each label in it is settled.
All times that decide are record times:

- a label belongs to the first prediction of its id, if it was written at most `max_early_ms` before it
  (early) and at most `max_delay_ms` after; up to twice as long after it is late, and else unknown;
- of several labels of one prediction the first in its partition counts, the others are double or in conflict;
- a label without its prediction waits until no prediction of its time can come any more.

Over `max_pending` remembered ids only a sample by a hash of the id is kept, halved as often as it takes; both
sides of a pair have one hash. A closed window holds exactly the ids of the sample of its `coverage`.
"""

from __future__ import annotations

import hashlib
import heapq
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

_HASH_BITS = 64
_MS_A_DAY = 86_400_000


class Predicted(NamedTuple):
    """What a model said about one event. `time_ms` is the record's, `event_ms` when the event happened."""

    id: str
    version: str
    digest: str
    time_ms: int
    event_ms: int
    label: str | None = None
    score: float | None = None
    value: float | None = None


class Truth(NamedTuple):
    """What turned out. `id` is the prediction's, `time_ms` the record's; known since `known_ms`."""

    id: str
    time_ms: int
    known_ms: int
    label: str | None = None
    value: float | None = None

    @property
    def said(self) -> str | float | None:
        """The truth itself: two labels that differ here are in conflict."""
        return self.label if self.label is not None else self.value


class Pair(NamedTuple):
    """A prediction and its truth."""

    predicted: Predicted
    truth: Truth

    @property
    def delay_ms(self) -> int:
        """How long after the event the truth was known; 0 when it was known before."""
        return max(0, self.truth.known_ms - self.predicted.event_ms)


class LabelOutcome(StrEnum):
    """What becomes of a label. The first two make pairs."""

    JOINED = "joined"
    EARLY = "early"
    LATE = "late"
    DOUBLE = "double"
    CONFLICTING = "conflicting"
    UNKNOWN = "unknown"
    UNSAMPLED = "unsampled"
    INVALID = "invalid"


PAIRED = frozenset({LabelOutcome.JOINED, LabelOutcome.EARLY})


@dataclass(frozen=True, slots=True)
class JoinPolicy:
    """How long a prediction waits for its label and a label for its prediction, and how many may do so.

    `window` is how many offsets of a partition of labels make a window. The sample that `max_pending` asks
    for stays: a pipeline that was once over its budget goes on with it.
    """

    max_delay_ms: int = 7 * _MS_A_DAY
    max_early_ms: int = 600_000
    max_pending: int = 100_000
    window: int = 200


@dataclass(frozen=True, slots=True)
class LabelWindow:
    """A closed window of one partition of labels ("topic/index"), with the offsets of what was in it.

    `outcomes` counts every record in it, `pairs` are in offset order, `time_ms` is the newest record's.
    """

    log: str
    first_offset: int
    last_offset: int
    time_ms: int
    outcomes: Mapping[LabelOutcome, int]
    pairs: tuple[Pair, ...]
    coverage: float


@dataclass(frozen=True, slots=True)
class ReadProgress:
    """What has been read: no prediction and no label before these record times is still to come.

    `reached` is the next offset of each partition of labels.
    """

    predictions_ms: int
    labels_ms: int
    reached: Mapping[str, int]


class _Known(NamedTuple):
    """A prediction that is remembered, and what its first label said."""

    predicted: Predicted
    said: str | float | None = None


class _Held(NamedTuple):
    """A label in an open window; without a fate while it waits for its prediction."""

    truth: Truth
    outcome: LabelOutcome | None = None
    predicted: Predicted | None = None


@dataclass(slots=True)
class _Open:
    """A window that is not closed: labels by offset, those that wait, and counts of what is not kept."""

    first: int
    last: int
    time_ms: int
    dropped: Counter[LabelOutcome] = field(default_factory=Counter)
    labels: dict[int, _Held] = field(default_factory=dict)
    waiting: set[int] = field(default_factory=set)


class Join:
    """Predictions and labels that wait for each other.

    Each is one document, so that what changes in a batch is stored in a few small ones.
    """

    def __init__(self, policy: JoinPolicy) -> None:
        self._policy = policy
        self._known: dict[str, _Known] = {}
        self._due: list[tuple[int, str]] = []
        self._open: dict[str, dict[int, _Open]] = {}
        self._waiting: dict[str, list[tuple[str, int]]] = {}
        self._held = 0
        self._halvings = 0
        self._touched: set[str] = set()
        self.totals: Counter[str] = Counter()
        """What became of the labels of all closed windows, and `predictions` and `repeated` ones."""

    @property
    def coverage(self) -> float:
        """The part of predictions that is kept for its label."""
        return 0.5**self._halvings

    @property
    def remembered(self) -> int:
        """How many predictions and labels are kept."""
        return len(self._known) + self._held

    def predicted(self, one: Predicted) -> None:
        """Take a prediction; a later one of an id that is remembered is only counted."""
        self.totals["predictions"] += 1
        self._touched.add("")
        if not self._sampled(one.id):
            return
        if one.id in self._known:
            self.totals["repeated"] += 1
            return
        self._known[one.id] = _Known(one)
        self._touched.add(f"p/{one.id}")
        heapq.heappush(self._due, (one.time_ms + 2 * self._policy.max_delay_ms, one.id))
        for log, offset in sorted(self._waiting.pop(one.id, ())):
            self._settle(log, offset)

    def labelled(self, log: str, offset: int, truth: Truth) -> None:
        """Take a label at `offset` of `log`. The truth says something: see `Truth.said`."""
        window = self._window(log, offset, truth.time_ms)
        if not self._sampled(truth.id):
            window.dropped[LabelOutcome.UNSAMPLED] += 1
            return
        window.labels[offset] = _Held(truth)
        self._held += 1
        self._touched.add(f"l/{log}/{offset}")
        if truth.id in self._known:
            self._settle(log, offset)
        else:
            window.waiting.add(offset)
            self._waiting.setdefault(truth.id, []).append((log, offset))

    def invalid(self, log: str, offset: int, time_ms: int) -> None:
        """Count a record among the labels that is none."""
        self._window(log, offset, time_ms).dropped[LabelOutcome.INVALID] += 1

    def advance(self, now: ReadProgress) -> list[LabelWindow]:
        """Go on to `now`: forget what is over, keep to the budget, and return the windows that close."""
        seen_ms = min(now.predictions_ms, now.labels_ms)
        while self._due and self._due[0][0] < seen_ms:
            self._forget(heapq.heappop(self._due)[1])
        while self.remembered > self._policy.max_pending:
            self._halve()
        return [window for log in sorted(self._open) for window in self._closed(log, now)]

    def changed(self) -> Mapping[str, Any]:
        """Return the documents that have changed since the last call by name, None for those that are gone.

        The one under the empty name holds what is not a prediction, a label or a window.
        """
        touched, self._touched = self._touched, set()
        return {name: self._document(name) for name in sorted(touched)}

    def restore(self, documents: Mapping[str, Any]) -> None:
        """Take over the state in `documents`, by name."""
        whole = documents.get("")
        if whole is not None:
            self._halvings, self.totals = whole["halvings"], Counter(whole["totals"])
        windows = [(_place(name), held) for name, held in documents.items() if name.startswith("w/")]
        for (log, number), (first, last, time_ms, dropped) in sorted(windows):
            counts = Counter({LabelOutcome(fate): count for fate, count in dropped.items()})
            self._open.setdefault(log, {})[number] = _Open(first, last, time_ms, counts)
        for name, held in documents.items():
            if name.startswith("p/"):
                one = Predicted(*held[0])
                self._known[one.id] = _Known(one, held[1])
        self._due = self._dues()
        labels = [(_place(name), held) for name, held in documents.items() if name.startswith("l/")]
        for (log, offset), held in sorted(labels):
            self._restore_label(log, offset, held)

    def _restore_label(self, log: str, offset: int, document: list[Any]) -> None:
        truth, fate, predicted = document
        held = _Held(
            Truth(*truth),
            None if fate is None else LabelOutcome(fate),
            None if predicted is None else Predicted(*predicted),
        )
        window = self._open[log][offset // self._policy.window]
        window.labels[offset] = held
        self._held += 1
        if held.outcome is None:
            window.waiting.add(offset)
            self._waiting.setdefault(held.truth.id, []).append((log, offset))

    def _document(self, name: str) -> object:
        if not name:
            return {"halvings": self._halvings, "totals": dict(self.totals)}
        if name.startswith("p/"):
            return self._known.get(name.removeprefix("p/"))
        log, number = _place(name)
        if name.startswith("w/"):
            window = self._open.get(log, {}).get(number)
            return window and [window.first, window.last, window.time_ms, dict(window.dropped)]
        window = self._open.get(log, {}).get(number // self._policy.window)
        return window and window.labels.get(number)

    def _window(self, log: str, offset: int, time_ms: int) -> _Open:
        number = offset // self._policy.window
        window = self._open.setdefault(log, {}).setdefault(number, _Open(offset, offset, time_ms))
        window.last, window.time_ms = offset, max(window.time_ms, time_ms)
        self._touched.add(f"w/{log}/{number}")
        return window

    def _settle(self, log: str, offset: int) -> None:
        """Decide about a label whose prediction is known."""
        window = self._open[log][offset // self._policy.window]
        truth = window.labels[offset].truth
        known = self._known[truth.id]
        fate = self._fate(known, truth)
        paired = fate in PAIRED
        if paired:
            self._known[truth.id] = known._replace(said=truth.said)
            self._touched.add(f"p/{truth.id}")
        window.labels[offset] = _Held(truth, fate, known.predicted if paired else None)
        window.waiting.discard(offset)
        self._touched.add(f"l/{log}/{offset}")

    def _fate(self, known: _Known, truth: Truth) -> LabelOutcome:
        after_ms = truth.time_ms - known.predicted.time_ms
        if after_ms < -self._policy.max_early_ms or after_ms > 2 * self._policy.max_delay_ms:
            return LabelOutcome.UNKNOWN
        if after_ms > self._policy.max_delay_ms:
            return LabelOutcome.LATE
        if known.said is None:
            return LabelOutcome.EARLY if after_ms < 0 else LabelOutcome.JOINED
        return LabelOutcome.DOUBLE if known.said == truth.said else LabelOutcome.CONFLICTING

    def _closed(self, log: str, now: ReadProgress) -> Iterator[LabelWindow]:
        """Yield the windows of `log` that have been read to their end and have nothing left that waits."""
        windows = self._open[log]
        for number in list(windows):
            window = windows[number]
            if now.reached.get(log, 0) < (number + 1) * self._policy.window:
                return
            for offset in sorted(window.waiting):
                if window.labels[offset].truth.time_ms + self._policy.max_early_ms < now.predictions_ms:
                    self._give_up(log, offset, window)
            if window.waiting:
                return
            yield self._taken(log, number, windows.pop(number))

    def _give_up(self, log: str, offset: int, window: _Open) -> None:
        """No prediction of this label's time can come any more."""
        held = window.labels[offset]
        window.labels[offset] = held._replace(outcome=LabelOutcome.UNKNOWN)
        window.waiting.discard(offset)
        self._touched.add(f"l/{log}/{offset}")
        self._unwait(held.truth.id, log, offset)

    def _taken(self, log: str, number: int, window: _Open) -> LabelWindow:
        self._held -= len(window.labels)
        self._touched |= {"", f"w/{log}/{number}", *(f"l/{log}/{offset}" for offset in window.labels)}
        labels = [held for _, held in sorted(window.labels.items())]
        outcomes = window.dropped + Counter(held.outcome for held in labels if held.outcome is not None)
        self.totals.update(outcomes)
        return LabelWindow(
            log,
            window.first,
            window.last,
            window.time_ms,
            outcomes,
            tuple(Pair(held.predicted, held.truth) for held in labels if held.predicted is not None),
            self.coverage,
        )

    def _forget(self, name: str) -> None:
        if self._known.pop(name, None) is not None:
            self._touched.add(f"p/{name}")

    def _sampled(self, name: str) -> bool:
        return not self._halvings or _hash(name) >> (_HASH_BITS - self._halvings) == 0

    def _halve(self) -> None:
        self._halvings += 1
        self._touched.add("")
        for name in [name for name in self._known if not self._sampled(name)]:
            self._forget(name)
        self._due = self._dues()
        for log, windows in self._open.items():
            for number, window in windows.items():
                for offset in [o for o, held in window.labels.items() if not self._sampled(held.truth.id)]:
                    self._drop(log, offset, window)
                    self._touched.add(f"w/{log}/{number}")

    def _drop(self, log: str, offset: int, window: _Open) -> None:
        held = window.labels.pop(offset)
        self._held -= 1
        window.dropped[LabelOutcome.UNSAMPLED] += 1
        self._touched.add(f"l/{log}/{offset}")
        if held.outcome is None:
            window.waiting.discard(offset)
            self._unwait(held.truth.id, log, offset)

    def _unwait(self, name: str, log: str, offset: int) -> None:
        left = [place for place in self._waiting[name] if place != (log, offset)]
        if left:
            self._waiting[name] = left
        else:
            del self._waiting[name]

    def _dues(self) -> list[tuple[int, str]]:
        wait_ms = 2 * self._policy.max_delay_ms
        dues = [(known.predicted.time_ms + wait_ms, name) for name, known in self._known.items()]
        heapq.heapify(dues)
        return dues


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=_HASH_BITS // 8).digest(), "big")


def _place(name: str) -> tuple[str, int]:
    log, _, number = name[2:].rpartition("/")
    return log, int(number)
