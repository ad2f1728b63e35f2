"""Publishes statuses and rejections beside the stream: best effort, never in the way of scoring.

An event that must be atomic with predictions (an activation) is an output of the step instead.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream_infer.flow.codes import LogEvent
from stream_infer.flow.records import Headers
from stream_infer.kafka.error_policy import error_of

_FLUSH_S = 2.0


class BestEffortPublisher:
    """A producer of its own, whose properties are `config`: not an idempotent one, which may break for good.

    `post` never blocks and never raises; any thread may call it.
    """

    def __init__(self, config: Mapping[str, object], *, logger: logging.Logger) -> None:
        self._config = dict(config) | {"delivery.report.only.error": True, "on_delivery": self._on_failure}
        self._logger = logger
        self._producer: Producer | None = None

    def open(self) -> None:
        """Create the producer; it connects in the background."""
        self._producer = Producer(self._config, logger=self._logger)

    def post(self, topic: str, key: bytes, value: bytes | None, headers: Headers = ()) -> None:
        """Queue one record; a null value is a tombstone."""
        producer = self._producer
        if producer is None:
            return
        try:
            producer.produce(topic, value, key, headers=list(headers))
        except BufferError:
            self._logger.warning(LogEvent.RECORD_DROPPED, extra={"topic": topic})
        except KafkaException as exception:  # too large, or the topic is gone
            self._refused(topic, error_of(exception))
        producer.poll(0)

    def close(self) -> None:
        """Flush for a moment, then release the producer. Idempotent."""
        if self._producer is not None:
            self._producer.flush(_FLUSH_S)
            self._producer = None

    def _on_failure(self, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._refused(message.topic(), error)

    def _refused(self, topic: str | None, error: KafkaError) -> None:
        fields = {"topic": topic, "reason": error.str()}
        self._logger.warning(LogEvent.RECORD_NOT_WRITTEN, extra=fields)
