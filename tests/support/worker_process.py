"""Workers as processes of `stream-infer run`, observed from outside."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import ConsumerGroupTopicPartitions

from tests.support.clients import admin
from tests.support.pipeline import Pipeline
from tests.support.stage import Stage

_ANSWER_WITHIN_S = 20.0
_TICK_S = 0.05
_LEAVES_WITHIN_S = 20.0
_LOG_LINES = 30


class Worker:
    """One process. It appends its output to a log file next to its settings."""

    def __init__(self, config: Path, *options: str) -> None:
        self._log = config.with_suffix(".log")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "stream_infer.cli.main", "run", "-c", str(config), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def output(self) -> str:
        """Return the last lines of the worker's output."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_LOG_LINES:])

    def check_alive(self) -> None:
        """Fail with the worker's output if it has ended by itself."""
        if self._process.poll() is not None:
            raise AssertionError(f"the worker ended with {self._process.returncode}:\n{self.output()}")

    def terminate(self) -> int:
        """Send SIGTERM; return the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def send_signal(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        self._process.send_signal(number)

    def kill(self) -> int:
        """Send SIGKILL; return the exit code, minus the signal's number."""
        self._process.kill()
        return self.wait()

    def wait(self, within_s: float = _LEAVES_WITHIN_S) -> int:
        """Wait for the end of the worker; return its exit code."""
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired as late:
            raise AssertionError(f"the worker did not end in {within_s} s:\n{self.output()}") from late


class Group:
    """The consumer group of a pipeline, as the broker reports it."""

    def __init__(self, pipeline: Pipeline | Stage) -> None:
        self._name = pipeline.group
        self._admin = admin(pipeline.bootstrap)

    def committed(self) -> int:
        """Return the sum of the committed offsets: the number of answered records."""
        request = [ConsumerGroupTopicPartitions(self._name)]
        answer = self._admin.list_consumer_group_offsets(request)[self._name].result(_ANSWER_WITHIN_S)
        return sum(max(place.offset, 0) for place in answer.topic_partitions)

    def members(self) -> dict[str, int]:
        """Return the number of partitions of each member by its client id."""
        group = self._admin.describe_consumer_groups([self._name])[self._name].result(_ANSWER_WITHIN_S)
        return {member.client_id: len(member.assignment.topic_partitions) for member in group.members}


def until(what: str, reached: Callable[[], bool], *workers: Worker, within_s: float = 60.0) -> None:
    """Wait until `reached()` is true; fail when a worker ends before, or after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    tick = threading.Event()
    while not reached():
        for worker in workers:
            worker.check_alive()
        if time.monotonic() > deadline:
            printed = "\n".join(worker.output() for worker in workers)
            raise AssertionError(f"not within {within_s} s: {what}\n{printed}")
        tick.wait(_TICK_S)
