"""The predictions that wait for their label, and the sample of ids that bounds how many these are."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable
from typing import Any, NamedTuple

from stream_infer.drift.labels import Predicted, Truth

_HASH_BITS = 64


class IdSample:
    """The ids that are kept: those whose hash begins with `halvings` zero bits. It only ever shrinks."""

    def __init__(self, halvings: int = 0) -> None:
        self.halvings = halvings

    @property
    def coverage(self) -> float:
        """The part of all ids that is kept."""
        return 0.5**self.halvings

    def __contains__(self, name: str) -> bool:
        return not self.halvings or _hash(name) >> (_HASH_BITS - self.halvings) == 0


class WaitingPrediction(NamedTuple):
    """A prediction that is remembered, and the content of its first label."""

    predicted: Predicted
    first_label: str | float | None = None

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes, with its stored document."""
        return self.predicted.size_bytes + len(str(self.first_label or ""))


class PredictionMemory:
    """Predictions by id, each until its record time is `wait_ms` ago."""

    def __init__(self, wait_ms: int) -> None:
        self._wait_ms = wait_ms
        self._waiting: dict[str, WaitingPrediction] = {}
        self._due: list[tuple[int, str]] = []
        self._changed: set[str] = set()
        self.size_bytes = 0
        """About how much memory the predictions take, with their stored documents."""

    def __len__(self) -> int:
        return len(self._waiting)

    def get(self, name: str) -> WaitingPrediction | None:
        """Return the prediction with this id, if it is remembered."""
        return self._waiting.get(name)

    def add(self, predicted: Predicted) -> None:
        """Remember a prediction whose id is new."""
        self._keep(WaitingPrediction(predicted))
        self._changed.add(predicted.id)
        heapq.heappush(self._due, (predicted.time_ms + self._wait_ms, predicted.id))

    def set_first_label(self, truth: Truth) -> None:
        """Remember `truth` as the first label of its prediction."""
        waiting = self._waiting[truth.id]
        self._keep(waiting._replace(first_label=truth.content))
        self._changed.add(truth.id)

    def forget_before(self, time_ms: int) -> None:
        """Forget the predictions whose wait ended before `time_ms`."""
        while self._due and self._due[0][0] < time_ms:
            self._forget(heapq.heappop(self._due)[1])

    def keep(self, sample: IdSample) -> None:
        """Forget the predictions outside of `sample`."""
        for name in [name for name in self._waiting if name not in sample]:
            self._forget(name)
        self._schedule()

    def changed(self) -> dict[str, WaitingPrediction | None]:
        """Return the predictions that have changed since the last call by id, None for forgotten ones."""
        changed, self._changed = self._changed, set()
        return {name: self._waiting.get(name) for name in changed}

    def restore(self, documents: Iterable[Any]) -> None:
        """Take over the predictions that `changed` gave, as JSON values."""
        for predicted, first_label in documents:
            self._keep(WaitingPrediction(Predicted(*predicted), first_label))
        self._schedule()

    def _keep(self, waiting: WaitingPrediction) -> None:
        before = self._waiting.get(waiting.predicted.id)
        self.size_bytes += waiting.size_bytes - (0 if before is None else before.size_bytes)
        self._waiting[waiting.predicted.id] = waiting

    def _forget(self, name: str) -> None:
        waiting = self._waiting.pop(name, None)
        if waiting is not None:
            self.size_bytes -= waiting.size_bytes
            self._changed.add(name)

    def _schedule(self) -> None:
        self._due = [(w.predicted.time_ms + self._wait_ms, name) for name, w in self._waiting.items()]
        heapq.heapify(self._due)


def _hash(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=_HASH_BITS // 8).digest(), "big")
