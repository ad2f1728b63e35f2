"""Every part of a record with every odd value, through worker and monitor: each is answered exactly once."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import fastavro
from confluent_kafka import Producer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public names, not marked as exported
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from tests.conftest import Topics
from tests.kafka.test_registry_run import payment, positions
from tests.support.clients import admin
from tests.support.events import SCHEMA_FILE, Framing
from tests.support.log import read_all
from tests.support.pipeline import PREDICTION_SCHEMA, Pipeline
from tests.support.raw_producer import produce_raw_header
from tests.support.watched import everything, watch
from tests.support.worker_process import until

SCHEMA: Any = fastavro.parse_schema(json.loads(SCHEMA_FILE.read_text("utf-8")))
LARGE = 1_000_000
_LARGEST = 2_000_000
_WITHIN_S = 180.0
NUMBERS = [0.0, -0.0, 5e-324, 1.7e308, -1.7e308, math.nan, math.inf, -math.inf]
ODD: Mapping[str, list[Any]] = {
    "string": ["", "\x00", "\U0001f600", "x" * LARGE],
    "double": NUMBERS,
    "float": [0.0, -0.0, 3.4e38, -3.4e38, math.nan, math.inf, -math.inf],
    "int": [0, -(2**31), 2**31 - 1],
    "long": [0, -(2**63), 2**63 - 1, 2**53 + 1],
    "boolean": [True, False],
}
TIMES_MS = [1, 1_000, 253_402_300_799_999, 2**63 - 1]
HEADERS: list[list[tuple[str, bytes | None]]] = [
    [("", b"v")],
    [("h", None)],
    [("h", b"")],
    [("h", b"\xff\xfe")],
    [("h", b"1"), ("h", b"2")],
    [(f"h{number}", b"v") for number in range(1_000)],
    [("h", b"x" * LARGE)],
    [("__dlq.errors.offset", b"x"), ("streaminfer.error.class", b"x"), ("streaminfer.model", None)],
    [("traceparent", b"\xff"), ("traceparent", None), ("traceparent", b"00-zz-zz-00")],
]


@dataclass(frozen=True, slots=True)
class Odd:
    """A record, and the class of its dead letter where it must be one."""

    value: bytes | None
    key: bytes | None = None
    headers: list[tuple[str, bytes | None]] | None = None
    time_ms: int = 0
    rejected: str | None = None


def encoded(**changes: Any) -> bytes:
    file = io.BytesIO()
    fastavro.schemaless_writer(file, SCHEMA, {**payment(1), "channel": "web", **changes})
    return file.getvalue()


def odd_records() -> Iterator[Odd]:
    good = encoded()
    yield from (Odd(encoded(**{name: value})) for name, value in odd_fields())
    yield from (Odd(good, key=key) for key in (None, b"", b"\xff\xfe", b"k" * LARGE))
    yield from (Odd(good, headers=headers) for headers in HEADERS)
    yield from (Odd(good, time_ms=time_ms) for time_ms in TIMES_MS)
    yield Odd(None, rejected="null_value")
    yield Odd(b"", rejected="empty")
    yield Odd(b"\x00", rejected="truncated")
    yield Odd(good[:-1], rejected="truncated")
    yield Odd(good + b"\x00", rejected="trailing_bytes")
    yield Odd(good + b"\x00" * LARGE, rejected="trailing_bytes")
    yield Odd(encoded(id="abc").replace(b"abc", b"\xed\xa0\x80"), rejected="invalid_utf8")


def odd_fields() -> Iterator[tuple[str, Any]]:
    """Yield each field of the event with each odd value of each of its types."""
    for field in SCHEMA["fields"]:
        for kind in field["type"] if isinstance(field["type"], list) else [field["type"]]:
            if kind == "null":
                yield field["name"], None
                continue
            name = kind["type"] if isinstance(kind, dict) else kind
            yield from ((field["name"], value) for value in ODD.get(name, ()))


def write(bootstrap: str, topic: str, records: list[Odd]) -> None:
    """Write `records` to partition 0, in order."""
    producer = Producer({"bootstrap.servers": bootstrap, "message.max.bytes": _LARGEST})
    for one in records:
        producer.produce(topic, one.value, one.key, partition=0, headers=one.headers, timestamp=one.time_ms)
    assert producer.flush(30) == 0


def offset_of(prediction: bytes | None) -> int:
    """Return the offset of the event; no calendar has some of the times, so they are read as numbers."""
    text = PREDICTION_SCHEMA.read_text("utf-8").replace('"logicalType": "timestamp-millis"', '"doc": ""')
    schema = fastavro.parse_schema(json.loads(text))
    read: Any = fastavro.schemaless_reader(io.BytesIO(prediction or b""), schema, None)
    offset: int = read["source_offset"]
    return offset


def configure(bootstrap: str, topic: str, **values: str) -> None:
    """Set configuration of `topic`; underscores stand for dots."""
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in values.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=entries)
    client = admin(bootstrap)
    client.incremental_alter_configs([resource])[resource].result(20)


def test_every_odd_value_of_a_record_is_answered_once_and_worker_and_monitor_go_on(
    pipeline: Callable[[Framing], Pipeline], topics: Topics
) -> None:
    watched = watch(pipeline(Framing.NONE), topics)
    line = watched.line
    ever = str(2**63 - 1)
    configure(
        line.bootstrap, line.input, message_timestamp_before_max_ms=ever, message_timestamp_after_max_ms=ever
    )
    records = list(odd_records())
    with everything(watched.config("w"), "--role", "all") as (command, _children):
        write(line.bootstrap, line.input, records)
        produce_raw_header(line.bootstrap, line.input, 0, encoded(), b"\xff\xfe")
        configure(line.bootstrap, line.input, message_timestamp_type="LogAppendTime")
        write(line.bootstrap, line.input, [Odd(encoded())] * 3)
        count = len(records) + 4
        until("all is answered", lambda: positions(line)[0] == count, command, within_s=_WITHIN_S)
        until(
            "the monitor has counted all", lambda: watched.remembered() == count, command, within_s=_WITHIN_S
        )
        assert watched.ready()["ready"]
        assert command.terminate() == 0

    letters = {}
    for one in read_all(line.bootstrap, line.dead_letters):
        headers = dict(one.headers)
        offset = int(headers["__dlq.errors.offset"] or b"")
        assert offset not in letters
        letters[offset] = (headers["streaminfer.error.class"] or b"").decode()
    answered = [offset_of(one.value) for one in read_all(line.bootstrap, line.predictions)]
    assert sorted([*answered, *letters]) == list(range(count))
    expected = {at: one.rejected for at, one in enumerate(records) if one.rejected is not None}
    expected[len(records)] = "invalid_headers"
    of_values = set(range(len(list(odd_fields()))))
    assert {at: found for at, found in letters.items() if at not in of_values} == expected
    assert {letters[at] for at in of_values & letters.keys()} == {"nan", "infinite", "raised"}
