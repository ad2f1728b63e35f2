"""Workers as processes of `stream-infer run`, observed from outside."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from stream_infer.kafka.admin_requests import AdminRequests
from stream_infer.kafka.client import Properties
from tests.support.clients import SILENT
from tests.support.log import partitions_of
from tests.support.pipeline import Pipeline
from tests.support.stage import Stage

_ANSWER_WITHIN_S = 10.0
_TICK_S = 0.05
_LEAVES_WITHIN_S = 60.0
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
        return "\n".join(self.lines()[-_LOG_LINES:])

    def lines(self) -> list[str]:
        """Return all lines of the worker's output."""
        return self._log.read_text(encoding="utf-8", errors="replace").splitlines()

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
        properties = Properties({"bootstrap.servers": pipeline.bootstrap})
        self._requests = AdminRequests(properties, _ANSWER_WITHIN_S)
        topic = pipeline.input if isinstance(pipeline, Pipeline) else pipeline.topics["input"]
        self._partitions = [TopicPartition(topic, i) for i in partitions_of(pipeline.bootstrap, topic)]
        # It never joins. Offsets that an open transaction holds are told as they were before.
        reader = {"group.id": self._name, "isolation.level": "read_uncommitted"}
        self._reader = Consumer({"bootstrap.servers": pipeline.bootstrap, **reader}, logger=SILENT)

    def committed(self) -> int:
        """Return the sum of the committed offsets: the number of answered records."""
        answer = self._reader.committed(self._partitions, timeout=_ANSWER_WITHIN_S)
        return sum(max(place.offset, 0) for place in answer)

    def members(self) -> dict[str, int]:
        """Return the number of partitions of each member by its client id; nobody for an unknown group.

        Raises `BrokerUnreachable`, or `KafkaException` while the coordinator comes back.
        """
        group = self._requests.describe_groups([self._name])[self._name]
        if isinstance(group, KafkaError):
            if group.code() != KafkaError.GROUP_ID_NOT_FOUND:
                raise KafkaException(group)
            return {}
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
