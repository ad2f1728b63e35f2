"""What is followed of a control topic that others write to as well. Real topics are in `tests/kafka`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from stream_infer.flow.codes import RefusalCode
from stream_infer.kafka import control
from stream_infer.kafka.control import ControlTopic, record
from stream_infer.kafka.standalone_reader import Entry
from stream_infer.rollout.deployment import Deployment, PackageRef, StoreProblem

PIPELINE = "payments.fraud"
WISH = Deployment(
    pipeline=PIPELINE,
    generation=1,
    package=PackageRef("fraud", "1.0.0", f"sha256:{64 * 'a'}", "fraud-1.0.0"),
    requested_by="me",
    requested_at=1_000,
)
READ_S = 0.125  # exact as a float


class FakeTail:
    """Gives the scripted reads in turn; each takes an eighth of a second of the clock."""

    def __init__(self, *reads: Sequence[Entry], held: int) -> None:
        self.now = 0.0
        self.reads = list(reads)
        self._held = held

    @property
    def caught_up(self) -> bool:
        return self._held == 0

    def read(self, _wait_s: float) -> list[Entry]:
        self.now += READ_S
        self._held = max(0, self._held - 1)
        return list(self.reads.pop(0)) if self.reads else []


def entry(wish: Deployment, key: str = PIPELINE) -> Entry:
    return Entry(key.encode(), record(wish)[1], ())


def following(monkeypatch: pytest.MonkeyPatch, fake: FakeTail) -> ControlTopic:
    @contextmanager
    def opened(*_: object, **__: object) -> Iterator[FakeTail]:
        yield fake

    monkeypatch.setattr(control, "tail", opened)
    monkeypatch.setattr(control, "time", SimpleNamespace(monotonic=lambda: fake.now))
    fetch: Any = None
    return ControlTopic({}, "control", PIPELINE, fetch=fetch)


def generations(*numbers: int) -> list[Entry]:
    return [entry(replace(WISH, generation=number)) for number in numbers]


def test_the_newest_record_of_the_whole_topic_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = Entry(b"another", b"x" * 1_000, ())
    fake = FakeTail(generations(1, 2), [foreign] * 100, generations(3), [foreign] * 100, held=4)

    found = following(monkeypatch, fake).poll(0.5)

    assert isinstance(found, Deployment)
    assert found.generation == 3
    assert fake.reads == []


def test_a_flood_is_answered_once_a_poll_by_its_newest_record(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeTail([], *(generations(number) for number in range(1, 101)), held=1)
    topic = following(monkeypatch, fake)

    found = [topic.poll(0.5) for _ in range(5)]

    assert found[0] is None
    assert [one.generation for one in found[1:] if isinstance(one, Deployment)] == [5, 10, 15, 20]


def test_a_deployment_of_another_pipeline_under_this_key_is_not_followed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fake = FakeTail([entry(replace(WISH, pipeline="shop.churn"))], held=1)

    found = following(monkeypatch, fake).poll(0.5)

    assert isinstance(found, StoreProblem)
    assert found.code is RefusalCode.INVALID
    assert "a deployment of shop.churn for payments.fraud" in found.reason
