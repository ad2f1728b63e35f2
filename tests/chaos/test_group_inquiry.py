"""Questions about a group while its broker is away and comes back, in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conftest import own_cluster
from tests.support.cluster import Cluster

_ASKS = """
import sys
from stream_infer.flow.errors import BrokerUnreachable
from stream_infer.kafka.client import Properties
from stream_infer.kafka.foreign_members import GroupInquiry

inquiry = GroupInquiry(Properties({"bootstrap.servers": sys.argv[1]}), "asked.about", timeout_s=1.0)
for _ in sys.stdin:
    try:
        inquiry.ask()
        print("answered", flush=True)
    except BrokerUnreachable:
        print("silence", flush=True)
"""


class Asking:
    """A process that asks once for each line it gets."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(self) -> str:
        """Return the answer; an empty text when the process has ended."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip()

    def until(self, wanted: str, *, questions: int = 90) -> None:
        """Ask until the answer is `wanted`."""
        answers = (self.ask() for _ in range(questions))
        for answer in answers:
            if answer == wanted:
                return
            assert answer, f"the process ended with {self._process.wait()}"
        raise AssertionError(f"{questions} questions and no {wanted}")

    def end(self) -> int:
        """Let the process end by itself; return its exit code."""
        self._process.communicate()
        return self._process.returncode


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    with own_cluster() as running:
        yield running


@pytest.fixture
def asking(cluster: Cluster) -> Iterator[Asking]:
    command = [sys.executable, "-c", _ASKS, cluster.bootstrap]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        yield Asking(process)
        process.kill()


def test_a_group_is_asked_about_while_its_coordinator_is_away_and_after_it_came_back(
    cluster: Cluster, asking: Asking
) -> None:
    cluster.kill(0)
    asking.until("silence")
    asking.until("silence")
    cluster.start(0)

    asking.until("answered")
    asking.until("answered")
    assert asking.end() == 0
