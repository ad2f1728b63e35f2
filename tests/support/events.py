"""Payments as Avro events, one in a hundred of them invalid in one of nine ways, and how to send them.

The oracle derives the expected answer of each from its bytes, not from this module.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
from confluent_kafka import KafkaError, Message, Producer

SCHEMA_FILE = Path(__file__).with_name("fraud") / "payment.avsc"
SCHEMA = fastavro.parse_schema(json.loads(SCHEMA_FILE.read_text(encoding="utf-8")))
MAGIC = b"\xc3\x01"
POISONED_SHARE = 0.01

Headers = list[tuple[str, str | bytes | None]]


class Framing(StrEnum):
    """The header before the Avro datum: none, or a magic and the schema fingerprint."""

    NONE = "none"
    SINGLE_OBJECT = "single-object"


class Poison(StrEnum):
    """The kinds of invalid events, each with the stage and class of its dead letter."""

    TRUNCATED = "decode/truncated"
    TRAILING_BYTES = "decode/trailing_bytes"
    EMPTY = "decode/empty"
    NULL_VALUE = "decode/null_value"
    INVALID_UTF8 = "decode/invalid_utf8"
    BAD_MAGIC = "decode/bad_magic"
    NAN = "validate/nan"
    MODEL_RAISES = "predict/raised"
    MODEL_SAYS_NAN = "predict/output_nan"


@dataclass(frozen=True, slots=True)
class Event:
    """A record to produce; `poison` is None for a valid event."""

    key: bytes | None
    value: bytes | None
    headers: Headers
    poison: Poison | None


def kinds_of_poison(framing: Framing) -> Sequence[Poison]:
    """Return the kinds possible under `framing`: a wrong magic needs a framing with one."""
    return [kind for kind in Poison if framing is Framing.SINGLE_OBJECT or kind is not Poison.BAD_MAGIC]


def generate(count: int, framing: Framing, *, seed: int) -> list[Event]:
    """Return `count` events, reproducible by `seed`, with all kinds of poison equally often."""
    rng = np.random.default_rng(seed)
    kinds = kinds_of_poison(framing)
    poisoned = rng.choice(count, int(count * POISONED_SHARE), replace=False).tolist()
    poison = {index: kinds[i % len(kinds)] for i, index in enumerate(poisoned)}
    head = _head(framing)
    return [
        Event(
            key=None if index % 3 == 0 else f"customer-{index % 997}".encode(),
            value=_value(payment, poison.get(index), head),
            headers=_headers(index),
            poison=poison.get(index),
        )
        for index, payment in enumerate(_payments(count, rng))
    ]


def poisoned(count: int, poison: Poison, framing: Framing, *, seed: int) -> list[Event]:
    """Return `count` events that are all invalid in the same way."""
    payments = _payments(count, np.random.default_rng(seed))
    return [Event(b"k", _value(each, poison, _head(framing)), [], poison) for each in payments]


def payment(framing: Framing, *, seed: int, **fields: object) -> Event:
    """Return one event with these fields."""
    [one] = _payments(1, np.random.default_rng(seed))
    return Event(b"k", _value({**one, **fields}, None, _head(framing)), [], None)


def send(
    bootstrap: str,
    topic: str,
    events: Sequence[Event],
    *,
    partitions: int = 4,
    transaction: str | None = None,
) -> None:
    """Write `events` to `topic`, round robin over the partitions; as one transaction of this id, if given."""
    lost: list[KafkaError] = []

    def note(error: KafkaError | None, _message: Message) -> None:
        if error is not None:
            lost.append(error)

    settings: dict[str, str | int | float | bool] = {
        "bootstrap.servers": bootstrap,
        "linger.ms": 5,
        "message.max.bytes": 2_000_000,
    }
    if transaction is not None:
        settings["transactional.id"] = transaction
    producer = Producer({**settings, "enable.idempotence": True, "queue.buffering.max.messages": 1_000_000})
    if transaction is not None:
        producer.init_transactions(60)
        producer.begin_transaction()
    for index, event in enumerate(events):
        headers = event.headers or None
        producer.produce(
            topic, event.value, event.key, partition=index % partitions, headers=headers, on_delivery=note
        )
    if producer.flush(60) or lost:
        raise RuntimeError(f"{topic}: not all events were sent: {lost[:3]}")
    if transaction is not None:
        producer.commit_transaction(60)


def _payments(count: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    columns: Mapping[str, list[Any]] = {
        "ts": (1_760_000_000_000 + rng.integers(0, 86_400_000, count)).tolist(),
        "amount": rng.lognormal(3, 1, count).tolist(),
        "balance": rng.normal(1_000, 400, count).tolist(),
        "distance": rng.exponential(20, count).tolist(),
        "attempts": rng.poisson(1.5, count).tolist(),
        "age_days": rng.integers(0, 5_000, count).tolist(),
        "velocity": rng.gamma(2, 3, count).tolist(),
        "risk": [None if one < 0 else one for one in rng.uniform(-0.25, 1, count).tolist()],
        "country": rng.choice(["DE", "FR", "Ísland", "日本"], count).tolist(),
        "online": (rng.random(count) < 0.6).tolist(),
    }
    rows = zip(*columns.values(), strict=True)
    return [{"id": f"p-{i}", **dict(zip(columns, row, strict=True))} for i, row in enumerate(rows)]


def _value(payment: dict[str, Any], poison: Poison | None, head: bytes) -> bytes | None:
    if poison is None:
        return head + _datum(payment)
    if poison in _SPOILT_FIELDS:
        return head + _datum({**payment, **_SPOILT_FIELDS[poison]})
    datum = _datum(payment)
    whole: dict[Poison, bytes | None] = {
        Poison.TRUNCATED: head + datum[: len(datum) // 2],
        Poison.TRAILING_BYTES: head + datum + b"\0",
        Poison.EMPTY: b"",
        Poison.NULL_VALUE: None,
        Poison.INVALID_UTF8: head + datum.replace(b"p-", b"\xff-", 1),
        Poison.BAD_MAGIC: b"\xc3\x02" + head[2:] + datum,
    }
    return whole[poison]


_SPOILT_FIELDS: Mapping[Poison, Mapping[str, float]] = {
    Poison.NAN: {"balance": float("nan")},
    Poison.MODEL_RAISES: {"amount": 13.0},
    Poison.MODEL_SAYS_NAN: {"amount": 17.0},
}


def _datum(payment: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, SCHEMA, payment)
    return out.getvalue()


def _head(framing: Framing) -> bytes:
    if framing is Framing.NONE:
        return b""
    canonical = fastavro.schema.to_parsing_canonical_form(SCHEMA)
    return MAGIC + bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))


def _headers(index: int) -> Headers:
    """Return a trace for one event in seven, and odd headers for one in five: a name twice, null, no text."""
    trace: Headers = [("traceparent", f"00-{index:032x}-{index:016x}-01".encode())] if index % 7 == 0 else []
    odd: Headers = [("tag", b"a"), ("tag", None), ("raw", b"\xff\x00"), ("void", b"")]
    return trace + (odd if index % 5 == 0 else [])
