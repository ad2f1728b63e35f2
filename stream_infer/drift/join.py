"""Delayed labels joined with their predictions, with bounded memory.

The outcome of a label follows from the two topics alone, never from what was read first. Labels fall into
windows of so many offsets of their partition; a window closes, in order, when each label in it is decided.
All times that decide are record times:

- a label belongs to the first prediction of its id, if it was written at most `max_early_ms` before it
  (early) and at most `max_delay_ms` after; up to twice as long after it is late, and else unknown;
- of several labels of one prediction the first in its partition counts, the others are double or in conflict;
  where corrections are awaited, the one known last counts, and a window stays open as long;
- a label without its prediction waits until no prediction of its time can come any more.

Over `max_pending` remembered ids, or `max_pending_bytes` of them, only a sample by a hash of the id is kept,
halved as often as it takes; both sides of a pair have one hash. A closed window holds exactly the ids of
the sample of its `coverage`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from stream_infer.drift.label_values import same_label
from stream_infer.drift.label_windows import LabelWindows, Place
from stream_infer.drift.labels import (
    PAIRED,
    JoinPolicy,
    LabelOutcome,
    LabelWindow,
    Predicted,
    ReadProgress,
    Truth,
)
from stream_infer.drift.prediction_memory import IdSample, PredictionMemory, WaitingPrediction


class Join:
    """Predictions and labels that wait for each other.

    Each is one document, so that the changes of a batch are stored as a few small ones.
    """

    def __init__(self, policy: JoinPolicy) -> None:
        self._policy = policy
        self._sample = IdSample()
        self._predictions = PredictionMemory(2 * policy.max_delay_ms)
        self._windows = LabelWindows(policy.window)
        self._counted = False
        self.totals: Counter[str] = Counter()
        """Labels of all closed windows by outcome, and the numbers of `predictions` and `repeated` ones."""

    @property
    def coverage(self) -> float:
        """The part of predictions that is kept for its label."""
        return self._sample.coverage

    @property
    def remembered(self) -> int:
        """The number of predictions and labels that are kept."""
        return len(self._predictions) + len(self._windows)

    @property
    def size_bytes(self) -> int:
        """About how much memory they take, with their stored documents."""
        return self._predictions.size_bytes + self._windows.size_bytes

    def predicted(self, predicted: Predicted) -> None:
        """Take a prediction; a later one of an id that is remembered is only counted."""
        self._count("predictions")
        if predicted.id not in self._sample:
            return
        if self._predictions.get(predicted.id) is not None:
            self._count("repeated")
            return
        self._predictions.add(predicted)
        for place, truth in self._windows.waiting_for(predicted.id):
            self._decide(place, truth)

    def labelled(self, log: str, offset: int, truth: Truth) -> None:
        """Take a label at `offset` of `log`, which has a label or a value."""
        if truth.id not in self._sample:
            self._windows.count(log, offset, truth.time_ms, LabelOutcome.UNSAMPLED)
            return
        self._windows.add(log, offset, truth)
        self._decide((log, offset), truth)

    def invalid(self, log: str, offset: int, time_ms: int) -> None:
        """Count a record of the labels topic that is no label."""
        self._windows.count(log, offset, time_ms, LabelOutcome.INVALID)

    def advance(self, progress: ReadProgress) -> list[LabelWindow]:
        """Forget what is over, keep to the budget, and return the windows that close at `progress`."""
        self._predictions.forget_before(min(progress.predictions_ms, progress.labels_ms))
        policy = self._policy
        while self.remembered > policy.max_pending or self.size_bytes > policy.max_pending_bytes:
            self._sample = IdSample(self._sample.halvings + 1)
            self._predictions.keep(self._sample)
            self._windows.keep(self._sample)
            self._counted = True
        expired_ms = progress.predictions_ms - policy.max_early_ms
        final_ms = progress.labels_ms - policy.corrected_within_ms if policy.corrected_within_ms else None
        closed = list(self._windows.close(progress.reached, expired_ms, self.coverage, final_ms))
        for window in closed:
            self.totals.update(window.outcomes)
            self._counted = True
        return closed

    def changed(self) -> Mapping[str, Any]:
        """Return the documents that changed since the last call by name, None for those that are gone.

        The one under the empty name holds the sample and the totals.
        """
        documents: dict[str, Any] = {f"p/{name}": one for name, one in self._predictions.changed().items()}
        documents |= self._windows.changed()
        if self._counted:
            documents[""] = {"halvings": self._sample.halvings, "totals": dict(self.totals)}
        self._counted = False
        return dict(sorted(documents.items()))

    def restore(self, documents: Mapping[str, Any]) -> None:
        """Take over the state in `documents`, by name."""
        whole = documents.get("")
        if whole is not None:
            self._sample, self.totals = IdSample(whole["halvings"]), Counter(whole["totals"])
        self._predictions.restore(one for name, one in documents.items() if name.startswith("p/"))
        self._windows.restore(documents)

    def _count(self, what: str) -> None:
        self.totals[what] += 1
        self._counted = True

    def _decide(self, place: Place, truth: Truth) -> None:
        """Decide about a label whose prediction is remembered."""
        waiting = self._predictions.get(truth.id)
        if waiting is None:
            return
        outcome = _outcome(waiting, truth, self._policy)
        counted = self._windows.paired.get(truth.id)
        if outcome is LabelOutcome.CONFLICTING and counted and _corrects(truth, counted[1], self._policy):
            self._windows.decide(counted[0], LabelOutcome.CORRECTED)
            outcome = LabelOutcome.JOINED
        if outcome in PAIRED:
            self._predictions.set_first_label(truth)
        self._windows.decide(place, outcome, waiting.predicted if outcome in PAIRED else None)


def _corrects(truth: Truth, counted: Truth, policy: JoinPolicy) -> bool:
    """Whether `truth` was known no earlier than the label that counts, and written soon enough after it."""
    within_ms = policy.corrected_within_ms
    return (
        within_ms > 0 and truth.time_ms - counted.time_ms <= within_ms and truth.known_ms >= counted.known_ms
    )


def _outcome(waiting: WaitingPrediction, truth: Truth, policy: JoinPolicy) -> LabelOutcome:
    after_ms = truth.time_ms - waiting.predicted.time_ms
    if after_ms < -policy.max_early_ms or after_ms > 2 * policy.max_delay_ms:
        return LabelOutcome.UNKNOWN
    if after_ms > policy.max_delay_ms:
        return LabelOutcome.LATE
    if waiting.first_label is None:
        return LabelOutcome.EARLY if after_ms < 0 else LabelOutcome.JOINED
    return LabelOutcome.DOUBLE if same_label(waiting.first_label, truth.content) else LabelOutcome.CONFLICTING
