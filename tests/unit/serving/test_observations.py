"""What is asked over HTTP is summarised into the frames of the stream, under a sequence of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from stream_infer.app.kit.records import frame_encoder, frame_reader
from stream_infer.drift.frames import ObservationFrame
from stream_infer.flow.records import Output, Partition
from stream_infer.packaging.scorer import Scorer
from stream_infer.serving.observations import Observations
from stream_infer.steps.observing.frame_record import from_record
from stream_infer.steps.observing.observe import Observe, ObserveSettings
from tests.support.alarm_streams import PIPELINE, events_about, monitor_step
from tests.support.worker_process import until
from tests.unit.serving.conftest import EVENTS
from tests.unit.serving.served import serving

PATH = "/v1/predictions"
ALL = ObserveSettings(window_offsets=10_000, sample_bits=0)
START_MS = 1_700_000_000_000
BAD: dict[str, Any] = {"trip_id": "only", "distanse": 1.0}


class Topic:
    """Keeps the frames that are published."""

    def __init__(self) -> None:
        self.frames: list[ObservationFrame] = []
        self.keys: set[bytes | None] = set()

    def __call__(self, output: Output) -> None:
        self.keys |= set(output.keys)
        self.frames += [from_record(frame_reader().read(value or b"")) for value in output.values]

    def total(self, name: str) -> int:
        return sum(getattr(frame, name) for frame in self.frames)


@pytest.fixture
def topic() -> Topic:
    return Topic()


def observations_to(topic: Callable[[Output], object], start_ms: int = START_MS) -> Observations:
    return Observations(
        "0", Observe("trips", frame_encoder(), lambda _: None, ALL), topic, clock_ms=lambda: start_ms
    )


@pytest.fixture
def observed(served: Scorer, topic: Topic) -> Scorer:
    """Ask three requests of a server that is observed."""
    with observations_to(topic) as observations, serving(lambda: served, note=observations.add) as client:
        client.post(PATH, EVENTS[:20])
        client.post(PATH, [EVENTS[0], BAD, {**EVENTS[1], "city": "Rome"}])
        client.post(PATH, BAD)
        columns = [
            {"name": "distance", "datatype": "FP64", "shape": [2], "data": [1.0, 2.0]},
            {"name": "stops", "datatype": "INT32", "shape": [2], "data": [1, 2]},
            {"name": "city", "datatype": "BYTES", "shape": [2], "data": ["Bonn", "Kiel"]},
        ]
        client.post("/v2/models/trips/infer", {"inputs": columns})
    return served


def test_every_row_is_counted_once_and_refused_ones_as_dead_letters(observed: Scorer, topic: Topic) -> None:
    assert topic.total("records") == 20 + 3 + 1 + 2
    assert topic.total("dead_letters") == 3
    assert topic.total("sampled") == 20 + 2 + 2
    assert topic.keys == {b"trips/serve/0/0"}
    assert {(frame.source, frame.digest) for frame in topic.frames} == {
        (Partition("serve/0", 0), observed.model.digest)
    }


def test_the_numbers_are_those_of_the_rows(observed: Scorer, topic: Topic) -> None:
    stops = [event["stops"] for event in (*EVENTS[:20], EVENTS[0], EVENTS[1])] + [1, 2]
    found = [one for frame in topic.frames for one in frame.signals if one.name == "stops"]

    assert sum(one.count for one in found) == len(stops)
    assert sum(one.count * one.mean for one in found) == pytest.approx(sum(stops))


def test_the_sequence_has_no_gap_and_grows_over_restarts(served: Scorer) -> None:
    ranges = []
    for start_ms in (START_MS, START_MS + 60_000):
        topic = Topic()
        with (
            observations_to(topic, start_ms) as observations,
            serving(lambda: served, note=observations.add) as client,
        ):
            for _ in range(5):
                client.post(PATH, EVENTS[:7])
        ranges.append((topic.frames[0].first_offset, topic.frames[-1].last_offset))

    assert ranges[0] == (START_MS * 1_000, START_MS * 1_000 + 34)
    assert ranges[1][0] > ranges[0][1]


def test_frames_that_nobody_takes_delay_no_answer(served: Scorer, caplog: pytest.LogCaptureFixture) -> None:
    def refuse(_: Output) -> None:
        raise OSError("no broker")

    with observations_to(refuse) as observations, serving(lambda: served, note=observations.add) as client:
        for _ in range(3):
            assert client.post(PATH, EVENTS * 30).status == 200
        until("the trouble", lambda: any(one.msg == "monitoring problem" for one in caplog.records))
        assert client.post(PATH, EVENTS[:2]).status == 200


def test_rows_that_come_faster_than_they_are_summarised_are_left_out_and_counted(
    served: Scorer, topic: Topic, caplog: pytest.LogCaptureFixture
) -> None:
    observations = observations_to(topic)
    for _ in range(3):
        observations.add(served.model, 90_000, None)
    with observations:
        pass

    assert topic.total("records") == 180_000
    assert any("90000 rows came faster" in one.__dict__.get("reason", "") for one in caplog.records)


def test_the_monitor_tells_that_what_is_asked_has_moved(served: Scorer) -> None:
    rng = np.random.default_rng(5)
    outputs: list[Output] = []
    observe = Observe(PIPELINE, frame_encoder(), lambda _: None)

    def rows(count: int, shift: float) -> list[dict[str, Any]]:
        return [
            {**EVENTS[int(n) % len(EVENTS)], "distance": float(x)}
            for n, x in enumerate(rng.normal(20 + shift, 2, count))
        ]

    with (
        Observations("0", observe, outputs.append, clock_ms=lambda: START_MS) as observations,
        serving(lambda: served, note=observations.add) as client,
    ):
        for shift in [0.0] * 16 + [4.0] * 8:
            assert client.post(PATH, rows(1_000, shift)).status == 200

    monitor = monitor_step(None, None)
    told = [
        event
        for number, output in enumerate(outputs)
        for event in events_about(monitor, number, output.values, START_MS)
    ]
    [moved] = [one["summary"] for one in told if one["type"] != "quality"]
    assert moved.startswith("mean of feature 'distance'")
