"""Drift from events to sentence, with the worker, the monitor and the broker that users have.

One source partition never changes, each of the others changes in its own way, all within seconds.
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
def test_what_does_not_change_raises_nothing_and_what_changes_at_once_is_one_incident_that_names_it(
    watched: Watched, seed: int, feature: str
) -> None:
    line = watched.line
    group = Group(line)
    changes: dict[int, tuple[Any, str]] = {
        MEAN: (shift(feature, 1.0), feature),
        VARIANCE: (widen("normal_4", 2.0), "normal_4"),
        CATEGORY: (recategorise("city", "berlin", 0.5), "city"),
        NULLS: (lose(0.1), "normal_9"),
        GRADUAL: (shift("normal_7", 1.0), "normal_7"),
        BURST: (shift("normal_3", 1.0), "normal_3"),
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
                for partition, (change, _) in changes.items()
            },
            what="the changes",
        )
        assert command.terminate() == 0

    # All changes begin within seconds, so they are one incident; each of them is told.
    [opened] = [event for event in watched.drifts() if event["type"] == "drift.detected"]
    assert about(opened) == (None, "spread")
    assert 0 < seen_until(watched, opened) - BEFORE <= WITHIN
    updates = [event for event in watched.drifts() if event["type"] == "drift.updated"]
    assert {event["incident_id"] for event in updates} == {opened["incident_id"]}
    joined = ", ".join(event["attributes"].get("joined", "") for event in updates)
    assert [name for _, name in changes.values() if f"feature '{name}'" not in joined] == []
    quality = [event for event in watched.drifts() if event["type"] == "quality"]
    assert [about(event) for event in quality] == [("normal_3", "non_finite_rate")] * 2
    assert sum(frame.records for frame in watched.frames()) == sent

    again = said("backtest", "-c", config_of(watched), "--json").document
    assert again["records"] == sent
    assert [event["id"] for event in again["events"]] == [event["id"] for event in watched.drifts()]
    sentences = said("events", "-c", config_of(watched), "--type", "drift.updated").out.splitlines()
    [sentence] = [one for one in sentences if f"mean of feature '{feature}' changed too" in one]
    assert f"at {line.input}/{MEAN} offset " in sentence
    assert ", before " in sentence


def seen_until(watched: Watched, event: dict[str, Any]) -> int:
    """Return how many events of the partition SCORE were seen when `event` was told.

    Its id ends with an offset, or with a time where all partitions together showed the change.
    """
    place, _, at = event["id"].rpartition("/")
    if not place.endswith("/partitions"):
        return int(at)
    frames = [frame for frame in watched.frames() if frame.source.index == SCORE]
    return sum(frame.records for frame in frames if frame.last_time_ms <= int(at))


def about(event: dict[str, Any]) -> tuple[str | None, str]:
    return event["drift"]["feature"], event["drift"]["signal"]
