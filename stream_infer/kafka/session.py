"""One member of a consumer group and its producer: the Source and the Sink of the online roles.

Callbacks run inside `read` (librdkafka serves them in `poll` and `consume`), never between a read and its
commit, and they only take note: an exception out of `consume()` would lose the messages it had fetched.

Why rows of a partition that moved away cannot be committed, step by step:
1. Another member gets a partition only in a generation that begins after this member's revoke callback ran,
   or after this member was thrown out. So rows read after the last callback are owned, unless thrown out.
2. Rows collected in the very call that served a callback are dropped where the callback touched their
   partition (`_touched`), and read again if still owned.
3. A member that was thrown out commits with the metadata of its last assignment (the lease); the group
   coordinator refuses a stale generation or member id, and the transaction aborts. The metadata is never
   taken at commit: a member thrown out meanwhile would get an empty one, which is not checked.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import Aborted, Fatal, SlotTaken, StreamInferError
from stream_infer.flow.events import AssignmentChanged, LagMeasured
from stream_infer.flow.ports import Observer
from stream_infer.flow.records import Batch, Channel, Cursor, Outcome, Output, Partition
from stream_infer.kafka.columns import CHUNK, Gathered, partition_of
from stream_infer.kafka.error_policy import error_of
from stream_infer.kafka.offsets import StartOffsets
from stream_infer.kafka.publish import CommitUnknown, Publisher

_ADMIN_S = 10.0
_LAG_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """What a session needs: a complete librdkafka consumer configuration, input topics, where channels go.

    Whoever owns partition 0 of the first input topic also reads all partitions of the `companions`: a group
    shares each topic out by itself, and a step that joins two of them needs both in one place. Only with
    `enable.partition.eof` in `consumer` do batches say which partitions have ended.
    """

    consumer: Mapping[str, object]
    input_topics: Sequence[str]
    channels: Mapping[Channel, str]
    companions: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class _Lease:
    """The right to commit what was read: the assignment epoch and the group metadata of that assignment."""

    epoch: int
    group_metadata: object


class Session:
    """Reads batches and commits outcomes as one member of a group. One loop owns it."""

    def __init__(
        self,
        settings: SessionSettings,
        publisher: Publisher,
        start: StartOffsets,
        *,
        observe: Observer,
        logger: logging.Logger,
    ) -> None:
        self._settings = settings
        self._publisher = publisher
        self._start = start
        self._observe = observe
        self._logger = logger
        self._consumer: Consumer | None = None
        self._position: dict[Partition, int] = {}
        self._lease = _Lease(0, None)
        self._touched: set[Partition] = set()
        self._paused: set[Partition] = set()
        self._ended: set[Partition] = set()
        self._changes: list[AssignmentChanged] = []
        self._failure: StreamInferError | None = None
        self._lag_due = 0.0

    # -- life -------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Fence the predecessor of this slot, then join the group.

        In this order: `init_transactions` aborts what the predecessor left open, which would block the fetch
        of committed offsets until its transaction timed out.
        """
        self._publisher.open()
        consumer = Consumer(dict(self._settings.consumer), logger=self._logger)
        self._consumer = consumer
        self._start.begin_group(consumer, self._settings.input_topics)
        consumer.subscribe(
            list(self._settings.input_topics),
            on_assign=self._on_assign,
            on_revoke=self._on_revoke,
            on_lost=self._on_lost,
        )

    def close(self) -> None:
        """Leave the group and let the clients go. Idempotent; nothing is open, so nothing can be lost."""
        if self._consumer is not None:
            self._consumer.close()
            self._consumer = None
        self._publisher.close()

    # -- Source -----------------------------------------------------------------------------------------

    def read(self, limit: int, wait_s: float) -> Batch | None:
        gathered = self._collect(limit, wait_s)
        self._report()
        return self._batch(gathered) if len(gathered) else None

    def rewind(self, cursor: Cursor) -> None:
        """Go back to the first offset of each span still owned, and take the group's generation anew.

        Retaking the metadata here is safe: whatever ended the old generation is queued for a callback ahead
        of any record fetched after the seek.
        """
        self._reposition({p: s.first for p, s in cursor.spans.items() if p in self._position})
        self._lease = replace(self._lease, group_metadata=self._client.consumer_group_metadata())

    @property
    def finished(self) -> bool:
        return False

    # -- holding back: see `registered.Holding` ---------------------------------------------------------

    @property
    def paused(self) -> Collection[Partition]:
        return self._paused

    def pause(self, offsets: Mapping[Partition, int]) -> None:
        owned = {p: offset for p, offset in offsets.items() if p in self._position}
        self._paused |= owned.keys()
        self._client.pause([TopicPartition(p.topic, p.index) for p in owned])
        self._reposition(owned)

    def resume(self, partitions: Collection[Partition]) -> None:
        mine = self._paused.intersection(partitions)
        self._paused -= mine
        if mine:
            self._client.resume([TopicPartition(p.topic, p.index) for p in mine])

    # -- Sink -------------------------------------------------------------------------------------------

    def commit(self, outcome: Outcome) -> None:
        lease = outcome.cursor.lease
        if not isinstance(lease, _Lease) or lease.epoch != self._lease.epoch:
            raise Aborted("the batch was read under an older assignment")
        channels = self._settings.channels
        outputs: list[tuple[str, Output]] = [(channels[o.channel], o) for o in outcome.outputs if len(o)]
        offsets = [TopicPartition(p.topic, p.index, s.next) for p, s in outcome.cursor.spans.items()]
        try:
            self._publisher.publish(outputs, offsets, lease.group_metadata, self._client)
        except CommitUnknown as unknown:
            self._resolve(outcome.cursor, unknown)

    def _resolve(self, cursor: Cursor, unknown: CommitUnknown) -> None:
        """Ask the group what became of a commit without an answer. Offsets and outputs share its fate."""
        asked = [TopicPartition(p.topic, p.index) for p in cursor.spans]
        try:
            committed = self._client.committed(asked, timeout=_ADMIN_S)
        except KafkaException as exception:
            raise Fatal(f"the result of a commit stays unknown: {exception}") from unknown
        if any(c.error is not None for c in committed):
            raise Fatal(f"the result of a commit stays unknown: {committed}") from unknown
        done = {Partition(c.topic, c.partition): c.offset for c in committed}
        if all(done[p] >= span.next for p, span in cursor.spans.items()):
            return
        raise Aborted(str(unknown)) from unknown

    # -- reading ----------------------------------------------------------------------------------------

    @property
    def _client(self) -> Consumer:
        if self._consumer is None:
            raise Fatal("the session is not open")
        return self._consumer

    def _collect(self, limit: int, wait_s: float) -> Gathered:
        """Return the records that came, up to `limit`, and act on what came in their place."""
        gathered = Gathered([*self._settings.input_topics, *self._settings.companions])
        errors: list[tuple[KafkaError, Message]] = []
        try:
            for messages in self._chunks(limit, wait_s):
                self._sort(messages, gathered, errors)
        except KafkaException as exception:
            raise Fatal(f"cannot read: {error_of(exception).str()}") from exception
        finally:
            self._raise_failure()
        for error, message in errors:
            self._on_error(error, message)
        return self._without_touched(gathered) if self._touched and len(gathered) else gathered

    def _chunks(self, limit: int, wait_s: float) -> Iterator[list[Message]]:
        """Wait for a first record, then take what is there, which one `consume` may give only a part of.

        `consume(n, timeout)` is never given a timeout: it may wait to fill n.
        """
        first = self._client.poll(wait_s)
        self._touched.clear()
        messages = [] if first is None else [first]
        left = limit
        while messages:
            yield messages
            left -= len(messages)
            messages = self._client.consume(min(left, CHUNK), 0) if left else []

    def _sort(
        self, messages: Sequence[Message], gathered: Gathered, errors: list[tuple[KafkaError, Message]]
    ) -> None:
        """Tell records, errors and the marks of a partition's end apart."""
        if not any(map(Message.error, messages)):
            gathered.add(messages)
            if self._ended:
                self._ended -= set(map(partition_of, messages))
            return
        records = []
        for message in messages:
            error = message.error()
            if error is None:
                records.append(message)
                self._ended.discard(partition_of(message))
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - librdkafka's local error
                self._ended.add(partition_of(message))
            else:
                errors.append((error, message))
        gathered.add(records)

    def _on_error(self, error: KafkaError, message: Message) -> None:
        """Act on an error that the consumer delivered in place of a record."""
        if error.code() == _FATAL and "group.instance.id" in error.str():  # the code behind it is not given
            raise SlotTaken(
                "another worker has joined under this slot; give each worker its own [worker] slot"
            )
        if error.code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - librdkafka's local error
            lost = partition_of(message)
            if lost not in self._position:
                return  # it moved away while this error was on its way: seeking would take it back
            offset = self._start.after_loss(self._client, lost, self._position.get(lost, 0))
            self._reposition({lost: offset})
            self._position[lost] = offset
            return
        if error.code() in _HOPELESS:
            raise Fatal(f"cannot read {message.topic() or 'the input'}: {error.str()}")
        self._logger.warning(LogEvent.CONSUMER_ERROR, extra={"reason": error.str()})

    def _without_touched(self, gathered: Gathered) -> Gathered:
        """Drop rows of partitions that a callback touched while these very rows were collected."""
        self._reposition({p: self._position[p] for p in self._touched if p in self._position})
        return gathered.without(self._touched)

    def _batch(self, gathered: Gathered) -> Batch:
        batch = gathered.batch(time.time_ns() // 1_000_000, lease=self._lease)
        spans = batch.cursor.spans
        positions = dict(self._position) | {p: span.first for p, span in spans.items()}
        for p, span in spans.items():
            if span.first < self._position[p]:
                raise Fatal(f"{p.topic}/{p.index} went back from offset {self._position[p]} to {span.first}")
            self._position[p] = span.next
        return replace(batch, positions=positions, assignment=self._lease.epoch, ended=frozenset(self._ended))

    def _reposition(self, offsets: Mapping[Partition, int]) -> None:
        """Read on from `offsets`. A partition whose fetcher is not up yet cannot seek: assign it anew."""
        for p, offset in offsets.items():
            target = TopicPartition(p.topic, p.index, offset)
            try:
                self._client.seek(target)
            except KafkaException:
                self._client.incremental_unassign([target])
                self._client.incremental_assign([target])
            self._position[p] = offset
            self._ended.discard(p)

    def _report(self) -> None:
        changes, self._changes = self._changes, []
        for change in changes:
            self._observe(change)
        now = time.monotonic()
        if now >= self._lag_due:
            self._lag_due = now + _LAG_EVERY_S
            self._observe(LagMeasured(self._lag()))

    def _lag(self) -> dict[Partition, int]:
        """How far behind the end; transaction markers count, so an idle worker may show 1 and not 0."""
        ends = {
            p: self._client.get_watermark_offsets(TopicPartition(p.topic, p.index), cached=True)
            for p in self._position
        }
        return {p: max(0, end[1] - self._position[p]) for p, end in ends.items()}

    # -- callbacks: take note, never raise --------------------------------------------------------------

    def _on_assign(self, consumer: Consumer, assigned: list[TopicPartition]) -> None:
        self._note(lambda: self._assign(consumer, assigned))

    def _on_revoke(self, consumer: Consumer, revoked: list[TopicPartition]) -> None:
        self._note(lambda: self._unassign(consumer, revoked, "revoked"))

    def _on_lost(self, consumer: Consumer, lost: list[TopicPartition]) -> None:
        self._note(lambda: self._unassign(consumer, lost, "lost"))

    def _note(self, change: Callable[[], None]) -> None:
        try:
            change()
        except StreamInferError as failure:
            self._failure = failure
        except Exception as failure:  # noqa: BLE001 - raised again by the read that served this callback
            self._failure = Fatal(f"a change of the assignment failed: {failure}")

    def _raise_failure(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _assign(self, consumer: Consumer, assigned: Sequence[TopicPartition]) -> None:
        beside = self._beside(consumer) if any(map(self._leads, assigned)) else []
        offsets = self._start.of(consumer, [*assigned, *beside])
        consumer.incremental_assign([TopicPartition(p.topic, p.index, o) for p, o in offsets.items()])
        self._position.update(offsets)
        self._moved(offsets, "assigned", consumer.consumer_group_metadata())

    def _unassign(self, consumer: Consumer, gone: Sequence[TopicPartition], kind: str) -> None:
        partitions = [Partition(tp.topic, tp.partition) for tp in gone]
        if any(map(self._leads, gone)):
            partitions += [p for p in self._position if p.topic in self._settings.companions]
        self.resume(partitions)  # librdkafka keeps a pause beyond an assignment
        for p in partitions:
            self._position.pop(p, None)
        self._ended.difference_update(partitions)
        consumer.incremental_unassign([TopicPartition(p.topic, p.index) for p in partitions])
        # The metadata stays: the generation goes on until the next assignment, and asking for it here would
        # wait for ever when it is `close()` that revokes.
        self._moved(partitions, kind, self._lease.group_metadata)

    def _leads(self, one: TopicPartition) -> bool:
        return bool(one.topic == self._settings.input_topics[0] and one.partition == 0)

    def _beside(self, consumer: Consumer) -> list[TopicPartition]:
        """Return all partitions of the companions. The group knows nothing of them but their offsets."""
        found = []
        for name in self._settings.companions:
            topic = consumer.list_topics(name, timeout=_ADMIN_S).topics[name]
            if topic.error is not None:
                raise Fatal(f"cannot read {name}: {topic.error.str()}")
            found += [TopicPartition(name, index) for index in topic.partitions]
        return found

    def _moved(self, touched: Iterable[Partition], kind: str, group_metadata: object) -> None:
        self._touched.update(touched)
        self._lease = _Lease(self._lease.epoch + 1, group_metadata)
        self._changes.append(AssignmentChanged(kind, tuple(sorted(self._position))))


_FATAL = KafkaError._FATAL  # noqa: SLF001 - librdkafka's local error
_HOPELESS = frozenset(
    {
        _FATAL,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - librdkafka's local error
    }
)
