"""The records of monitoring, and the topics that they go to."""

from __future__ import annotations

from collections.abc import Mapping

from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordReader, RecordWriter
from stream_infer.config.settings import Settings
from stream_infer.flow.records import Channel


def monitoring_channels(settings: Settings) -> Mapping[Channel, str]:
    """Return the topics that a scorer writes for the monitor; none where nothing is monitored."""
    monitoring = settings.monitoring
    if monitoring.topic is None:
        return {}
    return {Channel.EVENTS: monitoring.topic, Channel.OBSERVATIONS: monitoring.observations_topic}


def frame_reader() -> RecordReader:
    """Return the reader of observation frames."""
    return RecordReader(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE)


def frame_encoder() -> Encoder:
    """Return the encoder of observation frames."""
    return Encoder(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE)


def event_writer(settings: Settings, schema_id: int | None) -> RecordWriter:
    """Return the writer of monitoring events; the Confluent framing needs their `schema_id`."""
    schema = topic_schemas.topic_schema("MonitoringEvent")
    return RecordWriter(schema, settings.output.framing, schema_id=schema_id)
