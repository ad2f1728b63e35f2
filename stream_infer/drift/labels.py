"""Delayed truth: which label belongs to which prediction, with bounded memory.

A prediction and a label meet by id, whoever comes first. Over `max_pending` waiting predictions only a sample
by a hash of the id is kept, halved as often as it takes; both sides of a pair have one hash, so the sample is
stable, and the coverage is known. Time is record time: nothing here knows a clock. What pairs lead to is in
`performance`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

_HASH_BITS = 64


@dataclass(frozen=True, slots=True)
class Predicted:
    """What a model said about one event, when."""

    id: str
    version: str
    time_ms: int
    label: str | None = None
    score: float | None = None
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """What turned out, when it became known. `id` is the prediction's; `log` and `offset` say where it is."""

    id: str
    time_ms: int
    label: str | None = None
    value: float | None = None
    log: str = ""
    offset: int = 0

    @property
    def said(self) -> str | float | None:
        """The truth itself: two labels that differ here are in conflict."""
        return self.label if self.label is not None else self.value


@dataclass(frozen=True, slots=True)
class Pair:
    """A prediction and its truth."""

    predicted: Predicted
    truth: Truth

    @property
    def delay_ms(self) -> int:
        """How long the truth took; 0 when it was known before."""
        return max(0, self.truth.time_ms - self.predicted.time_ms)


@dataclass(frozen=True, slots=True)
class JoinPolicy:
    """How long a prediction waits for its label, and how many may wait.

    The sample that `max_pending` asks for stays: a pipeline that was once over its budget goes on with it.
    """

    max_delay_ms: int = 7 * 86_400_000
    max_pending: int = 100_000


@dataclass(slots=True)
class Counts:
    """What became of predictions and labels.

    `early` labels came before their prediction and were joined then; `late` ones found it forgotten; `double`
    ones repeat a known label, `conflicting` ones contradict it (the first counts); `unknown` ones waited in
    vain; `unsampled` ones are outside the sample. `replaced` predictions had the key of one still waiting.
    """

    predictions: int = 0
    joined: int = 0
    early: int = 0
    late: int = 0
    double: int = 0
    conflicting: int = 0
    unknown: int = 0
    unsampled: int = 0
    replaced: int = 0


class Place(StrEnum):
    """Where an id is: its prediction waits, its label waits, both have met, or it was too late for that."""

    PREDICTED = "predicted"
    LABELLED = "labelled"
    JOINED = "joined"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Entry:
    """One id: since when it is where it is, what number it came as, and what is known of it."""

    place: Place
    number: int
    time_ms: int
    predicted: Predicted | None = None
    truth: Truth | None = None


class Join:
    """Predictions and labels that wait for each other, and those just joined, to know a double.

    Each id is one document, so that what changes in a batch is stored in a few small ones.
    """

    def __init__(self, policy: JoinPolicy) -> None:
        self._policy = policy
        self._entries: dict[Place, dict[str, Entry]] = {place: {} for place in Place}
        self._numbered = 0
        self._now_ms = 0
        self._halvings = 0
        self._touched: set[str] = set()
        self.counts = Counts()

    @property
    def coverage(self) -> float:
        """The part of predictions that is kept for its label."""
        return 0.5**self._halvings

    @property
    def waiting(self) -> int:
        """How many predictions wait."""
        return len(self._entries[Place.PREDICTED])

    def predicted(self, one: Predicted) -> Pair | None:
        """Take a prediction; return the pair, if its label is already here."""
        self._advance(one.time_ms)
        self.counts.predictions += 1
        if not self._sampled(one.id):
            return None
        before = self._take(one.id)
        if before is not None and before.place is Place.LABELLED and before.truth is not None:
            self.counts.early += 1
            return self._joined(one, before.truth)
        if before is not None and before.place is Place.PREDICTED:
            self.counts.replaced += 1
        self._put(one.id, Place.PREDICTED, one.time_ms, predicted=one)
        while self.waiting > self._policy.max_pending:
            self._halve()
        return None

    def labelled(self, truth: Truth) -> Pair | None:
        """Take a label; return the pair, if its prediction waits."""
        self._advance(truth.time_ms)
        if not self._sampled(truth.id):
            self.counts.unsampled += 1
            return None
        entry = self._find(truth.id)
        if entry is None:
            self._put(truth.id, Place.LABELLED, truth.time_ms, truth=truth)
        elif entry.place is Place.EXPIRED:
            self.counts.late += 1
        elif entry.truth is not None:
            self._repeated(entry.truth, truth)
        elif entry.predicted is not None:
            self._take(truth.id)
            return self._joined(entry.predicted, truth)
        return None

    def changed(self) -> Mapping[str, dict[str, Any] | None]:
        """Return the documents that have changed since the last call by id, None for those that are gone.

        The one under the empty id holds everything that is not an entry.
        """
        touched, self._touched = self._touched, set()
        documents: dict[str, dict[str, Any] | None] = {}
        for name in sorted(touched - {""}):
            entry = self._find(name)
            documents[name] = None if entry is None else asdict(entry)
        if touched:
            documents[""] = {
                "numbered": self._numbered,
                "now_ms": self._now_ms,
                "halvings": self._halvings,
                "counts": asdict(self.counts),
            }
        return documents

    def restore(self, documents: Mapping[str, Mapping[str, Any]]) -> None:
        """Take over the state in `documents`, by id."""
        entries = [(name, _entry(document)) for name, document in documents.items() if name]
        for name, entry in sorted(entries, key=lambda item: item[1].number):
            self._entries[entry.place][name] = entry
        whole = documents.get("")
        if whole is not None:
            self._numbered, self._now_ms = whole["numbered"], whole["now_ms"]
            self._halvings, self.counts = whole["halvings"], Counts(**whole["counts"])

    def _find(self, name: str) -> Entry | None:
        return next((held[name] for held in self._entries.values() if name in held), None)

    def _take(self, name: str) -> Entry | None:
        for held in self._entries.values():
            if name in held:
                self._touched.add(name)
                return held.pop(name)
        return None

    def _put(
        self,
        name: str,
        place: Place,
        time_ms: int,
        *,
        predicted: Predicted | None = None,
        truth: Truth | None = None,
    ) -> None:
        self._numbered += 1
        held = self._entries[place]
        held[name] = Entry(place, self._numbered, time_ms, predicted, truth)
        self._touched.add(name)
        if place is not Place.PREDICTED and len(held) > self._policy.max_pending:
            self._drop(next(iter(held)), place)

    def _joined(self, predicted: Predicted, truth: Truth) -> Pair:
        self.counts.joined += 1
        self._put(predicted.id, Place.JOINED, self._now_ms, truth=truth)
        return Pair(predicted, truth)

    def _repeated(self, known: Truth, again: Truth) -> None:
        if known.said == again.said:
            self.counts.double += 1
        else:
            self.counts.conflicting += 1

    def _advance(self, time_ms: int) -> None:
        """Move on to `time_ms`; what has waited for too long goes, oldest first."""
        self._touched.add("")
        self._now_ms = max(self._now_ms, time_ms)
        oldest = self._now_ms - self._policy.max_delay_ms
        for place, held in self._entries.items():
            while held:
                name = next(iter(held))
                if held[name].time_ms >= oldest:
                    break
                self._drop(name, place)

    def _drop(self, name: str, place: Place) -> None:
        self._take(name)
        if place is Place.LABELLED:
            self.counts.unknown += 1
        elif place is Place.PREDICTED:
            self._put(name, Place.EXPIRED, self._now_ms)

    def _sampled(self, name: str) -> bool:
        return not self._halvings or _hash(name) >> (_HASH_BITS - self._halvings) == 0

    def _halve(self) -> None:
        self._halvings += 1
        for held in self._entries.values():
            for name in [name for name in held if not self._sampled(name)]:
                self._take(name)


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=_HASH_BITS // 8).digest(), "big")


def _entry(document: Mapping[str, Any]) -> Entry:
    predicted, truth = document["predicted"], document["truth"]
    return Entry(
        Place(document["place"]),
        document["number"],
        document["time_ms"],
        None if predicted is None else Predicted(**predicted),
        None if truth is None else Truth(**truth),
    )
