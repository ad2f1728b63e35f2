"""Every field of a record with every odd value, in memory: one answer each, and the monitor counts all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from stream_infer.avro import topic_schemas
from stream_infer.avro.confluent import HEADER, Unusable, guid_head, id_head
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing, head
from stream_infer.avro.record import RecordWriter
from stream_infer.avro.schemas import Leaf, leaves
from stream_infer.drift.labels import LabelOutcome
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.flow.records import Channel, Header, Partition, Stage
from stream_infer.models.load import Model
from stream_infer.models.manifest import InputColumn, ModelInput, Policy
from stream_infer.runtime.loop import run
from stream_infer.runtime.pacing import Pace, Pacing
from stream_infer.runtime.stop import Stop
from stream_infer.steps.monitoring.monitor import MonitorStep
from stream_infer.steps.observing.observe import Observe
from stream_infer.steps.scoring.activation import Announcer
from stream_infer.steps.scoring.plan import Events
from stream_infer.testing.memory import MemoryLog, MemorySink, MemorySource, StoredRecord
from tests.support import label_records
from tests.support.label_oracle import RawLabel
from tests.support.odd_avro import MEGABYTE, TIMES, broken, datum, every_type, odd, plain
from tests.unit.steps import world
from tests.unit.steps.monitoring import recorded

EVENT = every_type()
LEAVES = leaves(EVENT)
COPIED = tuple(path for path, leaf in LEAVES.items() if leaf.decimal is None)
NOW = world.RECEIVED_MS
GUID = bytes(range(16))
PLAIN = datum(EVENT.root, plain(EVENT.root))
EVENT_TIMES = {
    Framing.NONE: "timestamp_nanos",
    Framing.SINGLE_OBJECT: "maybe.maybe_time",
    Framing.CONFLUENT: "inner.local_timestamp_micros",
}
DTYPES = {"boolean": "boolean", "int": "Int64", "long": "Int64", "float": "float64", "double": "float64"}
"""Of the column of a leaf; texts are objects."""


class Constant:
    """Answers 0.25 for every row of any frame."""

    classes_ = np.array(["no", "yes"])

    def predict_proba(self, frame: Any) -> Any:
        return np.tile([0.75, 0.25], (len(frame), 1))


def every_leaf(policy: Policy) -> Model:
    """Return a model that reads every leaf; times also as instants and durations."""
    features, columns = [], []
    for leaf in LEAVES.values():
        for name, dtype in _columns_of(leaf):
            floats = leaf.kind in {"float", "double"}
            features.append(
                world.feature(
                    name,
                    leaf.kind,
                    source=leaf.path,
                    logical=leaf.logical,
                    nullable=leaf.nullable,
                    missing=Policy.PASS if leaf.nullable else Policy.REJECT,
                    nan=policy if floats else Policy.REJECT,
                    infinite=policy if floats else Policy.REJECT,
                )
            )
            null = {"object": "none", "Int64": "na", "boolean": "na", "float64": "nan"}.get(dtype, "nat")
            columns.append(InputColumn(name, dtype, null=null))
    container = ModelInput("pandas", tuple(columns))
    return world.model(Constant(), features=features, container=container, schema_name=EVENT.name)


def _columns_of(leaf: Leaf) -> Iterator[tuple[str, str]]:
    yield leaf.path, DTYPES.get(leaf.kind, "object")
    if leaf.logical in TIMES:
        family = "timedelta64" if leaf.logical.startswith("time-") else "datetime64"
        yield from ((f"{leaf.path} in {unit}", f"{family}[{unit}]") for unit in ("s", "ms", "ns"))


@cache
def valid_values() -> Sequence[bytes]:
    return [datum(EVENT.root, one) for one in odd(EVENT.root)]


@cache
def broken_values() -> Sequence[bytes]:
    cut = [PLAIN[:size] for size in range(1, len(PLAIN))]
    return [*(datum(EVENT.root, one) for one in broken(EVENT.root)), *cut, PLAIN + b"\x00"]


HEADERS: list[list[Header]] = [
    *([(name, value)] for name in ("", "\x00", "\U0001f600", "n" * 70_000) for value in (None, b"", b"\xff")),
    [("h", b"x" * MEGABYTE)],
    [(f"h{number % 7}", None) for number in range(10_000)],
    [(f"__dlq.errors.{name}", b"\xff") for name in ("offset", "topic", "message")],
    [(name, value) for name in ("traceparent", "tracestate", "baggage") for value in (None, b"", b"\xff")],
    [("traceparent", b"x" * MEGABYTE)],
]
KEYS = [None, b"", b"\x00", b"\xff\xfe", b"k" * MEGABYTE]
TIMES_MS = [-1, 0, 1, -(2**63), 2**63 - 1, NOW + 10**12]


def framed(value: bytes, framing: Framing) -> bytes:
    return head(framing, EVENT, 7) + value


def envelopes(framing: Framing) -> Iterator[StoredRecord]:
    """Yield records whose value is good, each with one other odd part."""
    good = StoredRecord(framed(PLAIN, framing), b"k", timestamp_ms=NOW)
    yield from (replace(good, key=key) for key in KEYS)
    yield from (replace(good, headers=headers) for headers in HEADERS)
    yield from (replace(good, timestamp_ms=time_ms) for time_ms in TIMES_MS)
    if framing is Framing.CONFLUENT:
        yield replace(good, value=guid_head(GUID) + PLAIN)
        for value in (id_head(7), guid_head(GUID)):
            yield replace(good, value=PLAIN, headers=[("h", None), (HEADER, value), (HEADER, b"")])


def no_values(framing: Framing) -> Iterator[StoredRecord]:
    """Yield records that hold no event."""
    bad: list[bytes | None] = [None, b"", *(framed(one, framing) for one in broken_values())]
    if framing is not Framing.NONE:
        start = framed(b"", framing)
        bad += [start[:size] for size in range(1, len(start) + 1)]
        bad += [PLAIN, b"\xff" + start[1:] + PLAIN, start[:-1] + b"\xff" + PLAIN]
    yield from (StoredRecord(value, timestamp_ms=NOW) for value in bad)
    if framing is Framing.CONFLUENT:
        yield StoredRecord(id_head(8) + PLAIN)
        odd_heads = [id_head(8), id_head(9), b"\x00" * 4, b"\xff" * 17, b"\x00" * MEGABYTE]
        yield from (StoredRecord(PLAIN, headers=[(HEADER, value)]) for value in odd_heads)


def scored(records: Sequence[StoredRecord], model: Model, events: Events) -> MemoryLog:
    """Return the log of a worker that has read `records` to their end."""
    frames = Encoder(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE)
    writer = RecordWriter(topic_schemas.topic_schema("MonitoringEvent"), Framing.NONE)
    step = world.score(
        model,
        events=events,
        announcer=Announcer("payments.fraud", "w", writer),
        observe=Observe("payments.fraud", frames, lambda _: None),
    )
    log = MemoryLog({Partition("events", 0): records})
    _run(log, step)
    return log


def monitored(scored: MemoryLog) -> MonitorStep:
    """Return the monitor that has read all that a worker wrote, and a label of each prediction.

    It has taken up its own state once more.
    """
    step = recorded.monitor_step()
    written: dict[Channel, list[StoredRecord]] = {Channel.OBSERVATIONS: [], Channel.PREDICTIONS: []}
    for one in scored.visible:
        if one.channel in written:
            written[one.channel].append(StoredRecord(one.value, one.key, one.headers, NOW))
    truths = [
        label_records.label(RawLabel(world.prediction(one.value)["id"], NOW, NOW, "yes"))
        for one in written[Channel.PREDICTIONS]
    ]
    log = MemoryLog(
        {
            recorded.FRAMES: written[Channel.OBSERVATIONS],
            recorded.PREDICTIONS: written[Channel.PREDICTIONS],
            recorded.LABELS: [StoredRecord(one, timestamp_ms=NOW) for one in truths],
        }
    )
    _run(log, step)
    documents = [one for one in log.visible if one.channel is Channel.STATE]
    state = {(one.key or b"").decode().removeprefix(f"{recorded.PIPELINE}/"): one.value for one in documents}
    for document in filter(None, state.values()):
        json.loads(document, parse_constant=pytest.fail)
    step.restore({key: document for key, document in state.items() if document is not None})
    return step


def _run(log: MemoryLog, step: Any) -> None:
    run(
        MemorySource(log, received_ms=NOW),
        step,
        MemorySink(log),
        stop=Stop(),
        pace=Pace(Pacing(max_records=100, commit_interval_s=0.0)),
        observe=lambda _: None,
        clock=iter(range(10**6)).__next__,
    )


@dataclass(frozen=True, slots=True)
class Letter:
    """The reason of a dead letter."""

    stage: str
    error_class: str
    message: str


def dead_letters(log: MemoryLog) -> dict[int, Letter]:
    """Return the reasons of dead letters by the offset that each answers."""
    found = {}
    for one in log.visible:
        if one.channel is Channel.DEAD_LETTERS:
            said = dict(one.headers or ())
            names = ("streaminfer.error.stage", "streaminfer.error.class", "__dlq.errors.message")
            offset = int(said["__dlq.errors.offset"] or b"")
            assert offset not in found
            found[offset] = Letter(*((said[name] or b"").decode() for name in names))
    return found


@pytest.mark.parametrize("framing", EVENT_TIMES)
@pytest.mark.parametrize("policy", [Policy.PASS, Policy.REJECT])
def test_every_odd_value_has_one_answer_and_is_counted(framing: Framing, policy: Policy) -> None:
    right = [
        *(StoredRecord(framed(one, framing), timestamp_ms=NOW) for one in valid_values()),
        *envelopes(framing),
    ]
    wrong = list(no_values(framing))
    records = [*right, *wrong, right[-1]]
    bad = range(len(right), len(right) + len(wrong))
    registered = {
        id_head(7): EVENT,
        guid_head(GUID): EVENT,
        id_head(8): Unusable(DeadLetterClass.UNKNOWN_SCHEMA, "not there"),
    }
    time = EVENT_TIMES[framing]
    events = Events(framing, [EVENT], EVENT, event_time=time, copy=COPIED, registered=registered)

    log = scored(records, every_leaf(policy), events)

    letters = dead_letters(log)
    predictions = [world.prediction(one.value) for one in log.visible if one.channel is Channel.PREDICTIONS]
    predicted = [one["source_offset"] for one in predictions]
    assert sorted([*letters, *predicted]) == list(range(len(records)))
    # A decimal of 1 MB is a value of its type that no float reaches.
    undecoded = {at for at, one in letters.items() if one.stage == Stage.DECODE}
    assert {at for at in undecoded if letters[at].error_class != "out_of_range"} == set(bad)
    others = {one.error_class for at, one in letters.items() if at not in bad}
    assert others == {"out_of_range", "too_large", *(("nan", "infinite") if policy is Policy.REJECT else ())}
    whole = set(range(len(right) - len(list(envelopes(framing))), len(right)))
    assert {letters[at].error_class for at in whole & letters.keys()} == {"too_large"}
    monitor = monitored(log)
    assert monitor.records == len(records)
    assert monitor.label_join is not None
    assert monitor.label_join.totals[LabelOutcome.JOINED] == len(predictions) // 20 * 20
