from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence

import pytest

from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import BrokerUnreachable
from stream_infer.flow.events import AssignmentChanged, BatchCommitted, ClientFailed, Event, ReadFinished
from stream_infer.flow.records import Partition
from stream_infer.kafka import group_watch as group_watch_module
from stream_infer.kafka.client import Properties
from stream_infer.kafka.group_watch import GroupWatch

WITHIN_S = 60.0
Answer = Sequence[str] | None | BrokerUnreachable


class Script:
    """Answers in turn, the last one again and again; `asked` counts the questions."""

    def __init__(self, *answers: Answer) -> None:
        self._answers = list(answers)
        self.asked = threading.Semaphore(0)

    def __call__(self, *_: object, **__: object) -> Script:
        return self

    def ask(self) -> Sequence[str] | None:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        self.asked.release()
        if isinstance(answer, BrokerUnreachable):
            raise answer
        return answer


Watching = Callable[..., tuple[GroupWatch, Script]]


@pytest.fixture
def watching(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watching]:
    watches: list[GroupWatch] = []

    def start(*answers: Answer) -> tuple[GroupWatch, Script]:
        script = Script(*answers)
        monkeypatch.setattr(group_watch_module, "GroupInquiry", script)
        watch = GroupWatch(Properties({}), "shop.score")
        watches.append(watch)
        watch.start()
        assert script.asked.acquire(timeout=WITHIN_S)
        return watch, script

    yield start
    for watch in watches:
        watch.close()
        assert not watch.is_alive


def change(watch: GroupWatch, script: Script) -> None:
    """A change of the assignment, and the question that follows."""
    watch(AssignmentChanged("assigned", ()))
    assert script.asked.acquire(timeout=WITHIN_S)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records]


def test_a_change_of_the_assignment_asks_and_each_change_of_the_answer_is_one_line(
    watching: Watching, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    watch, script = watching(["a stranger"], ["a stranger"], [], [])

    for _ in range(4):
        change(watch, script)
    watch.close()

    assert lines(caplog) == [LogEvent.FOREIGN_MEMBERS, LogEvent.FOREIGN_MEMBERS_LEFT]
    assert watch.foreign_members == ()


def test_other_events_do_not_ask(watching: Watching) -> None:
    watch, script = watching([])

    watch(ReadFinished(1, 0.1))
    watch.close()

    assert not script.asked.acquire(blocking=False)


def test_a_worker_with_partitions_asks_only_after_a_change(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_watch_module, "_EVERY_S", 0.01)
    watch, script = watching([])
    watch(AssignmentChanged("assigned", (Partition("events", 0),)))
    while script.asked.acquire(timeout=0.2):  # those that were under way
        pass

    watch(AssignmentChanged("revoked", ()))

    for _ in range(3):
        assert script.asked.acquire(timeout=WITHIN_S)


def test_without_an_answer_the_known_state_stays(watching: Watching) -> None:
    watch, script = watching(["a stranger"], BrokerUnreachable("silence"))

    change(watch, script)
    watch.close()

    assert watch.foreign_members == ("a stranger",)


def test_a_group_that_rebalances_is_asked_again_soon(
    watching: Watching, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(group_watch_module, "_UNSETTLED_S", 0.01)
    watch, script = watching(None, ["a stranger"])

    assert script.asked.acquire(timeout=WITHIN_S)
    watch.close()

    assert watch.foreign_members == ("a stranger",)


@pytest.mark.parametrize("sign", [ClientFailed("3/3 brokers are down"), AssignmentChanged("lost", ())])
@pytest.mark.parametrize(
    "success", [BatchCommitted(1, 1, 0, {}, "1.0.0", 0.1, 0.1), AssignmentChanged("revoked", ())]
)
def test_the_group_is_not_asked_about_while_the_brokers_are_away(
    watching: Watching, monkeypatch: pytest.MonkeyPatch, sign: Event, success: Event
) -> None:
    monkeypatch.setattr(group_watch_module, "_EVERY_S", 0.01)
    watch, script = watching([])
    watch(sign)
    while script.asked.acquire(timeout=0.2):  # those that were under way
        pass

    watch(success)

    assert script.asked.acquire(timeout=WITHIN_S)
