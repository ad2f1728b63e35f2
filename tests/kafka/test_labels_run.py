"""A monitor that joins labels, on a real broker: killed again and again, its metrics are those of the topics.

The oracle reads the raw topics and knows none of our code; scikit-learn says what the metrics mean.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from confluent_kafka import Producer
from sklearn.metrics import accuracy_score, brier_score_loss, log_loss

from stream_infer.models.package import verify
from tests.conftest import Topics
from tests.support import label_oracle, label_records
from tests.support.events import Framing
from tests.support.label_oracle import RawLabel, RawPrediction, Rules
from tests.support.lifecycle import recreate
from tests.support.log import committed, read_all
from tests.support.models import said as cli
from tests.support.pipeline import Pipeline
from tests.support.worker_process import Worker, until

MINUTE = 60_000
WINDOW = 100
PREDICTIONS = 3_000
FRESH = 600
LOST = "sha256:" + "0" * 64
_WITHIN_S = 30.0


@pytest.fixture
def monitored(pipeline: Callable[[Framing], Pipeline], topics: Topics) -> tuple[Pipeline, str, str, Path]:
    """Return a pipeline with labels, its topics of labels and of events, and the monitor's settings."""
    tested = pipeline(Framing.NONE)
    labels, events = topics("payments.labels", partitions=2), topics("payments.monitoring", partitions=1)
    config = tested.write_config(
        "m-0",
        monitoring={
            "topic": events,
            "observations_topic": topics("payments.observations", partitions=1),
            "state_topic": topics("payments.state", partitions=1, config={"cleanup.policy": "compact"}),
        },
        labels={"topic": labels, "max_delay": "10m", "max_early": "1m", "window": WINDOW},
    )
    return tested, labels, events, config


@pytest.fixture
def start_monitor() -> Iterator[Callable[[Path], Worker]]:
    """Return what starts a monitor; all are ended with the test."""
    started: list[Worker] = []

    def start(config: Path) -> Worker:
        started.append(Worker(config, "--role", "monitor"))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def world(digest: str, classes: tuple[str, str]) -> tuple[list[RawPrediction], list[RawLabel]]:
    """Return predictions of two models within the last minutes, and labels with every kind of mishap.

    Nothing lies in the future, and nothing so far back that a monitor would have forgotten it. All of these
    predictions are written before any is read: a record of the past that comes later is not believed in.
    """
    draw = np.random.default_rng(6)
    base = time.time_ns() // 1_000_000 - 15 * MINUTE
    predictions, raw_labels = [], []
    for number in range(PREDICTIONS):
        at = base + int(draw.integers(2 * MINUTE))
        score = float("nan") if number % 40 == 0 else float(draw.random())
        name = f"payments/{number % 4}/{number}"
        label = classes[int(score >= 0.5)]
        predictions.append(RawPrediction(name, digest if number % 5 else LOST, at, at - 250, label, score))
        for _ in range(draw.choice([0, 1, 1, 1, 2])):
            after = int(draw.choice([draw.integers(5 * MINUTE)] * 6 + [-20_000, 11 * MINUTE, -2 * MINUTE]))
            truth = classes[int(draw.random() < (0.5 if np.isnan(score) else score))]
            raw_labels.append(RawLabel(name, at + after, at + max(0, after), truth))
    raw_labels += [RawLabel(f"elsewhere/{n}", base + n * 100, base, classes[0]) for n in range(100)]
    raw_labels += [RawLabel(None, base + MINUTE, base)] * 40
    return sorted(predictions, key=lambda one: one.time_ms), sorted(raw_labels, key=lambda one: one.time_ms)


def fresh(
    digest: str, classes: tuple[str, str]
) -> tuple[list[RawPrediction], list[RawLabel], list[RawLabel]]:
    """Return predictions of now, labels that come before them, and labels that come after."""
    now = time.time_ns() // 1_000_000
    predictions = [
        RawPrediction(f"payments/{n % 4}/{n}", digest, now, now, classes[n % 2], 0.1 + 0.8 * (n % 2))
        for n in range(PREDICTIONS, PREDICTIONS + FRESH)
    ]
    early = [
        RawLabel(one.id, now - 10_000, now - 10_000, classes[n % 3 > 0]) for n, one in enumerate(predictions)
    ]
    after = [RawLabel(one.id, now, now, classes[n % 5 > 0]) for n, one in enumerate(predictions)]
    return predictions, early[::2], after


def write_predictions(bootstrap: str, topic: str, predictions: list[RawPrediction]) -> None:
    """Write predictions as a scorer does, amid transactions that were aborted and are never seen."""
    producer = Producer({"bootstrap.servers": bootstrap, "transactional.id": f"{topic}.{len(predictions)}"})
    producer.init_transactions(_WITHIN_S)
    for at in range(0, len(predictions), 250):
        for end in (producer.abort_transaction, producer.commit_transaction):
            producer.begin_transaction()
            for one in predictions[at : at + 250]:
                partition = int(one.id.split("/")[1])
                producer.produce(
                    topic, label_records.prediction(one), partition=partition, timestamp=one.time_ms
                )
            producer.flush(_WITHIN_S)
            end(_WITHIN_S)


def write_labels(bootstrap: str, topic: str, raw_labels: list[RawLabel]) -> None:
    """Write labels, those of one id to one partition; some are no labels at all."""
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    for number, one in enumerate(raw_labels):
        value = label_records.label(one) if one.id is not None or number % 2 else b"\xff"
        partition = int(one.id.rpartition("/")[2]) % 2 if one.id is not None else 0
        producer.produce(topic, value, partition=partition, timestamp=one.time_ms)
    assert producer.flush(_WITHIN_S) == 0


def test_published_figures_are_those_of_the_raw_topics_though_the_monitor_is_killed(
    monitored: tuple[Pipeline, str, str, Path], start_monitor: Callable[[Path], Worker]
) -> None:
    tested, labels, events, config = monitored
    package = verify(tested.package.path)
    no, yes = package.manifest.output.classes
    predictions, raw_labels = world(package.digest, (no, yes))
    write_predictions(tested.bootstrap, tested.predictions, predictions)
    third = len(raw_labels) // 3
    write_labels(tested.bootstrap, labels, raw_labels[:third])
    newer, early, after = fresh(package.digest, (no, yes))

    group = f"{tested.name}.monitor"

    def read() -> int:
        asked = (labels, tested.predictions)
        return sum(sum(committed(tested.bootstrap, group, topic).values()) for topic in asked)

    for more in (raw_labels[third : 2 * third], [*raw_labels[2 * third :], *early], after):
        already = read()
        monitor = start_monitor(config)
        until("something more is read", lambda already=already: read() > already, monitor)
        monitor.kill()
        if more is after:  # the labels before came and were read before these
            write_predictions(tested.bootstrap, tested.predictions, newer)
        write_labels(tested.bootstrap, labels, more)

    monitor = start_monitor(config)
    ends = counts(tested.bootstrap, labels)
    until("all labels are read", lambda: committed(tested.bootstrap, group, labels) == ends, monitor)
    expected = figures_of_topics(
        tested, labels, Rules(10 * MINUTE, MINUTE, WINDOW, (no, yes), frozenset({LOST}))
    )
    stray = RawLabel("stray/0", predictions[-1].time_ms, predictions[-1].time_ms, no)

    def complete() -> bool:
        write_labels(tested.bootstrap, labels, [stray])  # what is settled by time alone shows with the next
        return len(metrics(tested.bootstrap, events)) >= len(expected)

    until("every window is told of", complete, monitor)
    assert monitor.terminate() == 0

    published = metrics(tested.bootstrap, events)
    assert {key: published[key] for key in expected} == expected
    outcomes = {fate for *_, counted in expected.values() for fate in counted}
    assert outcomes == {"joined", "early", "late", "double", "conflicting", "unknown", "invalid"}
    sentences = cli("events", "-c", config, "--type", "performance").out.splitlines()
    assert len(sentences) >= len(expected)
    assert any("accuracy of model" in line and "half of them came within" in line for line in sentences)


def test_labels_of_a_topic_that_was_recreated_replace_none_of_the_old_one(
    monitored: tuple[Pipeline, str, str, Path], start_monitor: Callable[[Path], Worker]
) -> None:
    tested, labels, events, config = monitored
    package = verify(tested.package.path)
    no, yes = package.manifest.output.classes
    predictions, _early, truths = fresh(package.digest, (no, yes))
    old, new = truths[: WINDOW // 2], truths[WINDOW // 2 :]
    write_predictions(tested.bootstrap, tested.predictions, predictions)
    write_labels(tested.bootstrap, labels, old)
    monitor = start_monitor(config)

    def are_read(count: int) -> bool:
        return sum(committed(tested.bootstrap, f"{tested.name}.monitor", labels).values()) == count

    until("the old labels are read", lambda: are_read(len(old)), monitor)
    recreate(tested.bootstrap, labels, 2)
    write_labels(tested.bootstrap, labels, new)
    until("the new labels are read", lambda: are_read(len(new)), monitor)
    assert monitor.terminate() == 0

    windows = accuracies(tested.bootstrap, events)
    ended = len(old) // 2, 0, len(old) // 2 - 1
    whole = [(WINDOW, first, first + WINDOW - 1) for first in range(0, len(new) // 2 - WINDOW + 1, WINDOW)]
    assert windows == {f"{labels}/{index}": sorted([ended, *whole]) for index in (0, 1)}


def accuracies(bootstrap: str, topic: str) -> dict[str, list[tuple[int, int, int]]]:
    """Return labels, first and last offset of each window whose accuracy was published, by partition."""
    found: dict[str, list[tuple[int, int, int]]] = {}
    for record in read_all(bootstrap, topic):
        event = label_records.event(record.value or b"")
        if event["type"] == "performance" and event["performance"]["metric"] == "accuracy":
            [place] = event["ranges"]
            window = event["performance"]["labelled"], place["first_offset"], place["last_offset"]
            found.setdefault(f"{place['topic']}/{place['partition']}", []).append(window)
    return {log: sorted(windows) for log, windows in found.items()}


def test_check_misses_the_topic_of_labels_and_topics_create_makes_it(
    monitored: tuple[Pipeline, str, str, Path],
) -> None:
    tested, labels, _, config = monitored
    name = f"{tested.name}.labels"
    config.write_text(config.read_text("utf-8").replace(labels, name), "utf-8")

    missed = cli("check", "-c", config, "--json").document
    assert [(p["key"], p["value"]) for p in missed["problems"]] == [("labels.topic", f'"{name}"')]

    made = cli("topics", "create", "-c", config, "--json").document["topics"]
    assert [(one["topic"], one["partitions"]) for one in made if one["result"] == "created"] == [(name, 4)]
    checked = cli("check", "-c", config, "--json").document
    assert checked["ok"], checked
    assert "labels: io.streaminfer.v1.Label, joined by prediction_id" in checked["passed"]


def counts(bootstrap: str, topic: str) -> dict[int, int]:
    found: dict[int, int] = {}
    for record in read_all(bootstrap, topic):
        found[record.partition] = record.offset + 1
    return found


def figures_of_topics(tested: Pipeline, labels: str, rules: Rules) -> dict[object, object]:
    """Return what the oracle makes of the raw topics, once scikit-learn has agreed on what metrics mean."""
    predictions = [
        label_records.raw_prediction(r.value or b"", r.timestamp_ms)
        for r in read_all(tested.bootstrap, tested.predictions)
    ]
    assert len(predictions) == PREDICTIONS + FRESH
    first = label_oracle.first_of_each(predictions)
    logs: dict[int, list[RawLabel]] = {0: [], 1: []}
    for record in read_all(tested.bootstrap, labels):
        logs[record.partition].append(label_records.raw_label(record.value, record.timestamp_ms))
    found: dict[object, object] = {}
    for index, log in logs.items():
        for number in range(len(log) // rules.window):
            one = label_oracle.window(log, number, first, rules)
            for (digest, metric), metric_value in one.metrics.items():
                rest = one.pairs[digest], one.delays[digest], dict(one.outcomes)
                found[f"{labels}/{index}", number, digest, metric] = metric_value, *rest
    agree_with_scikit_learn(predictions, rules)
    return found


def agree_with_scikit_learn(predictions: list[RawPrediction], rules: Rules) -> None:
    scored = [
        one for one in predictions if one.score is not None and 0 <= one.score <= 1 and one.digest != LOST
    ]
    truths = [
        RawLabel(one.id, one.time_ms, one.time_ms, rules.classes[n % 2]) for n, one in enumerate(scored)
    ]
    whole = Rules(rules.max_delay_ms, rules.max_early_ms, len(scored), rules.classes)
    metrics = label_oracle.window(truths, 0, {one.id: one for one in scored}, whole).metrics
    truth = [one.label == rules.classes[1] for one in truths]
    score = [one.score for one in scored]
    [digest] = {digest for digest, _ in metrics}
    assert metrics[digest, "accuracy"][0] == accuracy_score(
        [one.label for one in truths], [one.label for one in scored]
    )
    assert metrics[digest, "log_loss"][0] == pytest.approx(log_loss(truth, score), rel=1e-12)
    assert metrics[digest, "brier"][0] == pytest.approx(brier_score_loss(truth, score), rel=1e-12)


def metrics(bootstrap: str, topic: str) -> dict[object, object]:
    """Return what was published: window, model and metric -> everything that the oracle knows of it."""
    found: dict[object, object] = {}
    for record in read_all(bootstrap, topic):
        event = label_records.event(record.value or b"")
        if event["type"] != "performance" or event["performance"]["metric"] == "estimated_accuracy":
            continue
        metric_value, [place] = event["performance"], event["ranges"]
        log, number = f"{place['topic']}/{place['partition']}", place["first_offset"] // WINDOW
        key = (log, number, event["model_digest"], metric_value["metric"])
        assert key not in found, "a metric_value was published twice"
        outcomes = {n: int(c) for n, c in event["attributes"].items() if n not in {"coverage", "estimate"}}
        assert event["attributes"]["coverage"] == "1.0"
        value = metric_value["value"], metric_value["labelled"]
        found[key] = value, metric_value["predictions"], metric_value["label_delay_p50_ms"], outcomes
    return found
