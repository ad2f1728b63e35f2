"""Frames, predictions and labels, field by field with every odd value: none stops the monitor."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from stream_infer.avro import topic_schemas
from stream_infer.avro.decode import Decoder
from stream_infer.avro.framing import Framing
from stream_infer.drift.labels import LabelOutcome
from stream_infer.flow.records import Batch, Channel, Cursor, Outcome, Partition, Span
from stream_infer.steps.monitoring.label_readers import LabelFields, LabelReader
from tests.support import label_records
from tests.support.label_oracle import RawLabel, RawPrediction
from tests.support.odd_avro import broken, datum, every_type, odd, plain
from tests.unit.steps.monitoring import recorded

NOW = 1_800_000_000_000
LATER = NOW + 600_000
"""When no label from before can still find its prediction."""
WINDOW = 20
"""Labels in a window of the recorded monitor."""
TYPES = {
    recorded.FRAMES: "ObservationFrame",
    recorded.PREDICTIONS: "Prediction",
    recorded.LABELS: "Label",
}
TIMES_MS = [-1, 0, -(2**63), 2**63 - 1, 253_402_300_800_000]
KEYS = [None, b"", b"\xff\xfe", b"k" * 2**20]


def batch(
    source: Partition, values: Sequence[bytes | None], first: int, time_ms: int, read_ms: int = NOW
) -> Batch:
    count = len(values)
    return Batch(
        cursor=Cursor({source: Span(first, first + count)}),
        partitions=[source],
        partition=[0] * count,
        offset=list(range(first, first + count)),
        timestamp_ms=[time_ms] * count,
        keys=[KEYS[row % len(KEYS)] for row in range(count)],
        values=values,
        headers=[None] * count,
        received_ms=read_ms,
        positions=dict.fromkeys(TYPES, 0) | {source: first},
        ended=set(TYPES),
    )


def odd_values(name: str) -> Iterator[bytes]:
    root = topic_schemas.topic_schema(name).root
    yield from (datum(root, one) for one in odd(root))


def no_records(name: str) -> list[bytes | None]:
    """Return what is no record of this type; later releases may append bytes, so records may be longer."""
    root = topic_schemas.topic_schema(name).root
    whole = datum(root, plain(root))
    return [None, *(datum(root, one) for one in broken(root)), *(whole[:size] for size in range(len(whole)))]


class Kept:
    """A monitor whose state is read back after each batch, as after a restart."""

    def __init__(self) -> None:
        self.step = recorded.monitor_step()
        self._state: dict[str, bytes] = {}

    def take(self, read: Batch) -> Outcome:
        outcome = self.step(read)
        for output in outcome.outputs:
            if output.channel is Channel.STATE:
                self._store(output.keys, output.values)
        self.step = recorded.monitor_step()
        self.step.restore(self._state)
        return outcome

    def _store(self, keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> None:
        for key, value in zip(keys, values, strict=True):
            name = (key or b"").decode().removeprefix(f"{recorded.PIPELINE}/")
            self._state.pop(name, None)
            if value is not None:
                json.loads(value, parse_constant=pytest.fail)
                self._state[name] = value


def good_pairs(step: Kept, count: int, first: int) -> None:
    """Give `count` predictions, and a right label for each."""
    predictions = [RawPrediction(f"good/0/{n}", "d-1", LATER, LATER, "yes", 0.9) for n in range(count)]
    labels = [RawLabel(one.id, LATER, LATER, "yes") for one in predictions]
    written = [label_records.prediction(one) for one in predictions]
    step.take(batch(recorded.PREDICTIONS, written, first, LATER, LATER))
    step.take(batch(recorded.LABELS, [label_records.label(one) for one in labels], first, LATER, LATER))


@pytest.mark.parametrize("source", TYPES, ids=TYPES.values())
@pytest.mark.parametrize("time_ms", TIMES_MS)
def test_no_odd_value_of_any_field_stops_the_monitor_or_spoils_its_state(
    source: Partition, time_ms: int
) -> None:
    monitor, bad = Kept(), no_records(TYPES[source])
    values: list[bytes | None] = [*odd_values(TYPES[source]), *bad]

    first = monitor.take(batch(source, values, 0, time_ms))
    again = monitor.take(batch(source, values[::-1], len(values), NOW))

    assert {one.row for one in first.rejected} >= set(range(len(values) - len(bad), len(values)))
    assert {one.row for one in again.rejected} >= set(range(len(bad)))
    good_pairs(monitor, 3 * WINDOW, 2 * len(values))
    assert monitor.step.label_join is not None
    assert monitor.step.label_join.totals[LabelOutcome.JOINED] >= 2 * WINDOW


@pytest.mark.parametrize("label", ["string", "double", "float", "long", "int", "boolean", "enum"])
@pytest.mark.parametrize(("time", "units_per_ms"), [("maybe.timestamp_nanos", 10**6), ("maybe_time", 1)])
def test_no_odd_value_of_a_label_of_any_schema_is_read_as_more_than_a_label(
    label: str, time: str, units_per_ms: int
) -> None:
    schema = every_type()
    fields = LabelFields("maybe_string", label, f"maybe_{'double' if label == 'string' else 'long'}", time)
    fields = replace(fields, units_per_ms=units_per_ms)
    reader = LabelReader(Decoder(Framing.NONE, [schema], fields.paths), fields)
    values = [datum(schema.root, one) for one in odd(schema.root)]
    bad = [datum(schema.root, one) for one in broken(schema.root)]

    for time_ms in TIMES_MS:
        read = batch(recorded.LABELS, [*values, *bad], 0, time_ms)
        truths, rejected = reader.read(read, range(len(read)))
        assert sorted([row for row, _ in truths] + [one.row for one in rejected]) == list(range(len(read)))
        assert {one.row for one in rejected} >= set(range(len(values), len(read)))
        assert all(truth.value is None or math.isfinite(truth.value) for _, truth in truths)
        assert all(0 <= truth.time_ms <= NOW for _, truth in truths)
