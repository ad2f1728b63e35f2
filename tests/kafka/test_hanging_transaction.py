"""A transaction that hangs on the offsets of the group: it is named, and waited for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import Consumer, Producer, TopicPartition

from tests.support.events import Framing, generate, send
from tests.support.pipeline import Pipeline
from tests.support.ports import free_ports
from tests.support.probes import readyz
from tests.support.worker_process import Group, Worker, until

COUNT = 200
_WITHIN_S = 60.0


@contextmanager
def hanging_transaction(tested: Pipeline) -> Iterator[Callable[[], None]]:
    """Keep a transaction open that has an offset of the group in it; yield what ends it."""
    producer = Producer({"bootstrap.servers": tested.bootstrap, "transactional.id": f"{tested.name}.hanging"})
    stranger = Consumer({"bootstrap.servers": tested.bootstrap, "group.id": tested.group})
    producer.init_transactions(_WITHIN_S)
    producer.begin_transaction()
    offsets = [TopicPartition(tested.input, 0, 1)]
    producer.send_offsets_to_transaction(offsets, stranger.consumer_group_metadata(), _WITHIN_S)
    yield lambda: producer.abort_transaction(_WITHIN_S)
    stranger.close()


def test_a_transaction_that_holds_the_offsets_of_the_group_is_named_until_it_ends(
    pipeline: Callable[[Framing], Pipeline], start_worker: Callable[[Path], Worker]
) -> None:
    tested = pipeline(Framing.NONE)
    group = Group(tested)
    send(tested.bootstrap, tested.input, generate(COUNT, Framing.NONE, seed=24))
    [port] = free_ports(1)

    def named() -> bool:
        waiting_for = " ".join(readyz(port).get("waiting_for", ()))
        return "UNSTABLE_OFFSET_COMMIT" in waiting_for and "kafka-transactions" in waiting_for

    with hanging_transaction(tested) as end:
        worker = start_worker(tested.write_config("0", http={"port": port}))
        until("it is named", named, worker)
        assert not readyz(port)["ready"]
        assert f"{tested.input}/0" in " ".join(readyz(port)["waiting_for"])

        end()
        until("all events are answered", lambda: group.committed() == COUNT, worker)
        until("it is ready", lambda: readyz(port)["ready"], worker)

    assert worker.terminate() == 0
    verdict, _imported = tested.judged()
    assert verdict.faults == {}, verdict.examples
