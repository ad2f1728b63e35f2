"""Packages that must not serve: the one before serves on, and everybody can see why."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from stream_infer.common.durable import replace_file
from stream_infer.models.package import verify
from stream_infer.rollout.deployment import Deployment, PackageRef, format_deployment
from stream_infer.rollout.rehearsal_cache import cache_in_store
from stream_infer.store.history import CURRENT
from tests.conftest import new_topics
from tests.support.broker import Broker
from tests.support.lines import Feeder, Rehearsed, line
from tests.support.models import said
from tests.support.stage import Event, Stage, Told, listening, stage
from tests.support.worker_process import Worker, until
from tests.unit.rollout.packages import (
    differs_when_loaded_again,
    eats_memory,
    exits,
    hangs,
    kills_its_parent,
    touches,
)

# Longer than a rehearsal takes on a busy machine, for only the one that hangs takes that long.
LIMITS = {"rehearsal_timeout_ms": 20_000, "rehearsal_memory_bytes": 2**28}
A_FEW = 200


def flipped_byte(folder: Path, number: int) -> Path:
    path = line(folder, number)
    model = path / "model.joblib"
    data = bytearray(model.read_bytes())
    data[len(data) // 2] ^= 1
    model.write_bytes(bytes(data))
    return path


def half_copied(folder: Path, number: int) -> Path:
    path = line(folder, number)
    (path / "model.joblib").unlink()
    return path


def not_a_package(folder: Path, number: int) -> Path:
    path = folder / f"line-{number}.0.0"
    path.write_text("hello")
    return path


BAD: dict[str, tuple[Callable[[Path, int], Path], str, str]] = {
    "a flipped byte": (flipped_byte, "digest", "model.joblib: SHA-256 or size does not match the manifest"),
    "half copied": (half_copied, "missing_file", "model.joblib is missing"),
    "not a package": (not_a_package, "not_a_package", "neither a folder nor a zip"),
    "wrong features": (lambda f, n: line(f, n, source="z"), "schema", "'z', which is not a field"),
    "another library version": (
        lambda f, n: line(f, n, libraries={"scikit-learn": "0.1.0"}),
        "library_version",
        "made with scikit-learn 0.1.0",
    ),
    "other answers than its golden rows": (lambda f, n: line(f, n, says=0.5), "golden", "golden row"),
    "hangs when it is loaded": (lambda f, n: line(f, n, hangs()), "timeout", "longer than 20 s"),
    "crashes when it is loaded": (lambda f, n: line(f, n, exits()), "crash", "left no report"),
    "takes all memory": (lambda f, n: line(f, n, eats_memory()), "memory", "MemoryError"),
    "other answers in the worker": (
        lambda f, n: line(f, n, differs_when_loaded_again(f / "loaded"), says=2.0),
        "golden",
        "in the worker, unlike in its rehearsal, golden row",
    ),
    # The last one: only the next start of the worker has a fork server again.
    "kills the fork server": (
        lambda f, n: line(f, n, kills_its_parent()),
        "crash",
        "the fork server ended during the rehearsal",
    ),
}
"""How to make one, the code of the refusal, and words of its reason."""


def desire(lines: Stage, path: Path) -> Deployment:
    """Make what is at `path` desired, however broken, as another tool may: `promote` would refuse it."""
    before = lines.store.current()
    assert isinstance(before, Deployment)
    checksum = path / "manifest.sha256"
    digest = checksum.read_text("ascii").split()[0] if checksum.exists() else "0" * 64
    ref = PackageRef("line", path.name.removeprefix("line-"), f"sha256:{digest}", path.name)
    wish = replace(before, generation=before.generation + 1, package=ref, previous=before.package)
    replace_file(lines.store.folder / CURRENT, format_deployment(wish))
    return wish


@dataclass
class Rig:
    """A worker that serves version 1.0.0 of a store, and what it says."""

    lines: Stage
    config: Path
    worker: Worker
    told: Told
    sent: int = 0

    def feed_a_few(self) -> None:
        """Send some events and wait for their answers."""
        with Feeder(self.lines.bootstrap, self.lines.topics["input"], per_s=2 * A_FEW) as feeder:
            until("some are sent", lambda: feeder.sent >= A_FEW, self.worker)
        self.sent += feeder.sent
        until("they are answered", self.lines.answered(self.sent), self.worker)

    def hears(self, kind: str, wish: Deployment) -> Event:
        """Return the first event of that type about `wish`, when it is there."""
        until(f"{kind} of {wish.generation}", self.told.says(kind, wish.generation), self.worker)
        return self.told.events(kind, wish.generation)[0]

    def status(self) -> Any:
        """Return what `model status` says about the one worker."""
        [worker] = said("model", "status", "-c", self.config, "--json").document["workers"]
        return worker

    def restart(self, **limits: int) -> None:
        """Kill the worker and start it again, with these limits."""
        self.worker.kill()
        self.config = self.lines.config("w-0", **limits)
        self.worker = Worker(self.config)


@contextmanager
def rig_of(lines: Stage, **limits: int) -> Iterator[Rig]:
    config = lines.config("w-0", **limits)
    with listening(lines) as told:
        rig = Rig(lines, config, Worker(config), told)
        try:
            yield rig
        finally:
            rig.worker.kill()


@pytest.fixture(scope="module")
def rig(broker: Broker, two_lines: Rehearsed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Return the rig that all bad packages share: none of them may change anything for the next."""
    with new_topics(broker.bootstrap) as topics:
        lines = stage(broker.bootstrap, topics, tmp_path_factory.mktemp("refusals"), two_lines)
        lines.promote(two_lines.packages[0])
        with rig_of(lines, **LIMITS) as made:
            made.feed_a_few()
            yield made


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_package_changes_nothing_and_is_told_of(rig: Rig, kind: str) -> None:
    make, code, words = BAD[kind]
    number = 3 + list(BAD).index(kind)
    bad = make(rig.lines.store.folder, number)

    wish = desire(rig.lines, bad)
    event = rig.hears("model.rejected", wish)
    rig.feed_a_few()
    status = rig.status()
    outcome = rig.lines.outcome()

    assert outcome.faults == []
    assert {one.version for one in outcome.changes} == {"1.0.0"}
    assert (event["model"]["reason_code"], event["model"]["to_version"]) == (code, f"{number}.0.0")
    assert words in event["model"]["reason"]
    assert f"({code})" in event["summary"]
    assert "1.0.0 serves on" in event["summary"]
    assert (status["state"], status["model_version"]) == ("rejected", "1.0.0")
    assert (status["rejected"]["generation"], status["rejected"]["reason_code"]) == (wish.generation, code)
    assert words in status["rejected"]["reason"]
    assert event["summary"] in said("events", "-c", rig.config, "--type", "model.rejected").out


def test_a_worker_that_starts_while_bad_ones_are_desired_serves_what_served(
    lines: Stage, two_lines: Rehearsed, tmp_path: Path
) -> None:
    lines.promote(two_lines.packages[0])
    with rig_of(lines) as rig:
        rig.feed_a_few()
        for number in (3, 4):
            bad = line(tmp_path, number, says=0.5)
            assert said("model", "promote", bad, "-c", rig.config, "--wait").exit_code == 3

        rig.restart()
        wish = lines.store.current()
        assert isinstance(wish, Deployment)
        rig.feed_a_few()
        status = rig.status()

        assert (status["state"], status["model_version"], status["generation"]) == ("rejected", "1.0.0", 0)
        assert (status["rejected"]["generation"], status["rejected"]["reason_code"]) == (3, "golden")

        (tmp_path / "good").mkdir()
        good = line(tmp_path / "good", 4)
        assert said("model", "promote", good, "-c", rig.config, "--wait").exit_code == 0
        rig.feed_a_few()
    outcome = lines.outcome()

    assert outcome.faults == []
    assert {one.version for one in outcome.changes} == {"1.0.0", "4.0.0"}


def test_a_rollback_to_what_was_too_slow_once_is_taken(lines: Stage, two_lines: Rehearsed) -> None:
    one, two = two_lines.packages
    cache_in_store(lines.store.folder).mark_served(verify(one).digest)  # before it was found to be slow
    lines.promote(one)
    with rig_of(lines, rehearsal_batch_ms=0) as rig:
        rig.feed_a_few()
        slow = rig.hears("model.rejected", lines.promote(two))
        rig.restart()
        rig.feed_a_few()
        assert rig.status()["model_version"] == "2.0.0"
        assert said("model", "promote", one, "-c", rig.config, "--wait").exit_code == 0
        rig.restart(rehearsal_batch_ms=0)
        rig.feed_a_few()

        back = said("model", "rollback", "-c", rig.config, "--wait", "--reason", "one is worse")
        rig.feed_a_few()

        assert slow["model"]["reason_code"] == "latency"
        assert back.exit_code == 0
        assert rig.status()["model_version"] == "2.0.0"
    outcome = lines.outcome()

    assert outcome.faults == []
    assert [c.version for c in outcome.changes if c.place[0] == 0] == ["1.0.0", "2.0.0", "1.0.0", "2.0.0"]


# More than a linear model takes beside the pages of the libraries, which are shared with the worker.
SMALL = {"rehearsal_memory_bytes": 2**24}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks")
@pytest.mark.parametrize("killed", ["worker", "fork server"])
def test_rehearsals_are_forked_off_a_process_and_end_with_it_and_with_the_worker(
    lines: Stage, two_lines: Rehearsed, tmp_path: Path, killed: str
) -> None:
    lines.promote(two_lines.packages[0])
    with rig_of(lines, **SMALL) as rig:
        rig.feed_a_few()
        [server] = psutil.Process(rig.worker.pid).children()
        loading = tmp_path / "loading"
        wish = desire(lines, line(lines.store.folder, 3, touches(loading, hangs())))
        until("it is loaded", lambda: loading.exists() and loading.read_text() != "", rig.worker)
        child = psutil.Process(int(loading.read_text()))
        forked_by = child.ppid()

        if killed == "worker":
            rig.worker.kill()
        else:
            server.kill()
            refused = rig.hears("model.rejected", wish)["model"]["reason_code"]
            rig.feed_a_few()
            assert (refused, rig.status()["model_version"]) == ("crash", "1.0.0")
        # The worker reaps the server when it is asked for the next rehearsal.
        _gone, left = psutil.wait_procs([child, *([server] if killed == "worker" else [])], timeout=20)

    assert forked_by == server.pid
    assert left == []
