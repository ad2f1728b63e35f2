"""The monitor's step with labels: metrics are those of the oracle, with crashes and aborts anywhere."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_infer.app.label_format import label_format
from stream_infer.avro import topic_schemas
from stream_infer.avro.decode import Decoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordReader, RecordWriter
from stream_infer.avro.schemas import parse_schema
from stream_infer.config.monitoring_sections import LabelsSection
from stream_infer.drift.labels import JoinPolicy
from stream_infer.drift.model_metrics import OutputMeaning
from stream_infer.flow.records import Channel, Partition
from stream_infer.runtime.loop import run
from stream_infer.runtime.pacing import Pace, Pacing
from stream_infer.runtime.stop import Stop
from stream_infer.steps.monitoring.event_record import parse_event
from stream_infer.steps.monitoring.label_join import LabelJoinSettings
from stream_infer.steps.monitoring.label_readers import (
    PREDICTION_FIELDS,
    LabelFields,
    LabelReader,
    PredictionReader,
)
from stream_infer.steps.monitoring.monitor import MonitorSettings, MonitorStep, RecordCodec
from stream_infer.steps.options import JoinBy
from stream_infer.testing.memory import Crashed, Fault, MemoryLog, MemorySink, MemorySource, StoredRecord
from tests.support import label_oracle, label_records
from tests.support.label_oracle import RawLabel, RawPrediction, Rules
from tests.unit.drift.streams import PIPELINE, state

MINUTE = 60_000
BASE = 1_700_000_000_000
NOW = BASE + 120 * MINUTE
RULES = Rules(60 * MINUTE, MINUTE, 20, silent=frozenset({"d-gone"}))
OURS = LabelFields("prediction_id", "label", "value", "labelled_at")
Logs = dict[Partition, list[StoredRecord]]


def monitor_step(join: JoinBy = JoinBy.PREDICTION_ID, labels: LabelReader | None = None) -> MonitorStep:
    prediction, label = topic_schemas.topic_schema("Prediction"), topic_schemas.topic_schema("Label")
    settings = LabelJoinSettings(
        "predictions",
        "labels",
        PredictionReader(Decoder(Framing.NONE, [prediction], PREDICTION_FIELDS), join),
        labels or LabelReader(Decoder(Framing.NONE, [label], OURS.paths), OURS),
        lambda digest: (
            OutputMeaning() if digest in RULES.silent else OutputMeaning(RULES.classes, probability=True)
        ),
        JoinPolicy(RULES.max_delay_ms, RULES.max_early_ms, 10_000, RULES.window),
    )
    codec = RecordCodec(
        RecordReader(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE),
        RecordWriter(topic_schemas.topic_schema("MonitoringEvent"), Framing.NONE),
    )
    return MonitorStep(MonitorSettings(PIPELINE, "frames"), lambda _: None, codec, settings)


def monitored(logs: Logs, script: Sequence[Fault] = (), *, limit: int = 1_000, **given: Any) -> MemoryLog:
    """Return the log after monitors, one after the other until each crashes, have read it to the end."""
    log = MemoryLog(logs)
    sink = MemorySink(log, script)
    ticks = iter(range(1_000_000))
    while True:
        step = monitor_step(**given)
        step.restore(state(log))
        try:
            run(
                MemorySource(log, received_ms=NOW),
                step,
                sink,
                stop=Stop(),
                pace=Pace(Pacing(max_records=limit, commit_interval_s=0.0)),
                observe=lambda _: None,
                clock=lambda: next(ticks) * 1e-6,
            )
        except Crashed:
            continue
        return log


def events(log: MemoryLog, metric: str = "") -> list[dict[str, Any]]:
    read = [parse_event(v.value or b"") for v in log.visible if v.channel is Channel.EVENTS]
    found = [dict(event) for event in read if event is not None]
    return [event for event in found if not metric or event["performance"]["metric"] == metric]


def world(seed: int, count: int = 200) -> tuple[Logs, dict[str, list[RawLabel]], dict[str, RawPrediction]]:
    """Return logs of predictions and labels in two partitions each, and the input of the oracle."""
    draw = np.random.default_rng(seed)
    predictions, raw_labels = [], []
    for number in range(count):
        at = BASE + int(draw.integers(10 * MINUTE))
        score = float("nan") if number % 17 == 0 else float(draw.random())
        digest = str(draw.choice(["d-1", "d-2", "d-gone"]))
        label = "yes" if score >= 0.5 else "no"
        predictions.append(RawPrediction(f"events/0/{number}", digest, at, at - 500, label, score))
        for _ in range(draw.choice([0, 1, 1, 2])):
            after = int(draw.choice([draw.integers(20 * MINUTE), -30_000, 61 * MINUTE, 75 * MINUTE]))
            truth = "yes" if draw.random() < score else "no"
            raw_labels.append(RawLabel(predictions[-1].id, at + after, at + max(0, after) - 5_000, truth))
    raw_labels += [RawLabel(f"elsewhere/{n}", BASE + n * MINUTE, BASE, "no") for n in range(count // 20)]
    raw_labels += [RawLabel(None, BASE, BASE)] * 5
    logs: Logs = {Partition(topic, index): [] for topic in ("predictions", "labels") for index in (0, 1)}
    for one in sorted(predictions, key=lambda one: one.time_ms):
        stored = StoredRecord(label_records.prediction(one), b"k", timestamp_ms=one.time_ms)
        logs[Partition("predictions", len(one.id) % 2)].append(stored)
    labels: dict[str, list[RawLabel]] = {"labels/0": [], "labels/1": []}
    for label in sorted(raw_labels, key=lambda one: one.time_ms):
        index = len(label.id or "") % 2
        labels[f"labels/{index}"].append(label)
        logs[Partition("labels", index)].append(
            StoredRecord(label_records.label(label), timestamp_ms=label.time_ms)
        )
    return logs, labels, {one.id: one for one in predictions}


def metrics(log: MemoryLog) -> dict[tuple[str, int, str, str], object]:
    """Return the contents of the events: window, model and metric -> all that the oracle knows."""
    found = {}
    for event in events(log):
        value, [place] = event["performance"], event["ranges"]
        if value["metric"] == "estimated_accuracy":
            continue
        number = place["first_offset"] // RULES.window
        key = (
            f"{place['topic']}/{place['partition']}",
            number,
            event["model_digest"],
            value["metric"],
        )
        assert key not in found
        outcomes = {n: int(c) for n, c in event["attributes"].items() if n not in {"coverage", "estimate"}}
        found[key] = (
            (value["value"], value["labelled"]),
            value["predictions"],
            value["label_delay_p50_ms"],
            outcomes,
        )
    return found


def expected(
    labels: dict[str, list[RawLabel]], predictions: dict[str, RawPrediction]
) -> dict[object, object]:
    found: dict[object, object] = {}
    for name, log in labels.items():
        for number in range(len(log) // RULES.window):
            one = label_oracle.window(log, number, predictions, RULES)
            for (digest, metric), value in one.metrics.items():
                rest = one.pairs[digest], one.delays[digest], dict(one.outcomes)
                found[name, number, digest, metric] = value, *rest
    return found


@pytest.mark.slow
@given(st.integers(0, 10**6), st.lists(st.sampled_from(Fault), max_size=8), st.integers(3, 300))
@settings(max_examples=15, deadline=None)
def test_metrics_are_those_of_the_oracle_with_aborts_and_crashes_anywhere(
    seed: int, script: list[Fault], limit: int
) -> None:
    logs, labels, predictions = world(seed)

    log = monitored(logs, script, limit=limit)

    assert metrics(log) == expected(labels, predictions)
    assert json.loads(state(log)["join/"])["totals"]["predictions"] == len(predictions)


def test_an_estimate_needs_no_labels_and_is_reported_with_the_metric() -> None:
    logs, _, _ = world(1, count=3_000)
    unlabelled = {p: [] if p.topic == "labels" else records for p, records in logs.items()}

    for event in events(monitored(unlabelled), "estimated_accuracy"):
        assert event["performance"]["labelled"] == 0
        assert event["performance"]["value"] == pytest.approx(0.75, abs=0.1)
        assert event["attributes"]["calibrated_on"] == "0"

    log = monitored(logs, limit=200)
    last = events(log, "accuracy")[-1]
    assert float(last["attributes"]["estimate"]) == pytest.approx(0.75, abs=0.1)
    assert "expected from its scores; half of them came within" in last["summary"]
    assert events(log, "estimated_accuracy")[-1]["attributes"]["calibrated_on"] > "0"


def test_a_nan_score_is_left_out_of_the_log_loss_only() -> None:
    logs, _, predictions = world(2)
    nan = sum(math.isnan(one.score or 0.0) for one in predictions.values())

    log = monitored(logs)

    assert nan > 5
    rested = {m: sum(e["performance"]["labelled"] for e in events(log, m)) for m in ("accuracy", "log_loss")}
    assert 0 < rested["log_loss"] < rested["accuracy"]
    assert all(np.isfinite(e["performance"]["value"]) for e in events(log))


TRANSFER = {
    "type": "record",
    "name": "Outcome",
    "fields": [
        {"name": "fraud", "type": ["null", "int"]},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    ],
}


def test_labels_of_a_users_own_schema_join_by_key(tmp_path: Any) -> None:
    (tmp_path / "outcome.avsc").write_text(json.dumps(TRANSFER))
    section = LabelsSection.model_validate(
        {
            "topic": "labels",
            "framing": "none",
            "schema": str(tmp_path / "outcome.avsc"),
            "join": "key",
            "label_field": "fraud",
            "time_field": "at",
        }
    )
    known = label_format(section)
    reader = LabelReader(Decoder(Framing.NONE, [known.schema], known.fields.paths), known.fields)
    writer = RecordWriter(parse_schema(json.dumps(TRANSFER)), Framing.NONE)
    predictions = [RawPrediction(f"events/0/{n}", "d-1", BASE, BASE, str(n % 2), 0.5) for n in range(20)]
    truths = [{"fraud": 1, "at": (BASE + 7_000) * 1000} for _ in range(19)] + [{"fraud": None, "at": 0}]
    logs: Logs = {
        Partition("predictions", 0): [
            StoredRecord(label_records.prediction(one), b"k-%d" % n, timestamp_ms=BASE)
            for n, one in enumerate(predictions)
        ],
        Partition("labels", 0): [
            StoredRecord(writer.write(one), b"k-%d" % n, timestamp_ms=BASE + MINUTE)
            for n, one in enumerate(truths)
        ],
    }

    [event] = events(monitored(logs, join=JoinBy.KEY, labels=reader), "accuracy")

    assert event["performance"] == {
        "metric": "accuracy",
        "value": 9 / 19,
        "reference_value": None,
        "predictions": 19,
        "labelled": 19,
        "label_delay_p50_ms": 7_000,
    }
    assert event["attributes"]["invalid"] == "1"


def test_errors_that_rise_are_reported_with_the_model_and_the_offset() -> None:
    draw = np.random.default_rng(4)
    predictions = [RawPrediction(f"events/0/{n}", "d-1", BASE, BASE, "yes", 0.9) for n in range(4_000)]
    truth = ["yes" if draw.random() < (0.9 if n < 2_500 else 0.5) else "no" for n in range(4_000)]
    raw_labels = [RawLabel(one.id, BASE + MINUTE, BASE, t) for one, t in zip(predictions, truth, strict=True)]
    logs: Logs = {
        Partition("predictions", 0): [
            StoredRecord(label_records.prediction(one), timestamp_ms=BASE) for one in predictions
        ],
        Partition("labels", 0): [
            StoredRecord(label_records.label(one), timestamp_ms=one.time_ms) for one in raw_labels
        ],
    }

    log = monitored(logs, [Fault.CRASH_AFTER, Fault.ABORT, Fault.CRASH_BEFORE] * 5, limit=150)

    read = [parse_event(v.value or b"") for v in log.visible if v.channel is Channel.EVENTS]
    [event] = [dict(one) for one in read if one is not None and one["type"] == "drift.detected"]
    assert event["drift"]["signal"] == "error"
    assert event["drift"]["reference"]["mean"] == pytest.approx(0.1, abs=0.05)
    assert event["drift"]["current"]["mean"] > 0.3
    assert 2_500 - RULES.window <= event["ranges"][0]["first_offset"] < 3_200
    assert event["model_digest"] == "d-1"
    assert event["summary"].startswith(f"error of model {label_records.version('d-1')} rose from 0.")
    assert "since labels/0 offset" in event["summary"]
