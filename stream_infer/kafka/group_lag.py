"""How many records a group has not answered, counted as a `read_committed` reader sees them.

The difference of two offsets counts more than records where producers use transactions: markers, and
records that were aborted. So the records between are counted, up to a bound; beyond it their share of the
offsets is assumed to go on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]  # a public name, not marked as exported

from stream_infer.flow.errors import BrokerUnreachable
from stream_infer.flow.records import Partition
from stream_infer.kafka.admin_requests import AdminRequests
from stream_infer.kafka.client import SILENT, Properties, admin
from stream_infer.kafka.columns import partition_of
from stream_infer.kafka.error_policy import error_of
from stream_infer.kafka.standalone_reader import standalone_consumer
from stream_infer.kafka.topic_history import partition_at

_ASK_S = 5.0
_COUNT_S = 1.5
_MOST_COUNTED = 10_000
_MANY = 1_000
_MOCK_CLUSTER = "mockCluster"
"""How librdkafka begins the id of its mock cluster."""


@dataclass(frozen=True, slots=True)
class RecordLag:
    """Records that are not answered; about so many unless `exact`."""

    records: int
    exact: bool


class GroupLag:
    """Measures the lag of one group. Every method raises `BrokerUnreachable`. Use `closing`."""

    def __init__(self, properties: Properties, group_id: str, topics: Sequence[str]) -> None:
        self._topics = topics
        config = {**admin(properties), "logger": SILENT}
        self._requests = AdminRequests(properties, _ASK_S)
        self._counter = standalone_consumer(config, f"{group_id}.reader")
        self._group = Consumer({**config, "group.id": group_id, "enable.auto.commit": False})
        self._is_mock = False

    @property
    def is_mock(self) -> bool:
        """Whether the brokers are a mock cluster, which forgets the offsets of transactions and members."""
        return self._is_mock

    def close(self) -> None:
        """Close the clients."""
        self._counter.close()
        self._group.close()

    def measure(self, answered: Mapping[Partition, int]) -> Mapping[Partition, RecordLag]:
        """Return the lag of each partition.

        `answered` are offsets up to which there are answers, for where the group tells none.
        """
        ends = self._ends()
        begins = self._committed(list(ends), answered)
        behind = {p: (begins[p], end) for p, end in ends.items() if p in begins and begins[p] < end}
        counted = self._count(behind)
        return {p: counted.get(p, RecordLag(0, exact=p in begins)) for p in ends}

    def _ends(self) -> dict[Partition, int]:
        try:
            described = self._group.list_topics(timeout=_ASK_S)
        except KafkaException as exception:
            raise self._requests.unreachable(error_of(exception)) from exception
        known = described.topics
        self._is_mock = str(described.cluster_id).startswith(_MOCK_CLUSTER)
        asked = {
            TopicPartition(topic, index): OffsetSpec.latest()  # type: ignore[no-untyped-call]  # of the client
            for topic in self._topics
            if topic in known
            for index in known[topic].partitions
        }
        if not asked:
            raise BrokerUnreachable(f"no partition of {', '.join(self._topics)} is known")
        answers = self._requests.ask(
            self._requests.client.list_offsets(
                asked, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=_ASK_S
            )
        )
        return {
            partition_at(place): answer.offset
            for place, answer in answers.items()
            if not isinstance(answer, KafkaError)
        }

    def _committed(
        self, partitions: Sequence[Partition], answered: Mapping[Partition, int]
    ) -> dict[Partition, int]:
        asked = [TopicPartition(p.topic, p.index) for p in partitions]
        found = {p: answered[p] for p in partitions if p in answered}
        if self._is_mock:
            return found
        try:
            told = self._group.committed(asked, timeout=_ASK_S)
        except KafkaException:
            return found  # a group that may not be described: its answers tell
        found.update((partition_at(one), one.offset) for one in told if one.error is None and one.offset >= 0)
        return found

    def _count(self, behind: Mapping[Partition, tuple[int, int]]) -> dict[Partition, RecordLag]:
        """Count the records of each range, the smallest ranges first."""
        places, left = [], _MOST_COUNTED
        for p, (begin, end) in sorted(behind.items(), key=lambda item: item[1][1] - item[1][0]):
            if left > 0:
                places.append(TopicPartition(p.topic, p.index, begin))
                left -= end - begin
        counts, reached = self._read(places, behind)
        return {p: _lag(span, counts.get(p, 0), reached.get(p)) for p, span in behind.items()}

    def _read(
        self, places: Sequence[TopicPartition], behind: Mapping[Partition, tuple[int, int]]
    ) -> tuple[dict[Partition, int], dict[Partition, int]]:
        """Return how many records each place has, and up to which offset they were counted."""
        counts: dict[Partition, int] = {}
        reached: dict[Partition, int] = {}
        unread = {partition_at(place) for place in places}
        self._counter.assign(list(places))
        deadline = time.monotonic() + _COUNT_S
        while unread and sum(counts.values()) < _MOST_COUNTED and time.monotonic() < deadline:
            for message in self._counter.consume(_MANY, 0.1):
                p = partition_of(message)
                if p not in unread:
                    continue
                end = behind[p][1]
                after = _after(message, end)
                if after is None:
                    unread.discard(p)  # it may not be read
                    continue
                if message.error() is None and after <= end:
                    counts[p] = counts.get(p, 0) + 1
                reached[p] = min(after, end)
                if after >= end:
                    unread.discard(p)
        self._counter.unassign()
        return counts, reached


def _after(message: Message, end: int) -> int | None:
    """Return the offset after a record; `end` at the end of the log, None for another error."""
    error = message.error()
    if error is None:
        return (message.offset() or 0) + 1
    return end if error.code() == KafkaError._PARTITION_EOF else None  # noqa: SLF001 - librdkafka's local error


def _lag(span: tuple[int, int], counted: int, reached: int | None) -> RecordLag:
    begin, end = span
    if reached is None or reached <= begin:
        return RecordLag(end - begin, exact=False)
    if reached >= end:
        return RecordLag(counted, exact=True)
    return RecordLag(counted + round((end - reached) * counted / (reached - begin)), exact=False)
