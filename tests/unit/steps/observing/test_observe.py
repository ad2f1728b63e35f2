"""Records are counted even when they cannot be summarised: monitoring can never stop scoring."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from benchmarks.drift_streams import NAMES, TEXTS, model, reference
from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordReader
from stream_infer.drift.reference import Reference
from stream_infer.flow.records import Batch, Channel, Cursor, Partition
from stream_infer.models.scores import Scores
from stream_infer.steps.observing.frame_record import frame_columns, from_record
from stream_infer.steps.observing.observe import Observe
from stream_infer.steps.observing.scored import ScoredRows

SCHEMA = topic_schemas.topic_schema("ObservationFrame")
ENCODER = Encoder(SCHEMA, Framing.NONE)
COUNT = 2_000


def batch() -> Batch:
    nothing = [None] * COUNT
    return Batch(
        cursor=Cursor({}),
        partitions=[Partition("in", 0)],
        partition=[0] * COUNT,
        offset=list(range(COUNT)),
        timestamp_ms=[1] * COUNT,
        keys=nothing,
        values=nothing,
        headers=nothing,
        received_ms=1,
    )


def seen(**odd: pa.Array) -> ScoredRows:
    columns = {
        name: pa.array(["x"] * COUNT) if name in TEXTS else pa.array(np.zeros(COUNT)) for name in NAMES
    }
    rows = np.arange(COUNT, dtype=np.intp)
    labels = np.full(COUNT, "no", dtype=object)
    return ScoredRows(columns | odd, rows, rows, Scores(label=labels, score=np.zeros(COUNT)), ())


def counts(observe: Observe, what: ScoredRows) -> tuple[list[tuple[int, int]], str | None]:
    observed = observe(batch(), model(), what)
    output = observed.output
    assert output.channel is Channel.OBSERVATIONS
    frames = [from_record(RecordReader(SCHEMA, Framing.NONE).read(value or b"")) for value in output.values]
    return [(frame.records, len(frame.signals)) for frame in frames], observed.failure


def test_a_column_that_cannot_be_summarised_leaves_the_counts_and_a_reason() -> None:
    observe = Observe("p", ENCODER, lambda _: reference())

    counted, failure = counts(observe, seen(normal_0=pa.array([{"a": 1}] * COUNT)))
    again, none = counts(observe, seen())

    assert counted == [(1600, 0), (400, 0)]
    assert failure is not None
    assert "summarised" in failure
    assert again == [(1600, len(NAMES) + 2), (400, len(NAMES) + 2)]
    assert none is None


def test_a_reference_that_cannot_be_read_leaves_the_counts_too() -> None:
    def broken(_: object) -> Reference:
        raise OSError("the store is away")

    observe = Observe("p", ENCODER, broken)

    counted, failure = counts(observe, seen())

    assert counted == [(1600, 0), (400, 0)]
    assert failure is not None
    assert "the store is away" in failure


def test_a_narrow_float_is_counted_without_a_warning() -> None:
    narrow = pa.array(np.array([1.0, np.nan, np.inf, 3e38] * (COUNT // 4), np.float32))
    observe = Observe("p", ENCODER, lambda _: reference())
    [first, _] = observe.frames(batch(), model(), seen(normal_0=narrow))

    assert first.signals[0].non_finite == 800


def test_frames_have_the_same_bytes_in_columns_and_one_by_one() -> None:
    odd = pa.array([None, 1.0, float("nan"), 1e120] * (COUNT // 4))
    observe = Observe("p", ENCODER, lambda _: reference())
    what = seen(normal_0=odd)
    frames = observe.frames(batch(), model(), what)

    assert len(frames) == 2
    assert list(observe(batch(), model(), what).output.values) == ENCODER.encode(
        frame_columns("p", list(frames))
    )
