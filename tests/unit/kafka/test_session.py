"""A member that was fenced joins again under its slot; two workers under one slot do not go on for ever."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from stream_infer.flow.errors import SlotTaken
from stream_infer.flow.events import AssignmentChanged, Event, SlotRejoined
from stream_infer.kafka import membership, session
from stream_infer.kafka.assignment import Assignment
from stream_infer.kafka.membership import Joining, Membership, SessionSettings
from stream_infer.kafka.reading import MemberFenced
from stream_infer.kafka.session import Session

FENCED = MemberFenced("fenced")
TIMEOUT_S = 10.0


class World:
    """A session whose members read what is scripted, on a clock of its own.

    Each member is assigned at once, but for those whose number is in `unassigned`.
    """

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *reads: Sequence[object], unassigned: Sequence[int] = ()
    ) -> None:
        self.now = 100.0
        self.events: list[Event] = []
        self.epochs: list[int] = []
        self.closed = 0
        self.stopping = False
        self.closing = threading.Event()
        self.closing.set()
        self._reads: Iterator[Sequence[object]] = iter(reads)
        self._unassigned = unassigned
        monkeypatch.setattr(Joining, "join", lambda _joining, epoch: self._join(epoch))
        monkeypatch.setattr(membership.time, "monotonic", lambda: self.now)
        publisher: Any = SimpleNamespace(open=lambda: None, close=lambda: None)
        start: Any = None
        self.session = Session(
            SessionSettings({"session.timeout.ms": TIMEOUT_S * 1000}, ["events"], {}),
            publisher,
            start,
            start,
            stopping=lambda: self.stopping,
            observe=self.events.append,
            logger=logging.getLogger("test"),
        )
        self.session.open()

    def read(self) -> object:
        return self.session.read(10, 0.1)

    def _join(self, epoch: int) -> Membership:
        script = iter(next(self._reads))
        assigned_at = None if len(self.epochs) in self._unassigned else self.now
        parts: dict[str, Any] = {
            "consumer": SimpleNamespace(poll=lambda _wait_s: None, close=self._close),
            "guard": SimpleNamespace(look=lambda: None),
            "rebalance": SimpleNamespace(assigned_at=assigned_at, lost_at=None),
            "reader": SimpleNamespace(read=lambda *_limits: _next(script)),
            "committer": SimpleNamespace(commit_passed=lambda: None),
        }
        self.epochs.append(epoch)
        return Membership(is_first=epoch == 0, assignment=Assignment(epoch), **parts)

    def _close(self) -> None:
        self.closing.wait()
        self.closed += 1


def _next(script: Iterator[object]) -> object:
    answer = next(script)
    if isinstance(answer, Exception):
        raise answer
    return answer


def test_a_member_that_was_fenced_joins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, [FENCED], ["a batch"])

    assert [world.read(), world.read()] == [None, "a batch"]
    assert world.epochs == [0, 1]
    assert world.closed == 1
    assert world.events == [AssignmentChanged("lost", ()), SlotRejoined("fenced")]


def test_a_new_member_that_is_fenced_at_once_has_a_rival(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, [FENCED], [FENCED])
    world.read()
    world.now += TIMEOUT_S - 1

    with pytest.raises(SlotTaken, match="another worker has joined"):
        world.read()


def test_a_new_member_whose_session_may_have_timed_out_since_joins_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch, [FENCED], [FENCED], ["a batch"])
    world.read()
    world.now += TIMEOUT_S

    assert [world.read(), world.read()] == [None, "a batch"]


def test_a_new_member_that_the_group_has_not_assigned_yet_joins_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch, [FENCED], [FENCED], ["a batch"], unassigned=[1])

    assert [world.read(), world.read(), world.read()] == [None, None, "a batch"]


def test_a_member_that_gets_nothing_after_a_loss_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, [None, None], ["a batch"])
    listener: Any = vars(world.session)["_opened"].rebalance
    listener.lost_at = world.now

    world.now += 2 * TIMEOUT_S
    assert world.read() is None
    assert world.epochs == [0]
    world.now += 1
    assert [world.read(), world.read()] == [None, "a batch"]
    assert world.epochs == [0, 1]


def test_a_consumer_that_does_not_close_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_ENDS_WITHIN_S", 0.01)
    monkeypatch.setattr(Membership.leave, "__defaults__", (0.01,))
    world = World(monkeypatch, [FENCED], ["a batch"])
    world.closing.clear()

    assert [world.read(), world.read()] == [None, "a batch"]
    world.session.close()
    assert world.closed == 0
    world.closing.set()


def test_a_member_that_is_fenced_amid_a_stop_is_not_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, [FENCED])
    world.stopping = True

    assert world.read() is None
    world.session.close()

    assert world.epochs == [0]
    assert world.closed == 1
