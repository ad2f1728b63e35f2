"""The real step without a broker: a batch of events in memory, and the predictions that it gives."""

from __future__ import annotations

import time
from functools import partial

from benchmarks.material import Material
from stream_infer.avro import schemas, topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.flow.records import Batch, Channel, Cursor, Partition, Span
from stream_infer.models.active import ActiveModel, ServingModel
from stream_infer.models.load import load_model
from stream_infer.models.package import verify
from stream_infer.steps.observing.observe import Observe
from stream_infer.steps.scoring.plan import Events, plan_scoring
from stream_infer.steps.scoring.score import Score, ScoreSettings


def step_of(
    material: Material,
    *,
    copy: tuple[str, ...] = (),
    framing: Framing = Framing.NONE,
    observe: Observe | None = None,
) -> Score:
    """Return the step of the online role for this workload."""
    schema = schemas.parse_schema(material.schema.read_text("utf-8"))
    slot = ActiveModel(ServingModel(load_model(verify(material.package)), generation=0))
    return Score(
        slot,
        partial(plan_scoring, events=Events(framing, [schema], event_time=None, copy=copy)),
        Encoder(topic_schemas.topic_schema("Prediction"), framing),
        ScoreSettings(pipeline="benchmark", group_id="benchmark.score"),
        observe=observe,
    )


def batch_of(values: list[bytes], count: int, *, partitions: int = 4, first: int = 100_000) -> Batch:
    """Return a batch as a session would read it: `values` over and over, over all partitions."""
    places = [Partition("benchmark.input", index) for index in range(partitions)]
    partition = [row * partitions // count for row in range(count)]
    now_ms = time.time_ns() // 1_000_000
    return Batch(
        cursor=Cursor({place: Span(first, first + count) for place in places}),
        partitions=places,
        partition=partition,
        offset=list(range(first, first + count)),
        timestamp_ms=[now_ms] * count,
        keys=[b"k%d" % (row % 10_000) for row in range(count)],
        values=[values[row % len(values)] for row in range(count)],
        headers=[None] * count,
        received_ms=now_ms,
    )


def predictions(material: Material) -> list[bytes]:
    """Return the values of the predictions for all distinct events."""
    (output,) = step_of(material)(batch_of(material.values, len(material.values))).outputs
    if output.channel is not Channel.PREDICTIONS:
        raise RuntimeError("the events of the benchmark do not pass")
    return [value for value in output.values if value is not None]
