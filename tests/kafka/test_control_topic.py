"""Records on the control topic that are of no use: workers start all the same, serve on, and tell.

STREAM_INFER_TEST_FLOOD_S=60 pytest -s tests/kafka/test_control_topic.py     # floods of a minute, and of 1 GB
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from stream_infer.kafka.control import record
from stream_infer.rollout.deployment import Deployment, PackageRef
from tests.support.clients import SILENT
from tests.support.lines import Rehearsed
from tests.support.log import read_all
from tests.support.models import said
from tests.support.ports import free_ports
from tests.support.probes import readyz
from tests.support.stage import Stage
from tests.support.worker_process import Worker, until

FLOOD = 1_000
FLOOD_S = float(os.environ.get("STREAM_INFER_TEST_FLOOD_S", "0"))
"""With it a flood takes so long, at `A_SECOND` records."""
A_SECOND = 800
MINUTE_S = 60
FOREIGN_BYTES = 2**30 if FLOOD_S else 2**26
FOREIGN_VALUE = 500_000
MOST_MEMORY = 2**29
MOST_WAITING = 50
LINES_A_MINUTE = 6
NOWHERE = PackageRef("line", "9.0.0", "sha256:" + "9" * 64, "nowhere")


@dataclass(frozen=True, slots=True)
class Control:
    """A pipeline whose workers follow the control topic, with one worker's settings."""

    lines: Stage
    config: Path
    port: int

    def promote(self, package: Path) -> Deployment:
        """Promote on the command line, as an operator does."""
        assert said("model", "promote", package, "-c", self.config).exit_code == 0
        current = self.lines.store.current()
        assert isinstance(current, Deployment)
        return current

    def write(self, value: bytes | None) -> None:
        """Write a record under the pipeline's key."""
        producer = Producer({"bootstrap.servers": self.lines.bootstrap}, logger=SILENT)
        producer.produce(self.lines.topics["control"], value, self.lines.name)
        assert producer.flush(20) == 0

    def status(self) -> Mapping[str, Any]:
        """Return the status of the worker."""
        [worker] = said("model", "status", "-c", self.config, "--json").document["workers"]
        return worker

    def serves(self, version: str) -> Callable[[], bool]:
        """Return a condition: the worker is ready, and serves `version`."""
        return lambda: (now := readyz(self.port)).get("ready", False) and now["model_version"] == version


@pytest.fixture
def control(lines: Stage) -> Control:
    [port] = free_ports(1)
    shortest = {"history_generations": 1, "history_days": 0}
    topic = lines.topics["control"]
    config = lines.config("w-0", port=port, follow="topic", control_topic=topic, **shortest)
    return Control(lines, config, port)


def test_a_worker_starts_with_what_served_last_whatever_the_control_topic_holds(
    control: Control, two_lines: Rehearsed, start_worker: Callable[[Path], Worker]
) -> None:
    wish = control.promote(two_lines.packages[0])
    worker = start_worker(control.config)
    until("it serves", control.serves("1.0.0"), worker)
    assert worker.terminate() == 0
    _, impossible = record(replace(wish, generation=2, package=NOWHERE, previous=None))

    for value, state, told in (
        (b"junk", "waiting", "the control topic holds no deployment"),
        (impossible, "rejected", "there is no 'nowhere' in the store"),
    ):
        control.write(value)
        worker = start_worker(control.config)
        until(f"it serves beside {value!r}", control.serves("1.0.0"), worker)
        now = control.status()

        assert now["state"] == state
        assert told in (now["reason"] or now["rejected"]["reason"])
        if value != impossible:
            assert worker.terminate() == 0

    control.promote(two_lines.packages[1])
    until("it follows again", control.serves("2.0.0"), worker)
    assert worker.terminate() == 0


def test_a_foreign_generation_is_told_and_a_promotion_goes_past_it(
    control: Control, two_lines: Rehearsed, start_worker: Callable[[Path], Worker]
) -> None:
    wish = control.promote(two_lines.packages[0])
    worker = start_worker(control.config)
    until("it serves", control.serves("1.0.0"), worker)

    control.write(record(replace(wish, generation=2**63 - 1))[1])
    until("it refuses the number", lambda: control.status()["state"] == "waiting", worker)
    told = control.status()
    control.write(record(replace(wish, generation=10**9, package=NOWHERE, previous=None))[1])
    until("it refuses the package", lambda: control.status()["state"] == "rejected", worker)
    control.write(record(replace(wish, generation=2))[1])
    until("it waits", lambda: control.status()["state"] == "waiting", worker)
    stale = control.status()

    promoted = said("model", "promote", two_lines.packages[1], "-c", control.config, "--wait", "--json")

    assert promoted.exit_code == 0
    assert promoted.document["generation"] == 10**9 + 1
    assert control.serves("2.0.0")()
    for package in (*two_lines.packages, two_lines.packages[0]):
        assert said("model", "promote", package, "-c", control.config, "--wait").exit_code == 0
    assert worker.terminate() == 0
    kept = control.lines.store.history()
    assert [one.generation for one in kept] == [10**9 + 4, 10**9 + 3]
    assert all((control.lines.store.folder / one.package.uri).is_dir() for one in kept)
    assert "generation: Input should be less than or equal to 1000000000000000" in told["reason"]
    assert (told["generation"], told["model_version"]) == (1, "1.0.0")
    assert "generation 1000000000 was desired before" in stale["reason"]
    assert stale["newest_generation"] == 10**9


def junk(_wish: Deployment, number: int) -> bytes:
    return b"junk %d" % number


def impossible(wish: Deployment, number: int) -> bytes:
    """Return a wish for a package that is not in the store."""
    return record(replace(wish, generation=wish.generation + 1 + number, package=NOWHERE, previous=None))[1]


@pytest.mark.parametrize("value", [junk, impossible])
def test_a_flood_of_wishes_is_told_in_few_lines_and_few_statuses(
    control: Control,
    two_lines: Rehearsed,
    start_worker: Callable[[Path], Worker],
    value: Callable[[Deployment, int], bytes],
) -> None:
    wish = control.promote(two_lines.packages[0])
    worker = start_worker(control.config)
    until("it serves", control.serves("1.0.0"), worker)
    producer = Producer({"bootstrap.servers": control.lines.bootstrap}, logger=SILENT)
    before, count = len(worker.lines()), int(FLOOD_S * A_SECOND) or FLOOD

    started = time.monotonic()
    for number in range(count):
        producer.produce(control.lines.topics["control"], value(wish, number), control.lines.name)
        producer.flush(20)
        time.sleep(max(0.0, started + number * FLOOD_S / count - time.monotonic()))
    took_s = time.monotonic() - started
    until("it tells", lambda: control.status()["state"] in {"waiting", "rejected"}, worker)
    told = worker.lines()[before:]
    statuses = read_all(control.lines.bootstrap, control.lines.topics["status"])

    print(f"{count} records in {took_s:.0f} s: {len(told)} lines, {len(statuses)} statuses")  # noqa: T201 - shown with -s
    assert len(told) <= LINES_A_MINUTE * max(1.0, took_s / MINUTE_S), "\n".join(told)
    assert len(statuses) < count / 10
    assert said("model", "promote", two_lines.packages[1], "-c", control.config, "--wait").exit_code == 0
    assert control.serves("2.0.0")()
    assert worker.terminate() == 0


def test_foreign_keys_take_no_memory_of_a_worker_that_starts(
    control: Control, two_lines: Rehearsed, start_worker: Callable[[Path], Worker]
) -> None:
    control.promote(two_lines.packages[0])
    producer = Producer({"bootstrap.servers": control.lines.bootstrap, "linger.ms": 0}, logger=SILENT)
    for number in range(FOREIGN_BYTES // FOREIGN_VALUE):
        value = secrets.token_bytes(FOREIGN_VALUE)
        producer.produce(control.lines.topics["control"], value, b"foreign %d" % number)
        producer.poll(0)
        if len(producer) > MOST_WAITING:
            producer.flush(60)
    assert producer.flush(60) == 0

    worker = start_worker(control.config)
    until("it serves", control.serves("1.0.0"), worker, within_s=120)
    peak = peak_bytes(worker.pid)
    assert worker.terminate() == 0

    print(f"{FOREIGN_BYTES} bytes of foreign keys: a peak of {peak} bytes")  # noqa: T201 - shown with -s
    assert peak < MOST_MEMORY


def peak_bytes(pid: int) -> int:
    """Return the most memory that a process has had (Linux)."""
    lines = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    [most] = [line.split()[1] for line in lines if line.startswith("VmHWM")]
    return int(most) * 1024
