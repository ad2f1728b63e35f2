"""`send`: the rows of a data file sent as events, and the worker's answers to them.

Choosing the schema and checking the file come first: a file with a bad row sends nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from stream_infer.app.event_file import EventFile
from stream_infer.app.exchange import Exchange, SendListener
from stream_infer.app.schema_registry import event_schema_id, newest_event_schema
from stream_infer.avro.framing import Framing, head
from stream_infer.avro.schemas import Schema
from stream_infer.config.input_schemas import read_input_schemas
from stream_infer.config.settings import Settings
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.kafka import client
from stream_infer.kafka.admin_requests import is_forbidden
from stream_infer.kafka.event_producer import EventProducer
from stream_infer.kafka.topic_follower import follow_topics
from stream_infer.kafka.topics import MissingTopic, Topic, describe_topics
from stream_infer.packaging.csv_layout import CsvOptions, layout_of
from stream_infer.packaging.options import listed, parse_pairs
from stream_infer.runtime.stop import Stop, on_signals


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRequest:
    """What to send, and how.

    `topic` of None is the only input topic. `columns` are `COLUMN=FIELD`; `fill` gives fields without a
    column a zero. `rate` is in events per second, None for no limit. `timeout_s` is how long to wait without
    any answer; 0 does not wait. `csv` is how a CSV file is written.
    """

    file: Path
    topic: str | None = None
    schema: Path | None = None
    columns: Sequence[str] = ()
    fill: bool = False
    key_field: str | None = None
    rate: float | None = None
    timeout_s: float = 30.0
    csv: CsvOptions = field(default_factory=CsvOptions)


@dataclass(frozen=True, slots=True, kw_only=True)
class SendReport:
    """How many events were sent, predicted and rejected (by the class of their dead letter)."""

    topic: str
    schema: str
    sent: int
    predicted: int
    rejected: Mapping[str, int]
    interrupted: bool
    seconds: float

    @property
    def answered(self) -> int:
        """The number of events with a prediction or a dead letter."""
        return self.predicted + sum(self.rejected.values())

    @property
    def unanswered(self) -> int:
        """The number of events that were sent and have no answer yet."""
        return self.sent - self.answered


def send_file(settings: Settings, request: SendRequest, listener: SendListener) -> SendReport:
    """Send the rows of a file as events, and wait for their answers.

    SIGINT and SIGTERM end the sending and the waiting early. Raises `Misconfigured` for a bad file, schema or
    topic, before anything is sent, and `BrokerUnreachable` or another `Fatal`.
    """
    topic = _input_topic(settings, request.topic)
    schema = _schema(settings, request, topic)
    renamed = parse_pairs("--map", request.columns, "COLUMN=FIELD")
    file = EventFile(
        request.file,
        schema,
        renamed=renamed,
        fill=request.fill,
        key_field=request.key_field,
        layout=layout_of(request.csv),
    )
    rows = file.check()
    described = _require_topics(settings, topic)
    framing = _head(settings, topic, schema, listener)
    for note in file.notes():
        listener.note(note)
    listener.note(f"sending {rows} rows of {request.file.name} as {schema.name} to {topic}")
    config = {**client.admin(settings.kafka), "logger": client.SILENT}
    outputs = [settings.output.topic, settings.dlq.topic]
    stop, started = Stop(), time.monotonic()
    with (
        on_signals(stop),
        follow_topics(config, outputs) as follower,
        closing(EventProducer(settings.kafka, topic, described.max_message_bytes)) as producer,
    ):
        exchange = Exchange(settings, producer, follower, listener, stop)
        exchange.send(((e.row, framing + e.datum, e.key) for e in file.events()), request.rate)
        exchange.wait(request.timeout_s)
        return SendReport(
            topic=topic,
            schema=schema.name,
            sent=len(producer.delivered),
            predicted=exchange.predicted,
            rejected=dict(exchange.rejected),
            interrupted=stop.requested,
            seconds=round(time.monotonic() - started, 1),
        )


def _input_topic(settings: Settings, asked: str | None) -> str:
    topics = settings.input.topics
    if asked is None and len(topics) == 1:
        return topics[0]
    if asked in topics:
        return asked
    what = "there are several input topics" if asked is None else "is not an input topic of the pipeline"
    raise Misconfigured([Problem("--topic", asked or "", what, f"use one of: {listed(topics)}")])


def _schema(settings: Settings, request: SendRequest, topic: str) -> Schema:
    """Return the schema to write with: --schema, else input.schema, else the newest in the registry."""
    section = settings.input
    if request.schema is not None:
        section = section.model_copy(update={"schema_path": request.schema})
    schemas, problems = read_input_schemas(section)
    if problems:
        raise Misconfigured(problems)
    newest = None if schemas else newest_event_schema(settings, topic)
    if newest is not None:
        return newest
    if len(schemas) == 1:
        return schemas[0]
    what = "has several schemas" if schemas else f"is not set, and the registry has no schema for {topic}"
    shown = str(section.schema_path or "")
    raise Misconfigured([Problem("input.schema", shown, what, "name the one to write with: --schema FILE")])


def _require_topics(settings: Settings, topic: str) -> Topic:
    """Return the input topic as it exists.

    Raises `Misconfigured` when it or an output topic is missing, and when it may not be written.
    """
    keys = {topic: "input.topics", settings.output.topic: "output.topic", settings.dlq.topic: "dlq.topic"}
    described = describe_topics(settings.kafka, list(keys))
    fix = "create it: `stream-infer topics create{}`"
    problems = [
        Problem(
            keys[name],
            f'"{name}"',
            found.reason,
            fix.format(" --with-input PARTITIONS" if name == topic else ""),
        )
        for name, found in described.items()
        if isinstance(found, MissingTopic)
    ]
    source = described[topic]
    if problems or not isinstance(source, Topic):
        raise Misconfigured(problems)
    if is_forbidden("WRITE", source.operations):
        fix = "allow it WRITE on the topic, or send as a principal that has it"
        raise Misconfigured([Problem(keys[topic], f'"{topic}"', "this principal may not write it", fix)])
    return source


def _head(settings: Settings, topic: str, schema: Schema, listener: SendListener) -> bytes:
    """Return the bytes before each datum; under the Confluent framing, register the schema if it is new."""
    if settings.input.framing is not Framing.CONFLUENT:
        return head(settings.input.framing, schema)
    found = event_schema_id(settings, topic, schema)
    state = "registered now" if found.registered else "found"
    listener.note(f"schema {schema.name}: {state} in the registry under {found.subject}, id {found.number}")
    return head(settings.input.framing, schema, found.number)
