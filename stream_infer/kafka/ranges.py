"""Reads a range of a topic once, outside of any group, in batches as the roles get them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from stream_infer.flow.errors import BrokerUnreachable
from stream_infer.flow.records import Batch, Partition
from stream_infer.kafka.columns import Gathered, partition_of
from stream_infer.kafka.error_policy import error_of
from stream_infer.kafka.standalone_reader import is_end, partitions_of, standalone_consumer

_ASK_S = 10.0
_MANY = 2_000


@dataclass(frozen=True, slots=True)
class RangeBound:
    """One end of a range: an offset in each partition, or a record timestamp in Unix milliseconds."""

    offset: int | None = None
    moment_ms: int | None = None


START, END = RangeBound(offset=0), RangeBound()


def read_range(
    config: Mapping[str, object], topic: str, first: RangeBound, last: RangeBound
) -> Iterator[Batch]:
    """Yield the records from `first` on and before `last`, in the order of the log.

    `END` is the end of the log when reading begins. `config` is that of an admin client. Raises
    `BrokerUnreachable` when no broker answers, and `Unreadable`.
    """
    consumer = standalone_consumer(config, topic)
    try:
        asked = [TopicPartition(topic, p) for p in partitions_of(consumer, topic, _ASK_S)]
        begins, ends = offsets_at(consumer, asked, first), offsets_at(consumer, asked, last)
        wanted = {p: (begins[p], ends[p]) for p in begins if begins[p] < ends[p]}
        consumer.assign([TopicPartition(p.topic, p.index, begin) for p, (begin, _) in wanted.items()])
        yield from _batches(consumer, {p: end for p, (_, end) in wanted.items()})
    except KafkaException as exception:
        raise BrokerUnreachable(f"{topic} cannot be read: {error_of(exception).str()}") from exception
    finally:
        consumer.close()


def _batches(consumer: Consumer, ends: dict[Partition, int]) -> Iterator[Batch]:
    unread = set(ends)
    topics = sorted({p.topic for p in ends})
    while unread:
        first = consumer.poll(_ASK_S)
        if first is None:
            raise BrokerUnreachable(f"no record within {_ASK_S:g} s before the end of the range")
        messages = [first, *consumer.consume(_MANY, 0)]
        unread -= {p for message in messages if (p := _ended(message, ends)) is not None}
        within = [m for m in messages if m.error() is None and (m.offset() or 0) < ends[partition_of(m)]]
        if within:
            gathered = Gathered(topics)
            gathered.add(within)
            yield gathered.batch(gathered.newest_ms)


def _ended(message: Message, ends: Mapping[Partition, int]) -> Partition | None:
    """Return the partition whose range ends with `message`, if it does."""
    error, partition = message.error(), partition_of(message)
    done = (message.offset() or 0) + 1 >= ends[partition] if error is None else is_end(error, message)
    return partition if done else None


def offsets_at(
    consumer: Consumer, asked: Sequence[TopicPartition], place: RangeBound
) -> dict[Partition, int]:
    """Return the offset of `place` in each partition, within the log. Raises `BrokerUnreachable`."""
    moments: dict[int, int] = {}
    if place.moment_ms is not None:
        wanted = [TopicPartition(tp.topic, tp.partition, place.moment_ms) for tp in asked]
        moments = {tp.partition: tp.offset for tp in consumer.offsets_for_times(wanted, timeout=_ASK_S)}
    offsets = {}
    for tp in asked:
        held = consumer.get_watermark_offsets(tp, timeout=_ASK_S)
        if held is None:
            raise BrokerUnreachable(f"no watermarks of {tp.topic}/{tp.partition} within {_ASK_S:.0f} s")
        earliest, end = held
        found = place.offset if place.moment_ms is None else moments[tp.partition]
        after = found is None or found < 0  # librdkafka says -1 of a moment after the last record
        offsets[Partition(tp.topic, tp.partition)] = (
            end if after else min(max(int(found or 0), earliest), end)
        )
    return offsets
