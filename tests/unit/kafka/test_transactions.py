"""The end of a transaction for each error that a producer can raise. Real producers are in `tests/chaos`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from stream_infer.flow.errors import Aborted, BrokerUnreachable, Fatal, SlotTaken
from stream_infer.flow.events import Event, ProducerRenewed
from stream_infer.flow.records import Channel, Output
from stream_infer.kafka import transactions
from stream_infer.kafka.producers import TrackedProducer, TroubleLog
from stream_infer.kafka.publish import CommitUnknown
from stream_infer.kafka.transactions import Transactions

LOGGER = logging.getLogger("test.transactions")
OUTPUT = Output(Channel.PREDICTIONS, [0], [b"k"], [b"v"], [None])
OFFSETS = [TopicPartition("events", 0, 7)]


def error(code: int, *flags: str) -> KafkaException:
    named = {"fatal": "fatal" in flags, "retriable": "retriable" in flags}
    return KafkaException(KafkaError(code, "reason", txn_requires_abort="abortable" in flags, **named))


RETRY = error(KafkaError._TIMED_OUT, "retriable")
ABORT = error(KafkaError.ILLEGAL_GENERATION, "abortable")
FENCED = error(KafkaError._FENCED, "fatal")
INSTANCE_FENCED = error(KafkaError.FENCED_INSTANCE_ID, "abortable")
FATAL = error(KafkaError.INVALID_TXN_STATE, "fatal")


class FakeProducer:
    """Records its calls, and raises the scripted errors, one for each call."""

    def __init__(self, **failures: list[KafkaException]) -> None:
        self.calls: list[str] = []
        self._failures = failures

    def __getattr__(self, name: str) -> Callable[..., None]:
        def call(*_arguments: object) -> None:
            if name != "poll":
                self.calls.append(name)
            waiting = self._failures.get(name)
            if waiting:
                raise waiting.pop(0)

        return call


class World:
    """A `Transactions` on fake producers: the first, then its replacements and spares, in this order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *producers: FakeProducer) -> None:
        self.events: list[Event] = []
        self.holder: list[str | BrokerUnreachable | None] = []
        self.stopping = False
        self.cannot_succeed = False
        self.retired: list[Any] = []
        self._fresh: Iterator[FakeProducer] = iter([*producers, *(FakeProducer() for _ in range(9))])
        monkeypatch.setattr(transactions, "connect_producer", self._connect)
        monkeypatch.setattr(transactions, "retire_producer", lambda one: self.retired.append(one.producer))
        self.publisher = Transactions(
            {"transaction.timeout.ms": 20_000},
            stopping=lambda: self.stopping,
            holder=self._holder,
            observe=self.events.append,
            logger=LOGGER,
            cannot_succeed=self.asked,
        )
        self.publisher.open()

    def asked(self, topics: Collection[str]) -> bool:
        assert topics == {"predictions"}
        return self.cannot_succeed

    def publish(self) -> None:
        consumer: Any = SimpleNamespace(memberid=lambda: "me")
        self.publisher.publish([("predictions", OUTPUT)], OFFSETS, "metadata", consumer)

    def reasons(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, ProducerRenewed)]

    def _connect(self, _config: object, logger: logging.Logger) -> TrackedProducer:
        producer: Any = next(self._fresh)
        return TrackedProducer(producer, TroubleLog(logger))

    def _holder(self) -> str | None:
        answer = self.holder.pop(0)
        if isinstance(answer, BrokerUnreachable):
            raise answer
        return answer


WHOLE = ["begin_transaction", "produce", "send_offsets_to_transaction", "commit_transaction"]


def test_outputs_and_offsets_are_one_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = FakeProducer()
    world = World(monkeypatch, producer)

    world.publish()
    world.publish()

    assert producer.calls == ["init_transactions", *WHOLE, *WHOLE]
    assert world.events == []


@pytest.mark.parametrize("call", ["begin_transaction", "send_offsets_to_transaction", "commit_transaction"])
def test_a_retriable_error_repeats_the_same_call(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    producer = FakeProducer(**{call: [RETRY, RETRY]})
    world = World(monkeypatch, producer)

    world.publish()

    assert producer.calls.count(call) == 3
    assert producer.calls.count("begin_transaction") == (3 if call == "begin_transaction" else 1)


@pytest.mark.parametrize("call", ["send_offsets_to_transaction", "commit_transaction"])
def test_an_abortable_error_aborts_and_keeps_the_producer(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    producer = FakeProducer(**{call: [ABORT]})
    world = World(monkeypatch, producer)

    with pytest.raises(Aborted):
        world.publish()
    world.publish()

    assert producer.calls[-5:] == ["abort_transaction", *WHOLE]
    assert world.retired == []


def test_after_a_fatal_error_the_producer_is_never_called_again(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = FakeProducer(send_offsets_to_transaction=[FATAL]), FakeProducer()
    world = World(monkeypatch, first, second)

    with pytest.raises(Aborted):
        world.publish()
    known = list(first.calls)
    world.publish()

    assert world.retired == [first]
    assert first.calls == known
    assert "abort_transaction" not in known
    assert second.calls == ["init_transactions", *WHOLE]


def test_an_abort_that_fails_replaces_the_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    first = FakeProducer(send_offsets_to_transaction=[ABORT], abort_transaction=[FATAL])
    world = World(monkeypatch, first)

    with pytest.raises(Aborted):
        world.publish()
    world.publish()

    assert world.retired == [first]
    assert len(world.reasons()) == 1


def test_a_fatal_error_of_the_commit_leaves_its_result_unknown_in_a_new_epoch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = FakeProducer(commit_transaction=[FATAL]), FakeProducer()
    world = World(monkeypatch, first, second)

    with pytest.raises(CommitUnknown):
        world.publish()

    assert second.calls == ["init_transactions"]  # whatever was late of the old epoch fails from here on


def test_a_taken_epoch_ends_the_worker_only_when_the_group_has_another_member(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch, FakeProducer(send_offsets_to_transaction=[FENCED]))
    world.holder = [BrokerUnreachable("silence"), "another"]

    with pytest.raises(SlotTaken, match="transactional id"):
        world.publish()


@pytest.mark.parametrize("holder", ["me", None])
def test_a_taken_epoch_is_replaced_while_the_slot_is_its_own(
    monkeypatch: pytest.MonkeyPatch, holder: str | None
) -> None:
    world = World(monkeypatch, FakeProducer(send_offsets_to_transaction=[FENCED]))
    world.holder = [holder]

    with pytest.raises(Aborted):
        world.publish()
    world.publish()

    assert len(world.reasons()) == 1


def test_a_fenced_group_instance_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = FakeProducer(send_offsets_to_transaction=[INSTANCE_FENCED])
    world = World(monkeypatch, producer)

    with pytest.raises(SlotTaken, match="group instance id"):
        world.publish()


def test_a_stop_ends_the_requests_to_a_silent_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, FakeProducer(send_offsets_to_transaction=[FENCED]))
    world.holder = [BrokerUnreachable("silence")]
    world.stopping = True

    with pytest.raises(BrokerUnreachable):
        world.publish()


def test_a_stop_ends_the_repetition_of_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, FakeProducer(send_offsets_to_transaction=[RETRY]))
    world.stopping = True

    with pytest.raises(Aborted):
        world.publish()


def test_a_commit_to_a_topic_that_accepts_no_records_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = FakeProducer(commit_transaction=[RETRY, RETRY, RETRY])
    world = World(monkeypatch, producer)
    world.cannot_succeed = True

    with pytest.raises(CommitUnknown):
        world.publish()

    assert producer.calls.count("commit_transaction") == 1


def test_a_log_line_about_a_broken_request_renews_the_epoch_before_the_next_transaction(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first, second = FakeProducer(), FakeProducer()
    world = World(monkeypatch, first, second)
    world.publish()
    tracked: Any = world.publisher._client

    tracked.trouble.emit(
        logging.LogRecord("rdkafka", logging.INFO, "", 0, "FAIL [thrd:x]: Disconnected", None, None)
    )
    world.publish()

    assert world.reasons() == ["FAIL [thrd:x]: Disconnected"]
    assert first.calls == ["init_transactions", *WHOLE]
    assert second.calls == ["init_transactions", *WHOLE]


def test_a_slow_call_renews_the_epoch_before_the_next_transaction(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, FakeProducer())
    monkeypatch.setattr(transactions, "_DOUBT_S", -1.0)

    world.publish()
    world.publish()

    assert [reason.startswith("a transactional call took") for reason in world.reasons()] == [True]


def test_a_spare_whose_connection_failed_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, spare = FakeProducer(), FakeProducer(), FakeProducer()
    world = World(monkeypatch, first, second, spare)
    world.publisher._renew("for the test")  # the second produces, a third waits
    waiting: Any = world.publisher._spare
    waiting.trouble.line = "FAIL"

    world.publisher._renew("again")

    assert waiting.producer is spare
    assert world.retired == [first, second, spare]
    assert spare.calls == []


def test_a_refused_first_epoch_fails_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = error(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "fatal")

    with pytest.raises(Fatal, match="cannot begin transactions"):
        World(monkeypatch, FakeProducer(init_transactions=[refused]))


def test_close_retires_all_producers_and_may_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, spare = FakeProducer(), FakeProducer(), FakeProducer()
    world = World(monkeypatch, first, second, spare)
    world.publisher._renew("for the test")

    world.publisher.close()
    world.publisher.close()

    assert world.retired == [first, second, spare]
