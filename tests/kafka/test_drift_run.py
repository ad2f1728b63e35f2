"""Drift from events to sentence, with the worker, the monitor and the broker that users have.

Each source partition is a stream of its own: one never changes, each of the others changes in its own way.
One configuration for all of them, the shipped one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.drift_streams import lose, recategorise, shift, widen
from tests.conftest import Topics
from tests.support.broker import Broker
from tests.support.drifting import correlate, made, make_material, send
from tests.support.events import Framing
from tests.support.models import said
from tests.support.package import Package
from tests.support.pipeline import Pipeline
from tests.support.watched import Watched, everything, watch
from tests.support.worker_process import Group, until

STATIONARY, BEFORE, AFTER, RAMP = 200_000, 24_000, 9_600, 32_000
SLOWLY = RAMP + 8_000
WITHIN = 5_000
PARTITIONS = 8
STILL, MEAN, VARIANCE, CATEGORY, NULLS, SCORE, GRADUAL, BURST = range(PARTITIONS)


@pytest.fixture
def watched(broker: Broker, topics: Topics, tmp_path: Path, request: pytest.FixtureRequest) -> Watched:
    material = make_material(tmp_path, seed=1_000 + request.getfixturevalue("seed"))
    source = topics("shop.events", PARTITIONS)
    line = Pipeline(
        name=source.replace("events", "drift"),
        framing=Framing.NONE,
        bootstrap=broker.bootstrap,
        input=source,
        predictions=topics("shop.predictions", PARTITIONS),
        dead_letters=topics("dlq.shop", 1),
        package=Package(material.package, tmp_path, tmp_path),
        folder=tmp_path,
    )
    return watch(line, topics)


def config_of(watched: Watched) -> Path:
    source = {
        "topics": [watched.line.input],
        "framing": "none",
        "schema": str(watched.line.folder / "event.avsc"),
    }
    config = watched.config("w", input=source, output={"topic": watched.line.predictions})
    lines = config.read_text("utf-8").splitlines()
    unwanted = ("event_time", '"event_time"', '"copy"')
    config.write_text("\n".join(line for line in lines if not line.startswith(unwanted)) + "\n", "utf-8")
    return config


@pytest.mark.parametrize(("seed", "feature"), [(1, "normal_2")])
def test_what_does_not_change_raises_nothing_and_what_changes_raises_one_incident_that_names_it(
    watched: Watched, seed: int, feature: str
) -> None:
    line = watched.line
    group = Group(line)
    changes: dict[int, tuple[Any, str, str]] = {
        MEAN: (shift(feature, 1.0), feature, "mean"),
        VARIANCE: (widen("normal_4", 2.0), "normal_4", "spread"),
        CATEGORY: (recategorise("city", "berlin", 0.5), "city", "categories"),
        NULLS: (lose(0.1), "normal_9", "null_rate"),
        GRADUAL: (shift("normal_7", 1.0), "normal_7", "mean"),
        BURST: (shift("normal_3", 1.0), "normal_3", "mean"),
    }
    sent = 0

    def feed(parts: dict[int, list[bytes]], *, what: str) -> None:
        nonlocal sent
        sent += sum(map(len, parts.values()))
        send(line.bootstrap, line.input, parts)
        until(f"{what}: answered", lambda: group.committed() == sent, command)
        until(f"{what}: told to the monitor", lambda: watched.remembered() == sent, command)

    with everything(config_of(watched), "--role", "all") as (command, _children):
        still = {p: made(BEFORE, (), seed=100 * seed + p) for p in range(1, PARTITIONS)}
        feed(still | {STILL: made(STATIONARY, (), seed=100 * seed)}, what="what does not change")
        assert watched.drifts() == []

        feed({SCORE: made(AFTER, (correlate,), seed=100 * seed + 11)}, what="the score")
        feed({BURST: made(400, (), seed=100 * seed + 12, wild="normal_3")}, what="a burst of NaN")
        feed({BURST: made(BEFORE, (), seed=100 * seed + 13)}, what="quiet again")
        feed(
            {
                partition: made(
                    SLOWLY if partition == GRADUAL else AFTER,
                    (change,),
                    seed=100 * seed + 20 + partition,
                    ramp=RAMP if partition == GRADUAL else 1,
                )
                for partition, (change, _, _) in changes.items()
            },
            what="the changes",
        )
        assert command.terminate() == 0

    detected = {found_in(event): event for event in watched.drifts() if event["type"] == "drift.detected"}
    starts = dict.fromkeys(range(PARTITIONS), BEFORE) | {BURST: 2 * BEFORE + 400}
    delays = {partition: at - starts[partition] for (partition, at), _ in detected.items()}
    named = {partition: about(event) for (partition, _), event in detected.items()}
    assert named == {SCORE: (None, "spread")} | {p: (f, aspect) for p, (_, f, aspect) in changes.items()}
    assert len(detected) == len([e for e in watched.drifts() if e["type"] == "drift.detected"])
    assert all(0 < delay <= WITHIN for partition, delay in delays.items() if partition != GRADUAL), delays
    assert delays[GRADUAL] < RAMP / 2 + WITHIN
    quality = [event for event in watched.drifts() if event["type"] == "quality"]
    assert [about(event) for event in quality] == [("normal_3", "non_finite_rate")] * 2
    assert sum(frame.records for frame in watched.frames()) == sent

    again = said("backtest", "-c", config_of(watched), "--json").document
    assert again["records"] == sent
    assert [event["id"] for event in again["events"]] == [event["id"] for event in watched.drifts()]
    sentences = said("events", "-c", config_of(watched), "--type", "drift.detected").out.splitlines()
    [sentence] = [one for one in sentences if f"'{feature}'" in one]
    assert f"mean of feature '{feature}' went from 0" in sentence
    assert f"since {line.input}/{MEAN} offset {BEFORE}, model 1.0.0 [PageHinkley " in sentence


def about(event: dict[str, Any]) -> tuple[str | None, str]:
    return event["drift"]["feature"], event["drift"]["signal"]


def found_in(event: dict[str, Any]) -> tuple[int, int]:
    """Return the partition and the last offset of the look in which a change was seen."""
    _, partition, offset = event["id"].rsplit("/", 2)
    return int(partition), int(offset)
