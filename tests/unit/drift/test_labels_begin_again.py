"""A labels topic that was recreated: no label of the old one is lost or replaced by one of the new."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest

from stream_infer.drift.join import Join
from stream_infer.drift.labels import JoinPolicy, LabelOutcome, LabelWindow, Predicted, ReadProgress, Truth

LOG = "labels/0"
NOW_MS = 10_000
POLICY = JoinPolicy(max_delay_ms=5_000, max_early_ms=1_000, window=10)
ENDED = range(20, 25)


class Monitor:
    """A join that reads one partition of labels, and may begin again from its documents at any time."""

    def __init__(self, policy: JoinPolicy, *, restarts: bool) -> None:
        self.join = Join(policy)
        self._policy, self._restarts = policy, restarts
        self._documents: dict[str, object] = {}

    def predict(self, names: Iterable[str]) -> None:
        """Take predictions of "yes"."""
        for name in names:
            self.join.predicted(Predicted(name, "1", "d", NOW_MS, NOW_MS, "yes"))

    def read(self, names: Sequence[str], *, label: str = "yes", at_ms: int = NOW_MS) -> list[LabelWindow]:
        """Read labels from offset 0 on; return the windows that close."""
        closed = []
        for offset, name in enumerate(names):
            self.join.labelled(LOG, offset, Truth(name, at_ms, at_ms, label))
            closed += self.advance(offset + 1)
        return closed

    def advance(self, reached: int, now_ms: int = NOW_MS) -> list[LabelWindow]:
        """Return the windows that close at this offset and this time."""
        closed = self.join.advance(ReadProgress(now_ms, now_ms, {LOG: reached}))
        self._documents |= json.loads(json.dumps(self.join.changed()))
        if self._restarts:
            self.join = Join(self._policy)
            self.join.restore({name: one for name, one in self._documents.items() if one is not None})
        return closed


def names(first: int, end: int) -> list[str]:
    return [f"p{number}" for number in range(first, end)]


def places(closed: Iterable[LabelWindow]) -> list[tuple[str, int, int]]:
    return [(window.log, window.first_offset, window.last_offset) for window in closed]


def labelled(closed: Iterable[LabelWindow]) -> list[str]:
    return sorted(pair.truth.id for window in closed for pair in window.pairs)


@pytest.mark.parametrize("restarts", [False, True])
def test_each_label_of_both_topics_is_in_one_window(restarts: bool) -> None:  # noqa: FBT001 - as parametrised
    monitor = Monitor(POLICY, restarts=restarts)
    monitor.predict(names(0, 50))

    before = monitor.read(names(0, 25))
    after = monitor.read(names(25, 48))

    assert places(before) == [(LOG, 0, 9), (LOG, 10, 19)]
    assert sorted(places(after)) == [(LOG, 0, 9), (LOG, 10, 19), (LOG, ENDED[0], ENDED[-1])]
    assert labelled([*before, *after]) == sorted(names(0, 45))
    assert sorted(labelled(monitor.advance(30))) == sorted(names(45, 48))
    assert monitor.join.totals[LabelOutcome.JOINED] == 48


@pytest.mark.parametrize("restarts", [False, True])
def test_a_label_of_the_old_topic_is_joined_with_a_prediction_that_comes_later(restarts: bool) -> None:  # noqa: FBT001 - as parametrised
    monitor = Monitor(POLICY, restarts=restarts)
    monitor.predict(names(0, 24))
    monitor.read(names(0, 25))

    nothing = monitor.read(names(30, 33))  # nobody has predicted these yet either
    monitor.predict(names(24, 33))
    closed = monitor.advance(3)

    assert nothing == []
    assert places(closed) == [(LOG, ENDED[0], ENDED[-1])]
    assert labelled(closed) == sorted(names(20, 25))


def test_topics_that_are_recreated_again_and_again_leave_one_window_each() -> None:
    monitor = Monitor(POLICY, restarts=False)

    for _ in range(3):  # no prediction has come: all of them wait
        monitor.read(names(0, 5))
    monitor.predict(names(0, 5))
    closed = monitor.advance(10)

    assert places(closed) == [(LOG, 0, 4)] * 3
    assert sum((Counter(window.outcomes) for window in closed), Counter()) == {
        LabelOutcome.JOINED: 5,
        LabelOutcome.DOUBLE: 10,
    }


def test_a_label_of_the_new_topic_corrects_one_of_the_old() -> None:
    monitor = Monitor(replace(POLICY, corrected_within_ms=2_000), restarts=True)
    monitor.predict(names(0, 5))

    monitor.read(names(0, 5), label="no")
    monitor.read(names(0, 5), at_ms=NOW_MS + 1)
    closed = monitor.advance(10, NOW_MS + 5_000)

    assert sum((Counter(window.outcomes) for window in closed), Counter()) == {
        LabelOutcome.CORRECTED: 5,
        LabelOutcome.JOINED: 5,
    }
