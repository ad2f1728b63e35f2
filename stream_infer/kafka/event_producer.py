"""Events that a tool writes to a topic, outside of any stream, and the offset of each."""

from __future__ import annotations

from contextlib import suppress
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from stream_infer.flow.errors import BrokerUnreachable, Fatal
from stream_infer.kafka.client import SILENT, Properties, fitting, producer
from stream_infer.kafka.error_policy import error_of, is_unreachable

_CLIENT_ID = "stream-infer.send"
_DELIVERED_WITHIN_S = 30.0
_POLL_S = 0.1


class EventProducer:
    """An idempotent producer for one topic whose record limit is `max_message_bytes`.

    `delivered` maps the id of an event, `<topic>/<partition>/<offset>`, to the number that it was sent under;
    it grows with `poll`.
    """

    def __init__(self, properties: Properties, topic: str, max_message_bytes: int) -> None:
        config = fitting(
            producer(properties, transactional_id=None, client_id=_CLIENT_ID), [max_message_bytes]
        )
        config["message.timeout.ms"] = str(round(_DELIVERED_WITHIN_S * 1000))
        self._producer = Producer(config, logger=SILENT)
        self._topic = topic
        self._failed: tuple[int, KafkaError] | None = None
        self.delivered: dict[str, int] = {}

    @property
    def pending(self) -> int:
        """The number of events that the broker has not acknowledged yet."""
        return len(self._producer)

    def send(self, number: int, value: bytes, key: bytes | None) -> None:
        """Queue an event under `number`; wait where the queue is full. Raises what `poll` raises."""
        while True:
            try:
                self._producer.produce(self._topic, value, key, on_delivery=partial(self._note, number))
            except BufferError:
                self.poll(_POLL_S)
            except KafkaException as exception:
                raise self._failure(number, error_of(exception)) from exception
            else:
                return

    def poll(self, wait_s: float) -> None:
        """Take in acknowledgements for at most `wait_s` seconds.

        Raises `BrokerUnreachable` when the broker has not acknowledged an event in time, and `Fatal` with its
        reason when it has refused one, or the producer as a whole.
        """
        try:
            self._producer.poll(wait_s)
        except KafkaException as exception:  # the producer is broken for good
            raise Fatal(
                f"nothing can be written to {self._topic}: {error_of(exception).str()}"
            ) from exception
        if self._failed is not None:
            raise self._failure(*self._failed)

    def close(self) -> None:
        """Give up what is not sent yet."""
        self._producer.purge()
        with suppress(KafkaException, SystemError):  # as `poll` said; the client may raise it amid callbacks
            self._producer.close()

    def _note(self, number: int, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failed = self._failed or (number, error)
        else:
            self.delivered[f"{message.topic()}/{message.partition()}/{message.offset()}"] = number

    def _failure(self, number: int, error: KafkaError) -> Fatal:
        silent = is_unreachable(error) or error.code() == KafkaError._MSG_TIMED_OUT  # noqa: SLF001 - librdkafka's local error
        kind = BrokerUnreachable if silent else Fatal
        return kind(f"event {number} was not written to {self._topic}: {error.str()}")
