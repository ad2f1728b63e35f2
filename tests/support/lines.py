"""Packages whose models disagree on every event: version N.0.0 answers N times x. And events to send them."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from confluent_kafka import Producer

from stream_infer.rollout.reconcile import Gates
from stream_infer.rollout.rehearsal import Rehearsal
from stream_infer.rollout.rehearsal_cache import cache_in_store
from stream_infer.rollout.rehearsal_task import RehearsalLimits
from tests.support.clients import SILENT
from tests.unit.rollout.packages import package

PARTITIONS = 4
SLOPES: Mapping[str, float] = {f"{number}.0.0": float(number) for number in range(1, 20)}
_UNREADABLE_EVERY = 97
_TICK_S = 0.02
_SENT_WITHIN_S = 30.0


def line(folder: Path, number: int, model: object = None, **changes: Any) -> Path:
    """Write version `number`.0.0 into `folder` and return where it is; with `model`, one that does harm."""
    version = f"{number}.0.0"
    path = folder / f"line-{version}"
    package(path, SLOPES[version], model, version=version, **changes)
    return path


@dataclass(frozen=True, slots=True)
class Rehearsed:
    """Two packages, and a store whose rehearsal cache has passed both."""

    packages: tuple[Path, Path]
    store: Path


def rehearse(folder: Path) -> Rehearsed:
    """Make two packages and rehearse them as a worker does."""
    found = Rehearsed((line(folder, 1), line(folder, 2)), folder)
    rehearsal = Rehearsal(RehearsalLimits(), cache_in_store(folder))
    for path in found.packages:
        digest = f"sha256:{(path / 'manifest.sha256').read_text('ascii').split()[0]}"
        rehearsal(path, digest, gates=Gates.ALL, cancelled=bool)
    return found


def event(x: float) -> bytes:
    """Return the datum of an event: two doubles."""
    return struct.pack("<dd", x, 0.0)


def x_of(value: bytes | None) -> float | None:
    """Return the x of an event, or None where it cannot be read."""
    return struct.unpack("<dd", value)[0] if value is not None and len(value) == len(event(0.0)) else None


class Feeder:
    """Sends events at a steady rate, in a thread, to all partitions in turn, one in 97 of them cut short."""

    def __init__(self, bootstrap: str, topic: str, *, per_s: int) -> None:
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "linger.ms": 2, "enable.idempotence": True}, logger=SILENT
        )
        self._topic = topic
        self._per_tick = max(1, int(per_s * _TICK_S))
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._feed, name="feeder", daemon=True)
        self.sent = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._enough.set()
        self._thread.join()
        left = self._producer.flush(_SENT_WITHIN_S)
        if left and kind is None:
            raise RuntimeError(f"{left} events were not sent")

    def _feed(self) -> None:
        rng = np.random.default_rng(5)
        while not self._enough.wait(_TICK_S):
            for x in rng.uniform(1.0, 100.0, self._per_tick).tolist():
                whole = event(x)
                value = whole[:-3] if self.sent % _UNREADABLE_EVERY == 0 else whole
                self._producer.produce(self._topic, value, partition=self.sent % PARTITIONS)
                self.sent += 1
            self._producer.poll(0)


@contextmanager
def together(*threads: threading.Thread) -> Iterator[None]:
    """Run threads while the block runs, and wait for their ends."""
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        for thread in threads:
            thread.join()
