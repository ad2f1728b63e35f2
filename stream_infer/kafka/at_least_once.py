"""At-least-once delivery: an idempotent producer; offsets are committed after every acknowledgement.

A worker that dies in between writes its batch again: nothing is lost, some records are duplicates.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from stream_infer.flow.errors import Aborted, Fatal, OutputRefused
from stream_infer.flow.records import Output
from stream_infer.kafka.client import fitting
from stream_infer.kafka.error_policy import aborted_by, error_of
from stream_infer.kafka.publish import never, produce_all
from stream_infer.kafka.unbounded_call import LeftBehind, call_bounded

_FLUSH_S = 15.0
_SLICE_S = 1.0


class AtLeastOnce:
    """Publishes without transactions: flush, then commit the offsets through the consumer.

    A flush that takes long asks `cannot_succeed`, as in `transactions`; `stopping` ends its waiting.
    """

    def __init__(
        self,
        config: Mapping[str, object],
        *,
        stopping: Callable[[], bool],
        logger: logging.Logger,
        cannot_succeed: Callable[[Collection[str]], bool] = never,
    ) -> None:
        self._cannot_succeed = cannot_succeed
        self._stopping = stopping
        self._given = dict(config) | {"delivery.report.only.error": True, "on_delivery": self._on_failure}
        self._config = self._given
        self._logger = logger
        self._producer: Producer | None = None
        self._failed: list[KafkaError] = []

    def open(self) -> None:
        """Create the producer; it connects in the background."""
        self._producer = Producer(self._config, logger=self._logger)

    def refit(self, record_limits: Collection[int]) -> None:
        """See `Publisher.refit`."""
        self._config = fitting(self._given, record_limits)
        if self._producer is not None:
            self.open()

    def close(self) -> None:
        """Release the producer; every batch was flushed."""
        self._producer = None

    def _on_failure(self, error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            self._failed.append(error)

    def publish(
        self,
        outputs: Sequence[tuple[str, Output]],
        offsets: list[TopicPartition],
        group_metadata: object,  # noqa: ARG002 - a plain commit names its member itself
        consumer: Consumer,
        confirm: Callable[[], None],
    ) -> None:
        """`confirm`, write `outputs`, wait for every acknowledgement, then commit `offsets`.

        Raises `Aborted`, after which the batch is written again, or `Fatal` when the producer is broken.
        """
        producer = self._producer
        if producer is None:
            raise Fatal("the producer is not open")
        confirm()
        self._failed = []
        written = {topic for topic, _ in outputs}
        try:
            for topic, output in outputs:
                produce_all(producer, topic, output)
        except KafkaException as exception:
            aborted = aborted_by(error_of(exception))
            if not isinstance(aborted, OutputRefused) and not self._cannot_succeed(written):
                raise Fatal(f"cannot write: {error_of(exception).str()}") from exception
            self._purge(producer)
            raise aborted from exception
        left = self._flush(producer, written)
        if left or self._failed:
            self._purge(producer)
            raise (
                aborted_by(self._failed[0]) if self._failed else Aborted("not every record was acknowledged")
            )
        if offsets:
            self._commit(consumer, offsets)

    def _commit(self, consumer: Consumer, offsets: list[TopicPartition]) -> None:
        """Commit, unless a stop comes first: the call waits for a coordinator as long as a session lasts."""
        try:
            call_bounded(
                partial(consumer.commit, offsets=offsets, asynchronous=False),
                every_s=_SLICE_S,
                over=self._stopping,
            )
        except KafkaException as exception:
            raise Aborted(f"offsets not committed: {error_of(exception).str()}") from exception
        except LeftBehind:
            raise Aborted("offsets not committed: stopped while no coordinator answered") from None

    def _flush(self, producer: Producer, written: Collection[str]) -> int:
        """Return the number of records that were not acknowledged in time."""
        deadline = time.monotonic() + _FLUSH_S
        while True:
            left = producer.flush(_SLICE_S)
            over = self._stopping() or time.monotonic() > deadline
            if not left or over or self._cannot_succeed(written):
                return left

    def _purge(self, producer: Producer) -> None:
        """Drop the records that were not sent."""
        producer.purge()
        producer.flush(_SLICE_S)
