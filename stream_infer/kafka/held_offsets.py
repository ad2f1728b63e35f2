"""Committed offsets that an open transaction holds: a reader of committed records waits for its end.

librdkafka repeats the question by itself until it times out, and does not say why. A consumer of uncommitted
records has the answer at once: that tells a held offset from a silent broker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing

from confluent_kafka import Consumer, KafkaException

from stream_infer.flow.records import Partition
from stream_infer.kafka.client import SILENT
from stream_infer.kafka.offsets import has_offsets, partitions_in
from stream_infer.kafka.toppars import toppars

_ASK_S = 1.0
_LOG = "__consumer_offsets"
_SENTENCE = (
    "UNSTABLE_OFFSET_COMMIT: an open transaction holds the committed offsets. It ends after its "
    "transaction.timeout.ms. To end one that hangs: `kafka-transactions.sh --bootstrap-server {servers} "
    "describe-producers --topic {log} --partition {index}` shows its CurrentTransactionStartOffset N, "
    "`kafka-transactions.sh --bootstrap-server {servers} abort --topic {log} --partition {index} "
    "--start-offset N` ends it"
)


def holding_transaction(config: Mapping[str, object], partitions: Iterable[Partition]) -> str | None:
    """Return the sentence about the transaction that holds offsets of `partitions`; None without an answer.

    `config` is that of a consumer of the group, whose own question about these offsets has timed out. The
    consumer that asks here does not join the group.
    """
    with closing(_uncommitted_reader(config)) as consumer:
        try:
            committed = consumer.committed(toppars(list(partitions)), timeout=_ASK_S)
            topic = consumer.list_topics(_LOG, timeout=_ASK_S).topics[_LOG]
        except KafkaException:
            return None
    if any(one.error is not None for one in committed) or not topic.partitions:
        return None
    index = offsets_partition(str(config["group.id"]), len(topic.partitions))
    return _SENTENCE.format(servers=config["bootstrap.servers"], log=_LOG, index=index)


def has_group_begun(config: Mapping[str, object], topics: Iterable[str]) -> bool:
    """Return whether the group has committed offsets of `topics`, held or not; False without an answer.

    `config` is that of a consumer of the group.
    """
    with closing(_uncommitted_reader(config)) as consumer:
        try:
            return has_offsets(consumer, partitions_in(consumer, topics))
        except KafkaException:
            return False


def _uncommitted_reader(config: Mapping[str, object]) -> Consumer:
    """Return a consumer of the group that does not join it, and waits for no transaction."""
    own = {name: value for name, value in config.items() if name != "group.instance.id"}
    return Consumer({**own, "isolation.level": "read_uncommitted"}, logger=SILENT)


def offsets_partition(group_id: str, count: int) -> int:
    """Return the partition of `__consumer_offsets`, which has `count`, that keeps the offsets of a group."""
    hashed = 0
    for character in group_id:
        hashed = (31 * hashed + ord(character)) & 0xFFFFFFFF  # Java's String.hashCode
    signed = hashed - (1 << 32) if hashed & 0x80000000 else hashed
    return (0 if signed == -(1 << 31) else abs(signed)) % count
