"""One transactional producer: outputs and offsets become visible in one act, in an epoch beyond doubt.

Renew on doubt. librdkafka speaks the transaction protocol from before KIP-890 (confluentinc/librdkafka#5423):
an EndTxn(commit) that it sent again can reach the broker late and commit the *next* transaction, which the
application may have aborted. The client does not tell: its commit succeeds. It sends a request again only
after its connection broke or the request timed out, or when the broker refused it; the first two are in its
log, and a refused request is not late. So such a log line since the last renewal replaces the producer before
the next transaction: the new epoch makes everything late of the old one fail. How long a call takes says
nothing: far from the broker each is slow.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from stream_infer.flow.errors import Aborted
from stream_infer.flow.events import ProducerRenewed
from stream_infer.flow.ports import Observer
from stream_infer.flow.records import Output
from stream_infer.kafka.client import fitting, telling
from stream_infer.kafka.error_policy import ErrorAction, aborted_by, classify, error_of
from stream_infer.kafka.producers import (
    SLICE_S,
    TrackedProducer,
    begin_epoch,
    connect_producer,
    retire_producer,
)
from stream_infer.kafka.publish import CommitUnknown, never, produce_all
from stream_infer.kafka.unbounded_call import LeftBehind, call_bounded

_OPEN_S = 30.0
_NO_COORDINATOR = "the coordinator of the group has not taken the offsets in time"


class Transactions:
    """Publishes in transactions under one `transactional.id`, one transaction a call, none in between.

    `config` is complete and names `transaction.timeout.ms`; `stopping` ends the waiting for a broker that is
    silent; `logger` gets librdkafka's log.
    A commit that hangs for a second asks `cannot_succeed` about the topics it writes to: nobody tells the
    client of a deleted topic, and it would wait until the transaction times out.

    Not thread-safe: one loop owns it.
    """

    def __init__(
        self,
        config: Mapping[str, object],
        *,
        stopping: Callable[[], bool],
        observe: Observer,
        logger: logging.Logger,
        cannot_succeed: Callable[[Collection[str]], bool] = never,
    ) -> None:
        self._given = self._config = telling(config, observe)
        self._cannot_succeed = cannot_succeed
        self._timeout_s = float(str(config["transaction.timeout.ms"])) / 1000
        self._logger = logger
        self._stopping = stopping
        self._observe = observe
        self._client: TrackedProducer | None = None
        self._spare: TrackedProducer | None = None
        self._doubt: str | None = None

    def open(self) -> None:
        """Get the first epoch: fences the predecessor of this slot and aborts what it left open."""
        client = connect_producer(self._config, self._logger)
        begin_epoch(client.producer, self._config, stopping=self._stopping, patience_s=_OPEN_S)
        self._client = client

    def close(self) -> None:
        """Let the producers go. Nothing is open between two calls, so nothing is lost."""
        for client in (self._client, self._spare):
            if client is not None:
                retire_producer(client)
        self._client = self._spare = None

    def refit(self, record_limits: Collection[int]) -> None:
        """See `Publisher.refit`."""
        self._config = fitting(self._given, record_limits)
        if self._spare is not None:
            retire_producer(self._spare)
            self._spare = None
        if self._client is not None:
            self._discard("the topics that it writes to have changed")

    def publish(
        self,
        outputs: Sequence[tuple[str, Output]],
        offsets: list[TopicPartition],
        group_metadata: object,
        consumer: Consumer,  # noqa: ARG002 - the group metadata names the member
        confirm: Callable[[], None],
    ) -> None:
        """Write `outputs` (topic, records) and `offsets` in one transaction, which ends after `confirm`.

        Raises `Aborted` (nothing is visible), `CommitUnknown` or `Fatal`.
        """
        producer = self._beyond_doubt()
        began = time.monotonic()

        def over() -> bool:
            producer.poll(0)  # its log and its errors are told meanwhile
            return self._stopping() or time.monotonic() - began > self._timeout_s

        try:
            self._call(lambda _s: producer.begin_transaction(), began)
            for topic, output in outputs:
                produce_all(producer, topic, output)
            call = partial(producer.send_offsets_to_transaction, offsets, group_metadata)
            self._call(lambda s: call_bounded(partial(call, s), every_s=s, over=over), began)
        except KafkaException as exception:
            self._give_up(exception, began)
            raise aborted_by(error_of(exception)) from exception
        except LeftBehind:
            self._discard(_NO_COORDINATOR)
            raise Aborted(_NO_COORDINATOR) from None
        try:
            confirm()
        except Aborted:
            failed = self._abort(began)
            if failed is not None:
                self._discard(str(error_of(failed)))
            raise
        try:
            self._call(producer.commit_transaction, began, {topic for topic, _ in outputs})
        except KafkaException as exception:
            surely_aborted = classify(error_of(exception)) is ErrorAction.ABORT
            self._give_up(exception, began)
            if surely_aborted:
                raise aborted_by(error_of(exception)) from exception
            self._renew(str(error_of(exception)))
            raise CommitUnknown(str(error_of(exception))) from exception
        producer.poll(0)

    def _beyond_doubt(self) -> Producer:
        """Return a producer whose epoch no late request can share."""
        if self._client is None:
            return self._renew(self._doubt or "the producer before was discarded")
        self._client.producer.poll(0)
        doubt = self._doubt or self._client.trouble.line
        return self._client.producer if doubt is None else self._renew(doubt)

    def _call(self, call: Callable[[float], None], began: float, written: Collection[str] = ()) -> None:
        """Make one transactional call, the same again while it is retriable and the transaction may live.

        `written` are the topics that have to take what the call waits for.
        """
        while True:
            try:
                return call(SLICE_S)
            except KafkaException as exception:
                alive = time.monotonic() - began < self._timeout_s and not self._stopping()
                retry = alive and classify(error_of(exception)) is ErrorAction.RETRY
                if not retry or (written and self._cannot_succeed(written)):
                    raise
                if self._client is not None:
                    self._client.producer.poll(0)  # its log and its errors are told meanwhile

    def _give_up(self, exception: KafkaException, began: float) -> None:
        """Leave the transaction behind: abort it where that can work, else discard the producer.

        An epoch that someone took is taken back by the next transaction. It need not be another worker: a
        pause beyond the transaction's timeout does the same, and so does an `init_transactions` of this very
        worker that the network kept back. Another worker joins the group too: `session` finds out.
        """
        if classify(error_of(exception)) in {ErrorAction.ABORT, ErrorAction.INSTANCE_FENCED}:
            failed = self._abort(began)
            if failed is None:
                return
            exception = failed
        self._discard(str(error_of(exception)))

    def _abort(self, began: float) -> KafkaException | None:
        """Abort the transaction; return the error that kept it from that."""
        if self._client is not None:
            try:
                self._call(self._client.producer.abort_transaction, began)
            except KafkaException as exception:
                return exception
        return None

    def _discard(self, reason: str) -> None:
        """Never call this producer again; the next transaction starts with a new epoch."""
        self._doubt = reason
        if self._client is not None:
            retire_producer(self._client)
            self._client = None

    def _renew(self, reason: str) -> Producer:
        """Replace the producer by one with a new epoch; the spare is already connected, which saves most."""
        started = time.monotonic()
        self._discard(reason)
        client = self._unspoilt_spare() or connect_producer(self._config, self._logger)
        begin_epoch(client.producer, self._config, stopping=self._stopping, patience_s=None)
        self._client, self._doubt = client, None
        self._spare = connect_producer(self._config, self._logger)
        self._observe(ProducerRenewed(reason, time.monotonic() - started))
        return client.producer

    def _unspoilt_spare(self) -> TrackedProducer | None:
        """Take the spare, unless its connections have failed.

        librdkafka logs a failure that repeats itself once in 30 s: it might keep silent about the next one.
        """
        spare, self._spare = self._spare, None
        if spare is None:
            return None
        spare.producer.poll(0)
        if spare.trouble.line is None:
            return spare
        retire_producer(spare)
        return None
