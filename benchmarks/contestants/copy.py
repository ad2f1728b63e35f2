"""The bare transactional copy: what Python and librdkafka can do at all. Reads, and writes ready-made bytes.

Same client settings, batch limit and transaction per batch as the worker; the values are real predictions,
made beforehand, so that compression and broker have the same work. No record is looked into.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator, Sequence
from itertools import cycle, islice

from confluent_kafka import Consumer, KafkaException, Message, Producer

from benchmarks.job import Job, read_pool


def open_clients(job: Job) -> tuple[Consumer, Producer]:
    """Return a consumer and a producer that are ready for `copies`."""
    producer = Producer(job.producer)
    if job.transactional:
        producer.init_transactions(30)
    consumer = Consumer(job.consumer)
    consumer.subscribe([job.input])
    return consumer, producer


def copies(job: Job, consumer: Consumer, producer: Producer) -> Generator[int]:
    """Copy a batch at a time, for ever; yield how many records each has."""
    values = cycle(read_pool(job.pool))
    while True:
        first = consumer.poll(0.1)
        if first is None or first.error():
            continue
        messages = [first, *consumer.consume(job.batch - 1, 0)]
        try:
            _copy(job, messages, islice(values, len(messages)), consumer, producer)
        except KafkaException as failed:
            if not failed.args[0].txn_requires_abort():  # as when a second copy has joined meanwhile
                raise
            producer.abort_transaction(30)
            for partition in consumer.committed(consumer.assignment(), 10):
                partition.offset = max(partition.offset, 0)
                consumer.seek(partition)
        else:
            yield len(messages)


def _copy(
    job: Job, messages: Sequence[Message], values: Iterator[bytes], consumer: Consumer, producer: Producer
) -> None:
    topic, produce = job.output, producer.produce
    if job.transactional:
        producer.begin_transaction()
    for message, value in zip(messages, values, strict=True):
        try:
            produce(topic, value, message.key(), message.partition())
        except BufferError:
            producer.poll(0.05)
            produce(topic, value, message.key(), message.partition())
    offsets = consumer.position(consumer.assignment())
    if job.transactional:
        producer.send_offsets_to_transaction(offsets, consumer.consumer_group_metadata(), 30)
        producer.commit_transaction(30)
    else:
        producer.flush(30)
        consumer.commit(offsets=offsets, asynchronous=False)


def main() -> None:
    """Copy until killed."""
    job = Job.from_json(sys.argv[1])
    for _ in copies(job, *open_clients(job)):
        pass


if __name__ == "__main__":
    main()
