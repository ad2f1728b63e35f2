"""One record at a time, written outside of any stream, and the broker's word that it has it.

For commands that announce a deployment. A worker posts its status with `best_effort`, without waiting.
"""

from __future__ import annotations

from confluent_kafka import KafkaError, Message, Producer

from stream_infer.flow.errors import BrokerUnreachable, Fatal
from stream_infer.flow.records import Headers
from stream_infer.kafka.client import SILENT, Properties, single_record_producer
from stream_infer.kafka.error_policy import is_unreachable

_CLIENT_ID = "stream-infer.confirmed"


def produce_sync(
    properties: Properties,
    topic: str,
    key: bytes,
    value: bytes | None,
    headers: Headers = (),
    *,
    within_s: float,
) -> None:
    """Write one record and return when all in-sync replicas have it. A retry may write it twice.

    Raises `BrokerUnreachable` when nobody says so within `within_s`: it may still have been written, and
    writing the same again does no harm where the newest record counts. Raises `Fatal` with the broker's
    reason when it refuses the record.
    """
    failed: list[KafkaError] = []

    def note(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            failed.append(error)

    config = {
        **single_record_producer(properties, client_id=_CLIENT_ID),
        "message.timeout.ms": str(round(within_s * 1000)),
    }
    client = Producer(config, logger=SILENT)
    client.produce(topic, value, key, headers=list(headers), on_delivery=note)
    unsent = client.flush(within_s + 1.0)
    if unsent or any(_is_silence(error) for error in failed):
        raise BrokerUnreachable(f"{properties.servers} confirmed no record for {topic} in {within_s:g} s")
    if failed:
        raise Fatal(f"{topic} cannot be written: {failed[0].str()}")


def _is_silence(error: KafkaError) -> bool:
    return is_unreachable(error) or error.code() == KafkaError._MSG_TIMED_OUT  # noqa: SLF001 - librdkafka's local error
