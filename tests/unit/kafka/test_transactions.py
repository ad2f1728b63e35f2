"""The end of a transaction for each error that a producer can raise. Real producers are in `tests/chaos`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator
from itertools import count
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from stream_infer.flow.errors import Aborted, BrokerUnreachable, Fatal, Misconfigured
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
        self.polled = threading.Event()
        self._failures = failures

    def __getattr__(self, name: str) -> Callable[..., None]:
        def call(*_arguments: object) -> None:
            if name == "poll":
                self.polled.set()
            else:
                self.calls.append(name)
            waiting = self._failures.get(name)
            if waiting:
                raise waiting.pop(0)

        return call


class World:
    """A `Transactions` on fake producers: the first, then its replacements and spares, in this order."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, *producers: FakeProducer, timeout_ms: int = 20_000
    ) -> None:
        self.events: list[Event] = []
        self.stopping = False
        self.cannot_succeed = False
        self.outdated: list[Aborted] = []
        self.retired: list[Any] = []
        self._fresh: Iterator[FakeProducer] = iter([*producers, *(FakeProducer() for _ in range(9))])
        monkeypatch.setattr(transactions, "connect_producer", self._connect)
        monkeypatch.setattr(transactions, "retire_producer", lambda one: self.retired.append(one.producer))
        self.publisher = Transactions(
            {"transaction.timeout.ms": timeout_ms},
            stopping=lambda: self.stopping,
            observe=self.events.append,
            logger=LOGGER,
            cannot_succeed=self.asked,
        )
        self.publisher.open()

    def asked(self, topics: Collection[str]) -> bool:
        assert topics == {"predictions"}
        return self.cannot_succeed

    def publish(self) -> None:
        consumer: Any = None
        self.publisher.publish([("predictions", OUTPUT)], OFFSETS, "metadata", consumer, self.confirm)

    def confirm(self) -> None:
        if self.outdated:
            raise self.outdated.pop()

    def reasons(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, ProducerRenewed)]

    def _connect(self, _config: object, logger: logging.Logger) -> TrackedProducer:
        producer: Any = next(self._fresh)
        return TrackedProducer(producer, TroubleLog(logger))


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


def test_a_taken_epoch_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, FakeProducer(send_offsets_to_transaction=[FENCED]))

    with pytest.raises(Aborted):
        world.publish()
    world.publish()

    assert len(world.reasons()) == 1


def test_a_fenced_group_instance_aborts_and_keeps_the_producer(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = FakeProducer(send_offsets_to_transaction=[INSTANCE_FENCED])
    world = World(monkeypatch, producer)

    with pytest.raises(Aborted):
        world.publish()
    world.publish()

    assert producer.calls[-5:] == ["abort_transaction", *WHOLE]
    assert world.retired == []


def test_a_stop_ends_the_repetition_of_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, FakeProducer(send_offsets_to_transaction=[RETRY]))
    world.stopping = True

    with pytest.raises(Aborted):
        world.publish()


def test_a_stop_ends_the_wait_for_a_new_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a missing broker does, which is no failure of a worker that was asked to stop."""
    fatal = error(KafkaError._FATAL, "fatal")
    silent = FakeProducer(init_transactions=[RETRY, RETRY])
    world = World(monkeypatch, FakeProducer(commit_transaction=[fatal]), silent)
    world.stopping = True

    with pytest.raises(BrokerUnreachable, match="stopped while no broker"):
        world.publish()

    assert silent.calls == ["init_transactions"]


class HangingProducer(FakeProducer):
    """Its `send_offsets_to_transaction` ignores the timeout, and returns when `release` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.release = threading.Event()

    def send_offsets_to_transaction(self, *_arguments: object) -> None:
        self.calls.append("send_offsets_to_transaction")
        self.release.wait()


@pytest.fixture
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[HangingProducer]:
    monkeypatch.setattr(transactions, "SLICE_S", 0.01)
    producer = HangingProducer()
    yield producer
    producer.release.set()


def test_a_coordinator_that_never_takes_the_offsets_costs_the_transaction(
    monkeypatch: pytest.MonkeyPatch, hanging: HangingProducer
) -> None:
    world = World(monkeypatch, hanging, timeout_ms=50)

    with pytest.raises(Aborted, match="coordinator of the group"):
        world.publish()
    world.publish()

    assert hanging.calls[-1] == "send_offsets_to_transaction"  # it is never called again
    assert world.retired == [hanging]
    assert world.reasons() == ["the coordinator of the group has not taken the offsets in time"]


def test_errors_of_the_client_are_told_while_it_waits_for_the_coordinator(
    monkeypatch: pytest.MonkeyPatch, hanging: HangingProducer
) -> None:
    world = World(monkeypatch, hanging)
    publishing = threading.Thread(target=world.publish)
    publishing.start()

    told = hanging.polled.wait(60)
    hanging.release.set()
    publishing.join(60)

    assert told
    assert hanging.calls[-1] == "commit_transaction"


def test_a_stop_ends_the_wait_for_the_coordinator(
    monkeypatch: pytest.MonkeyPatch, hanging: HangingProducer
) -> None:
    world = World(monkeypatch, hanging)
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


def test_a_call_over_a_connection_that_never_was_is_no_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, FakeProducer())
    tracked: Any = world.publisher._client
    line = "FAIL [thrd:x]: Connect to ipv6#[::1]:9092 failed: Connection refused (after 0ms in state CONNECT)"

    tracked.trouble.emit(logging.LogRecord("rdkafka", logging.ERROR, "", 0, line, None, None))
    world.publish()

    assert world.reasons() == []


def test_slow_calls_are_no_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(monkeypatch, FakeProducer())
    clock = count(step=2.0)
    monkeypatch.setattr(transactions, "time", SimpleNamespace(monotonic=lambda: next(clock)))

    world.publish()
    world.publish()

    assert world.reasons() == []


def test_a_connection_that_broke_while_the_epoch_began_leaves_the_new_producer_in_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch, FakeProducer())
    world.publisher._renew("for the test")
    tracked: Any = world.publisher._client

    tracked.trouble.line = "FAIL: Disconnected"
    world.publish()

    assert world.reasons() == ["for the test", "FAIL: Disconnected"]


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
    refused = error(KafkaError.UNSUPPORTED_VERSION, "fatal")

    with pytest.raises(Fatal, match="cannot begin transactions"):
        World(monkeypatch, FakeProducer(init_transactions=[refused]))


def test_a_timeout_that_the_broker_refuses_is_a_matter_of_configuration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    refused = error(KafkaError.INVALID_TRANSACTION_TIMEOUT, "fatal")

    with pytest.raises(Misconfigured) as failed:
        World(monkeypatch, FakeProducer(init_transactions=[refused]))

    [problem] = failed.value.problems
    assert (problem.key, problem.value) == ("kafka.producer.transaction.timeout.ms", "20000")


def test_close_retires_all_producers_and_may_be_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, spare = FakeProducer(), FakeProducer(), FakeProducer()
    world = World(monkeypatch, first, second, spare)
    world.publisher._renew("for the test")

    world.publisher.close()
    world.publisher.close()

    assert world.retired == [first, second, spare]


def test_a_transaction_that_is_not_confirmed_is_aborted(monkeypatch: pytest.MonkeyPatch) -> None:
    producer = FakeProducer()
    world = World(monkeypatch, producer)
    world.outdated.append(Aborted("events was deleted or recreated"))

    with pytest.raises(Aborted, match="events was deleted"):
        world.publish()
    world.publish()

    assert producer.calls == ["init_transactions", *WHOLE[:3], "abort_transaction", *WHOLE]


def test_a_transaction_that_is_not_confirmed_and_cannot_be_aborted_gets_a_new_producer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World(monkeypatch, FakeProducer(abort_transaction=[FENCED]))
    world.outdated.append(Aborted("events was deleted or recreated"))

    with pytest.raises(Aborted, match="events was deleted"):
        world.publish()
    world.publish()

    assert len(world.reasons()) == 1
