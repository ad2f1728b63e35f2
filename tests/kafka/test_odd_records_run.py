"""Records that nobody should write, on every topic that is read: each is answered once, and all goes on."""

from __future__ import annotations

import json
import secrets
import time
import urllib.request
from collections.abc import Callable

from confluent_kafka import Producer

from tests.conftest import Topics
from tests.support import label_records
from tests.support.events import Framing
from tests.support.label_oracle import RawLabel
from tests.support.log import committed, read_all
from tests.support.odd_frames import REFUSED, WINDOW, not_frames, odd_frames, with_field
from tests.support.pipeline import Pipeline
from tests.support.watched import Watched, watch
from tests.support.worker_process import Worker, until
from tests.unit.steps.monitoring.recorded import FRAMES, RECORDS

_WITHIN_S = 30.0
_MANY_LINES = 12
_REFUSED, _PENDING = "stream_infer_records_failed_total{", "stream_infer_label_pending_bytes{"
_PENDING_BYTES = 2**20
_LARGEST_STATE_BYTES = 20_000


def metric(port: int, start: str) -> float:
    """Return the value of the metric whose line begins with `start`."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        text: str = answer.read().decode()
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(start))


def read_up_to(watched: Watched, topic: str) -> int:
    """Return the offset that the monitor has committed for the only partition of `topic`."""
    return committed(watched.line.bootstrap, f"{watched.line.name}.monitor", topic)[0]


def write(watched: Watched, topic: str, values: list[bytes | None]) -> None:
    producer = Producer({"bootstrap.servers": watched.line.bootstrap, "linger.ms": 5})
    for value in values:
        producer.produce(topic, value, partition=0)
    assert producer.flush(_WITHIN_S) == 0


def test_odd_observation_frames_are_refused_and_told_once_and_the_good_ones_count(
    pipeline: Callable[[Framing], Pipeline], topics: Topics, start_worker: Callable[..., Worker]
) -> None:
    watched = watch(pipeline(Framing.NONE), topics)
    recorded = [one.value for one in RECORDS if one.source == FRAMES]
    good = [with_field(value, "pipeline", watched.line.name) for value in recorded]
    odd = [*odd_frames(REFUSED, good[0]), *not_frames(good[0])]
    mixed = [value for at, one in enumerate(good) for value in (*odd[at :: len(good)], one)]
    assert len(mixed) == len(good) + len(odd)
    monitor = start_worker(watched.config("m"), "--role", "monitor")

    write(watched, watched.observations, mixed)
    group, ends = f"{watched.line.name}.monitor", {0: len(mixed)}
    read = committed
    until(
        "all is read",
        lambda: read(watched.line.bootstrap, group, watched.observations) == ends,
        monitor,
    )

    assert watched.remembered() == WINDOW * len(good)
    until("all is counted", lambda: metric(watched.port, _REFUSED) == len(odd), monitor)
    told = [one for one in watched.events() if one["attributes"].get("reason") == "refused_frames"]
    assert len(told) == 1
    assert any(one["type"] == "drift.detected" for one in watched.events())
    assert monitor.terminate() == 0
    lines = [json.loads(line) for line in monitor.output().splitlines()]
    about = [line for line in lines if line["event"] == "records refused"]
    assert about
    assert len(lines) <= _MANY_LINES


def test_labels_with_huge_ids_are_refused_and_what_waits_is_bounded_in_bytes(
    pipeline: Callable[[Framing], Pipeline], topics: Topics, start_worker: Callable[..., Worker]
) -> None:
    watched = watch(pipeline(Framing.NONE), topics)
    labels = topics("payments.labels", 1)
    config = watched.config("m", labels={"topic": labels, "window": 50, "max_pending_bytes": _PENDING_BYTES})
    now = time.time_ns() // 1_000_000
    long = [RawLabel(f"{number}{secrets.token_hex(450_000)}", now, now, "yes") for number in range(60)]
    waiting = [RawLabel(f"{number:<1024}", now, now, "yes") for number in range(2_000)]
    values = [label_records.label(one) for one in [*long, *waiting]]
    half = len(long) + len(waiting) // 2
    too_long = 0.0

    # The second monitor begins with what the first one has kept.
    for part, end in ((values[:half], half), (values[half:], len(values))):
        monitor = start_worker(config, "--role", "monitor")
        write(watched, labels, [*part])
        until("all is read", lambda end=end: read_up_to(watched, labels) == end, monitor)
        until("all is counted", lambda: metric(watched.port, _PENDING) > 0, monitor)
        assert metric(watched.port, _PENDING) <= _PENDING_BYTES
        too_long += metric(watched.port, _REFUSED)
        assert monitor.terminate() == 0

    assert too_long == len(long)
    sizes = [len(one.value or b"") for one in read_all(watched.line.bootstrap, watched.state)]
    assert max(sizes) < _LARGEST_STATE_BYTES
    lines = [json.loads(line)["event"] for line in monitor.output().splitlines()]
    assert lines.count("labels sampled") >= 1
    assert len(lines) <= _MANY_LINES
