"""What benchmarks on a broker stand on: the broker, topics, workloads, and backlogs that are filled once.

Everything that is started here is stopped when the block ends, also on Ctrl-C and SIGTERM.
"""

from __future__ import annotations

import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import material
from benchmarks.job import Job, write_pool
from benchmarks.material import Material
from benchmarks.predictions import predictions
from benchmarks.topics import Topics
from tests.support.broker import running_broker


@dataclass(frozen=True, slots=True)
class Workload:
    """Events with a model for them, and the job that a contestant gets: its topics are still to be named."""

    made: Material
    job: Job


@dataclass(frozen=True, slots=True)
class Arena:
    """A broker, its topics, and a folder that goes when the block ends."""

    topics: Topics
    folder: Path
    _made: dict[tuple[str, int, int], Workload] = field(default_factory=dict)
    _filled: dict[tuple[str, int, int], str] = field(default_factory=dict)

    def workload(
        self, *, model: str = "linear", features: int = material.FEATURES, size_bytes: int = 100
    ) -> Workload:
        """Return a packaged model, events for it, and the predictions that a bare copy writes."""
        key = model, features, size_bytes
        if key not in self._made:
            folder = self.folder / f"{model}-{features}-{size_bytes}"
            made = material.make(folder, model=model, features=features, size_bytes=size_bytes)
            pool = folder / "pool.json"
            write_pool(pool, predictions(made))
            job = Job(
                bootstrap=self.topics.bootstrap,
                schema=str(made.schema),
                estimator=str(made.estimator),
                package=str(made.package),
                pool=str(pool),
            )
            self._made[key] = Workload(made, job)
        return self._made[key]

    def backlog(self, kind: str, values: Sequence[bytes], count: int, partitions: int) -> str:
        """Return the topic that holds `count` events of this `kind`, made of `values` at the first call."""
        key = kind, count, partitions
        if key not in self._filled:
            topic = self.topics.create("input", partitions)
            self.topics.fill(topic, values, count, partitions)
            self._filled[key] = topic
        return self._filled[key]

    def forget_backlogs(self) -> None:
        """Remove the topics that `backlog` has filled."""
        self.topics.remove(*self._filled.values())
        self._filled.clear()


@contextmanager
def arena() -> Iterator[Arena]:
    """Hold a broker of one's own, or the one that `STREAM_INFER_TEST_BOOTSTRAP` names."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that whatever was started is ended
    with (
        running_broker() as broker,
        Topics(broker.bootstrap) as topics,
        tempfile.TemporaryDirectory(prefix="stream-infer-benchmark-") as folder,
    ):
        yield Arena(topics, Path(folder))
