"""The dashboard on a real broker: its figures are those of the topics, and it says what it cannot read."""

from __future__ import annotations

import io
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, cast

import fastavro
import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AclOperation  # type: ignore[attr-defined]  # a public name, not marked as exported

from tests.architecture.tree import ROOT
from tests.support.access import denied
from tests.support.broker import Broker
from tests.support.clients import SILENT, admin
from tests.support.dashboard_process import dashboard
from tests.support.lines import PARTITIONS, Rehearsed, event
from tests.support.log import read_all
from tests.support.stage import Stage
from tests.support.worker_process import Worker, until

HALF, BAD_EVERY = 6_000, 100
FRAME = fastavro.parse_schema(json.loads((ROOT / "schemas/ObservationFrame.avsc").read_text("utf-8")))
ODD = '<b onclick="x()">a</b> & \N{PILE OF POO}'


def send(stage: Stage, count: int, **config: str) -> None:
    """Send events to all partitions in turn; one in a hundred is cut short."""
    producer = Producer({"bootstrap.servers": stage.bootstrap, **config}, logger=SILENT)
    transactional = "transactional.id" in config
    if transactional:
        producer.init_transactions(20)
    for begin in range(0, count, 100):
        if transactional:
            producer.begin_transaction()
        for n in range(begin, min(begin + 100, count)):
            value = event(float(n % 50))
            cut = value[:-3] if n % BAD_EVERY == 0 else value
            producer.produce(stage.topics["input"], cut, partition=n % PARTITIONS)
        if transactional:
            producer.commit_transaction(20)
    assert producer.flush(20) == 0


def aborted(stage: Stage, count: int) -> None:
    """Write events that no reader may see."""
    config = {"bootstrap.servers": stage.bootstrap, "transactional.id": f"{stage.name}.aborted"}
    producer = Producer(config, logger=SILENT)
    producer.init_transactions(20)
    producer.begin_transaction()
    for n in range(count):
        producer.produce(stage.topics["input"], event(1.0), partition=n % PARTITIONS)
    producer.flush(20)
    producer.abort_transaction(20)


class Recomputed:
    """Figures of a pipeline by a reader of its own, from the bytes in its topics."""

    def __init__(self, stage: Stage) -> None:
        values = [record.value or b"" for record in read_all(stage.bootstrap, stage.topics["observations"])]
        self.frames = [
            cast("dict[str, Any]", fastavro.schemaless_reader(io.BytesIO(value), FRAME, None))
            for value in values
        ]
        self.letters = read_all(stage.bootstrap, stage.topics["dead-letters"])

    def total(self, field: str) -> int:
        return sum(frame[field] for frame in self.frames)

    def moments(self, name: str) -> tuple[int, float, float, int]:
        """Return count, mean, standard deviation and nulls of a column over all frames."""
        parts = [one for frame in self.frames for one in frame["signals"] if one["name"] == name]
        count = sum(part["count"] for part in parts)
        mean = sum(part["count"] * part["mean"] for part in parts) / count
        square = sum(part["m2"] + part["count"] * (part["mean"] - mean) ** 2 for part in parts)
        return count, mean, math.sqrt(square / (count - 1)), sum(part["nulls"] for part in parts)

    def classes(self) -> Mapping[str, int]:
        return Counter(dict(one.headers)["streaminfer.error.class"].decode() for one in self.letters)  # type: ignore[union-attr]


def test_its_figures_are_those_of_the_topics_with_two_workers_and_a_kill(
    lines: Stage, two_lines: Rehearsed, start_worker: Callable[..., Worker]
) -> None:
    lines.promote(two_lines.packages[0])
    first, second = start_worker(lines.config("w-0")), start_worker(lines.config("w-1"))
    with dashboard(lines.config("d")) as page:
        serving = [("w-0", "1.0.0", True), ("w-1", "1.0.0", True)]
        page.shows("both workers serve", lambda state: workers(state) == serving)
        send(lines, HALF)
        until("half is answered", lines.answered_more(), first, second)
        first.kill()
        send(lines, HALF)
        start_worker(lines.config("w-0"))
        until("all is answered", lines.answered(2 * HALF), second)
        state = page.shows(
            "all is on the page",
            lambda now: (
                now["head"]["records"] == 2 * HALF
                and now["head"]["lag"]["records"] == 0
                and sum(now["letters"]["by_class"].values()) == 2 * HALF // BAD_EVERY
            ),
        )
        found = Recomputed(lines)
        # Features follow within two seconds.
        sampled = found.total("sampled")
        page.shows("all samples", lambda now: now["columns"].get("sampled") == sampled)
        columns = page.columns()

    head = state["head"]
    assert head["records"] == found.total("records") == 2 * HALF
    assert head["dead_letters"] == found.total("dead_letters") == len(found.letters)
    assert state["letters"]["by_class"] == found.classes()
    assert head["lag"] == {"records": 0, "exact": True, "unknown": None}
    assert head["unreadable"] == 0
    assert sampled < 2_000  # so that all frames are in the newest rows
    for name in ("x", "value"):
        count, mean, stddev, nulls = found.moments(name)
        line = columns[name]
        assert line["rows"] == count
        assert line["mean"] == pytest.approx(mean, rel=1e-9)
        assert line["stddev"] == pytest.approx(stddev, rel=1e-9)
        assert line["nulls"] == nulls / (2 * HALF)
    entries = [one["type"] for one in state["timeline"]["entries"]]
    assert entries.count("model.activated") >= 2


def workers(state: Mapping[str, Any]) -> list[tuple[str, str | None, bool | None]]:
    return [(one["name"], one["version"], one["member"]) for one in state["workers"]["workers"]]


def test_the_lag_counts_records_not_markers_nor_what_was_aborted(
    lines: Stage, two_lines: Rehearsed, start_worker: Callable[..., Worker]
) -> None:
    lines.promote(two_lines.packages[0])
    worker = start_worker(lines.config("w-0"))
    send(lines, 400)
    until("all is answered", lines.answered(400), worker)
    assert worker.terminate() == 0

    send(lines, 1_000, **{"transactional.id": f"{lines.name}.sent"})
    aborted(lines, 300)
    with dashboard(lines.config("d")) as page:
        state = page.shows("the lag", lambda now: now["head"]["lag"]["unknown"] is None)

        assert state["head"]["lag"] == {"records": 1_000, "exact": True, "unknown": None}
        assert {one["records"] for one in state["workers"]["partitions"]} == {250}

        aborted(lines, 20_000)
        send(lines, 12_000, **{"transactional.id": f"{lines.name}.sent"})
        state = page.shows("more lag", lambda now: now["head"]["lag"]["records"] > 10_000)
        assert state["head"]["lag"]["records"] == pytest.approx(13_000, rel=0.7)
        assert not state["head"]["lag"]["exact"]


def test_an_empty_pipeline_and_topics_that_are_not_there_are_said(lines: Stage, two_lines: Rehearsed) -> None:
    lines.promote(two_lines.packages[0])
    config = lines.config("d")
    config.write_text(
        config.read_text("utf-8").replace(lines.topics["observations"], "not.there.v1"), "utf-8"
    )

    with dashboard(config) as page:
        state = page.shows(
            "what is missing",
            lambda now: len(now["head"]["troubles"]) == 2 and now["head"]["reading"]["caught_up"],
        )

    assert state["head"]["lag"]["records"] == 0
    labels, missing = state["head"]["troubles"]
    assert labels.startswith("No labels topic is named")
    assert missing.startswith(
        "The topic not.there.v1 does not exist, or may not be described by this principal."
    )
    assert missing.endswith("The page lacks throughput, latency, features and scores.")
    assert "not.there.v1" not in page_topics(lines)


def page_topics(stage: Stage) -> list[str]:
    """Return the topics that the broker has: looking for one must not create it."""
    return list(admin(stage.bootstrap).list_topics(timeout=20).topics)


def test_a_topic_that_may_not_be_read_is_said_and_shown_once_it_may(
    lines: Stage, two_lines: Rehearsed, start_worker: Callable[..., Worker]
) -> None:
    lines.promote(two_lines.packages[0])
    worker = start_worker(lines.config("w-0"))
    send(lines, 200)
    until("all is answered", lines.answered(200), worker)
    assert worker.terminate() == 0
    letters = lines.topics["dead-letters"]

    with (
        denied(lines.bootstrap, [letters], operation=AclOperation.READ) as allow,
        dashboard(lines.config("d")) as page,
    ):

        def told(state: Mapping[str, Any]) -> bool:
            return any(letters in one and "authorization" in one.lower() for one in state["head"]["troubles"])

        state = page.shows("the denial", told)
        assert state["head"]["records"] == 200
        assert state["letters"]["newest"] == []

        allow()
        page.shows("the letters", lambda now: sum(now["letters"]["by_class"].values()) == 2 and not told(now))


def test_odd_records_are_counted_and_odd_texts_are_kept_as_they_are(
    lines: Stage, two_lines: Rehearsed, broker: Broker
) -> None:
    lines.promote(two_lines.packages[0])
    producer = Producer({"bootstrap.servers": broker.bootstrap}, logger=SILENT)
    for name in ("observations", "monitoring", "status"):
        producer.produce(lines.topics[name], b"\xff" * 40, f"{lines.name}/x".encode())
        producer.produce(lines.topics[name], None, b"someone/else")
    headers: list[tuple[str, str | bytes | None]] = [
        ("streaminfer.error.class", ODD),
        ("traceparent", b"\xff\x00"),
        ("nothing", None),
    ]
    producer.produce(lines.topics["dead-letters"], ODD.encode(), b"key", headers=headers)
    assert producer.flush(20) == 0

    with dashboard(lines.config("d")) as page:
        state = page.shows("the letter", lambda now: ODD in now["letters"]["by_class"])
        state = page.shows("what cannot be read", lambda now: now["head"]["unreadable"] == 3)
    with dashboard(lines.config("d"), "--show-payload") as page:
        opened = page.shows("the letter", lambda now: ODD in now["letters"]["by_class"])

    [letter] = state["letters"]["newest"]
    assert letter["headers"] == [
        ["streaminfer.error.class", ODD],
        ["traceparent", "\\xff\x00"],
        ["nothing", None],
    ]
    assert (letter["key"], letter["value"], letter["value_bytes"]) == (None, None, len(ODD.encode()))
    [letter] = opened["letters"]["newest"]
    assert (letter["key"], letter["value"]) == ("key", ODD)
