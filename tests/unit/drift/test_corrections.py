"""A label that is corrected counts as corrected: the one known last, whatever the window it comes in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest

from stream_infer.drift.join import Join
from stream_infer.drift.labels import JoinPolicy, LabelOutcome, LabelWindow, Predicted, ReadProgress, Truth

HOUR_MS = 3_600_000
LOG = "labels/0"
LAST = JoinPolicy(max_delay_ms=24 * HOUR_MS, window=50, corrected_within_ms=HOUR_MS)
FIRST = JoinPolicy(max_delay_ms=24 * HOUR_MS, window=50)
SEEDS = range(5)


def stream(seed: int, count: int = 2_000) -> list[Truth]:
    """Return labels by time: true for 95 %, said wrong at first for 20 %, and corrected within an hour."""
    rng = np.random.default_rng(seed)
    labels = []
    for number in range(count):
        at = 1_000 * (number + 1)
        true, wrong = ("yes" if rng.random() < 0.95 else "no"), rng.random() < 0.2
        first = {"yes": "no", "no": "yes"}[true] if wrong else true
        labels.append(Truth(f"p{number}", at, at, first))
        if wrong:
            later = at + int(rng.integers(1, HOUR_MS))
            labels.append(Truth(f"p{number}", later, later, true))
    return sorted(labels, key=lambda one: one.time_ms)


def windows(labels: Sequence[Truth], policy: JoinPolicy) -> list[LabelWindow]:
    """Join labels with predictions of "yes"; the join begins again from its documents after each 100."""
    join, documents, closed = Join(policy), dict[str, object](), []
    for name in dict.fromkeys(one.id for one in labels):
        join.predicted(Predicted(name, "1", "d", 500, 500, "yes"))
    for offset, one in enumerate(labels):
        join.labelled(LOG, offset, one)
        closed += join.advance(ReadProgress(one.time_ms, one.time_ms, {LOG: offset + 1}))
        documents |= json.loads(json.dumps(join.changed()))
        if offset % 100 == 0:
            join = Join(policy)
            join.restore({name: document for name, document in documents.items() if document is not None})
    end = labels[-1].time_ms + 2 * HOUR_MS
    return closed + join.advance(ReadProgress(end, end, {LOG: len(labels) // 50 * 50}))


def accuracy(closed: Sequence[LabelWindow]) -> float:
    correct = [pair.truth.label == pair.predicted.label for window in closed for pair in window.pairs]
    return sum(correct) / len(correct)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_accuracy_is_that_of_corrected_labels(seed: int) -> None:
    labels = stream(seed)

    assert accuracy(windows(labels, LAST)) == pytest.approx(0.95, abs=0.02)
    assert accuracy(windows(labels, FIRST)) == pytest.approx(0.77, abs=0.04)


def test_each_label_that_was_corrected_is_counted_as_such_and_each_prediction_once() -> None:
    labels = stream(1)
    closed = windows(labels, LAST)

    outcomes = sum((Counter(window.outcomes) for window in closed), Counter[LabelOutcome]())
    names = [pair.truth.id for window in closed for pair in window.pairs]
    assert set(outcomes) == {LabelOutcome.JOINED, LabelOutcome.CORRECTED}
    assert len(names) == len(set(names)) == outcomes[LabelOutcome.JOINED]


def test_what_was_known_earlier_or_comes_too_late_corrects_nothing() -> None:
    counted = Truth("p", 2 * HOUR_MS, 2 * HOUR_MS, "yes")
    stale = Truth("p", 2 * HOUR_MS + 1, HOUR_MS, "no")
    late = Truth("p", 3 * HOUR_MS + 1, 3 * HOUR_MS + 1, "no")
    others = [Truth(f"o{number}", 2 * HOUR_MS, 2 * HOUR_MS, "yes") for number in range(47)]

    [window] = windows([counted, stale, *others, late], LAST)

    assert window.outcomes == {LabelOutcome.JOINED: 48, LabelOutcome.CONFLICTING: 2}


def test_a_label_that_says_the_same_again_is_double() -> None:
    labels = [Truth(f"o{number}", HOUR_MS, HOUR_MS, "yes") for number in range(49)]

    [window] = windows([*labels, labels[0]._replace(time_ms=HOUR_MS + 5)], LAST)

    assert window.outcomes == {LabelOutcome.JOINED: 49, LabelOutcome.DOUBLE: 1}


def test_without_a_time_for_corrections_the_first_of_two_labels_of_one_time_counts() -> None:
    labels = [Truth(f"o{number}", HOUR_MS, HOUR_MS, "yes") for number in range(49)]

    [window] = windows([*labels, labels[0]._replace(label="no")], FIRST)

    assert window.outcomes == {LabelOutcome.JOINED: 49, LabelOutcome.CONFLICTING: 1}
