"""A monitored stream of three partitions, small and always the same, for the recorded state of a monitor.

Only `random.Random` draws here: its sequences are the same in every version of Python.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from stream_infer.avro import topic_schemas
from stream_infer.avro.decode import Decoder
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordReader, RecordWriter
from stream_infer.drift.frames import (
    FEATURE_CATEGORY,
    FEATURE_NUMBER,
    OUTPUT_NUMBER,
    ColumnSummary,
    ObservationFrame,
)
from stream_infer.drift.labels import JoinPolicy
from stream_infer.drift.model_metrics import OutputMeaning
from stream_infer.drift.reference import Reference, ReferenceColumn
from stream_infer.flow.records import Batch, Channel, Cursor, Outcome, Partition, Span
from stream_infer.steps.monitoring.label_join import LabelJoinSettings
from stream_infer.steps.monitoring.label_readers import (
    PREDICTION_FIELDS,
    LabelFields,
    LabelReader,
    PredictionReader,
)
from stream_infer.steps.monitoring.monitor import MonitorSettings, MonitorStep, RecordCodec
from stream_infer.steps.observing.frame_record import frame_columns
from stream_infer.steps.options import JoinBy
from tests.support import label_records
from tests.support.label_oracle import RawLabel, RawPrediction

PIPELINE = "payments.fraud"
DIGEST = "sha256:recorded"
START_MS = 1_700_000_000_000
WINDOW = 1_600
_BATCH = 50
SAMPLED = 200
FRAMES, PREDICTIONS, LABELS = (Partition(topic, 0) for topic in ("frames", "predictions", "labels"))

BINS, ROWS = 8, 5_000
REFERENCE = Reference(
    ROWS,
    {
        (FEATURE_NUMBER, "amount"): ReferenceColumn(
            "amount",
            FEATURE_NUMBER,
            ROWS,
            mean=0.5,
            stddev=0.2887,
            low=0.0,
            high=1.0,
            edges=tuple(edge / BINS for edge in range(BINS + 1)),
            shares=(0.0, *[1 / BINS] * BINS, 0.0),
        ),
        (FEATURE_CATEGORY, "city"): ReferenceColumn(
            "city", FEATURE_CATEGORY, ROWS, categories=("berlin", "cairo"), shares=(0.6, 0.4, 0.0)
        ),
    },
)
LABEL_FIELDS = LabelFields("prediction_id", "label", "value", "labelled_at")


@dataclass(frozen=True, slots=True)
class Written:
    """A record of one of the monitor's input topics."""

    source: Partition
    value: bytes
    time_ms: int


def monitor_step() -> MonitorStep:
    prediction, label = topic_schemas.topic_schema("Prediction"), topic_schemas.topic_schema("Label")
    joining = LabelJoinSettings(
        PREDICTIONS.topic,
        LABELS.topic,
        PredictionReader(Decoder(Framing.NONE, [prediction], PREDICTION_FIELDS), JoinBy.PREDICTION_ID),
        LabelReader(Decoder(Framing.NONE, [label], LABEL_FIELDS.paths), LABEL_FIELDS),
        lambda _: OutputMeaning(("no", "yes"), probability=True),
        JoinPolicy(max_delay_ms=20_000, max_early_ms=3_000, max_pending=1_000, window=20),
    )
    codec = RecordCodec(
        RecordReader(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE),
        RecordWriter(topic_schemas.topic_schema("MonitoringEvent"), Framing.NONE),
    )
    return MonitorStep(MonitorSettings(PIPELINE, FRAMES.topic), lambda _: REFERENCE, codec, joining)


def records() -> Sequence[Written]:
    """Return the whole input in the order of reading: by time, frames between predictions and labels."""
    return sorted([*_frames(), *_labelled()], key=lambda one: one.time_ms)


def run(step: MonitorStep, rows: range, state: dict[str, bytes]) -> list[dict[str, Any]]:
    """Give `rows` of `RECORDS` to `step` in batches; return the events. `state` is the compacted topic."""
    events = []
    for first in range(rows.start, rows.stop, _BATCH):
        outcome = step(_batch(first, min(first + _BATCH, rows.stop)))
        events += _events(outcome)
        _store(outcome, state)
    return events


def _batch(first: int, end: int) -> Batch:
    before = {p: sum(1 for one in RECORDS[:first] if one.source == p) for p in (FRAMES, PREDICTIONS, LABELS)}
    rows = RECORDS[first:end]
    places = sorted({one.source for one in rows})
    offsets, following = [], dict(before)
    for one in rows:
        offsets.append(following[one.source])
        following[one.source] += 1
    return Batch(
        cursor=Cursor({p: Span(before[p], following[p]) for p in places}),
        partitions=places,
        partition=[places.index(one.source) for one in rows],
        offset=offsets,
        timestamp_ms=[one.time_ms for one in rows],
        keys=[None] * len(rows),
        values=[one.value for one in rows],
        headers=[None] * len(rows),
        received_ms=rows[-1].time_ms,
        positions=before,
    )


def _events(outcome: Outcome) -> list[dict[str, Any]]:
    values = [v for out in outcome.outputs if out.channel is Channel.EVENTS for v in out.values]
    read: list[dict[str, Any]] = [label_records.event(value or b"") for value in values]
    return [json.loads(json.dumps(one, default=str)) for one in read]


def _store(outcome: Outcome, state: dict[str, bytes]) -> None:
    for out in outcome.outputs:
        if out.channel is Channel.STATE:
            for key, value in zip(out.keys, out.values, strict=True):
                name = (key or b"").decode().removeprefix(f"{PIPELINE}/")
                state.pop(name, None)
                if value is not None:
                    state[name] = value


def _frames() -> Iterator[Written]:
    encoder = Encoder(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE)
    draw = Random(3)  # noqa: S311 - no secret
    for number in range(74):
        for source, window in _windows(number):
            frame = _frame(draw, source, window)
            [value] = encoder.encode(frame_columns(PIPELINE, [frame]))
            yield Written(FRAMES, value, frame.last_time_ms)


def _windows(number: int) -> Iterator[tuple[Partition, int]]:
    """Partition 0 has a window at each step, 1 at every second one, 2 small ones from step 52 on."""
    yield Partition("events", 0), number
    if number % 2:
        yield Partition("events", 1), number // 2
    if number >= 52 and number % 2:
        yield Partition("events", 2), number - 52


def _frame(draw: Random, source: Partition, window: int) -> ObservationFrame:
    shift = 0.4 if source.index == 0 and (20 <= window < 24 or 46 <= window < 49 or window >= 56) else 0.0
    berlin = 0.9 if source.index == 1 and window >= 27 else 0.6
    lost = 60 if source.index == 0 and 36 <= window < 38 else 3
    sampled = SAMPLED if source.index < 2 else 90
    step = window if source.index == 0 else window * 2 + 1 if source.index == 1 else window + 52
    return ObservationFrame(
        version="1.0.0",
        digest=DIGEST,
        source=source,
        first_offset=window * WINDOW,
        last_offset=window * WINDOW + WINDOW - 1,
        window_first_offset=window * WINDOW,
        window_last_offset=window * WINDOW + WINDOW - 1,
        first_time_ms=START_MS + step * 50_000,
        last_time_ms=START_MS + step * 50_000 + 49_000 + source.index,
        records=WINDOW,
        dead_letters=lost,
        sampled=sampled,
        signals=(
            _number(draw, "amount", shift, sampled, binned=True),
            _number(draw, "ratio", 0.0, sampled, binned=False),
            _city(draw, berlin, sampled),
            _number(draw, "score", shift / 8, sampled, binned=False, kind=OUTPUT_NUMBER),
        ),
    )


def _number(
    draw: Random, name: str, shift: float, sampled: int, *, binned: bool, kind: str = FEATURE_NUMBER
) -> ColumnSummary:
    values = [draw.random() + shift for _ in range(sampled)]
    places = [min(BINS + 1, 1 + int(value * BINS)) for value in values]
    return ColumnSummary(
        name,
        kind,
        count=sampled,
        nulls=draw.randrange(5),
        mean=statistics.fmean(values),
        m2=statistics.pvariance(values) * sampled,
        low=min(values),
        high=max(values),
        bins=tuple(places.count(place) for place in range(BINS + 2)) if binned else (),
    )


def _city(draw: Random, berlin: float, sampled: int) -> ColumnSummary:
    here = sum(draw.random() < berlin for _ in range(sampled))
    return ColumnSummary("city", FEATURE_CATEGORY, count=sampled, bins=(here, sampled - here, 0))


def _labelled() -> Iterator[Written]:
    """A prediction every two seconds and mostly a label; from number 1,200 on the model is often wrong."""
    draw = Random(5)  # noqa: S311 - no secret
    for number in range(1_840):
        at = START_MS + number * 2_000
        score = draw.random()
        label = "yes" if score >= 0.5 else "no"
        predicted = RawPrediction(f"events/0/{number}", DIGEST, at, at - 300, label, score)
        yield Written(PREDICTIONS, label_records.prediction(predicted), at)
        if number % 9 == 8:
            continue
        wrong = draw.random() < (0.5 if number >= 1_200 else 0.1)
        truth = label if not wrong else "no" if label == "yes" else "yes"
        after = draw.choice([-2_000, 5_000, 9_000, 25_000])
        for again in range(2 if number % 31 == 0 else 1):
            raw_label = RawLabel(predicted.id, at + after + again, at + after, truth)
            yield Written(LABELS, label_records.label(raw_label), raw_label.time_ms)
        if number % 50 == 0:
            unknown = RawLabel(f"elsewhere/{number}", at, at, "no")
            yield Written(LABELS, label_records.label(unknown), at)
        if number % 70 == 0:
            yield Written(LABELS, label_records.label(RawLabel(None, at, at)), at)


RECORDS = records()
CUT = sum(1 for one in RECORDS if one.time_ms < START_MS + 60 * 50_000)
"""The recorded state is that of the first so many records."""
