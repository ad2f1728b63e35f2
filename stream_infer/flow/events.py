"""Events for observers: frozen facts, a handful per batch, never one per record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stream_infer.flow.records import Partition


@dataclass(frozen=True, slots=True)
class BatchCommitted:
    """A batch became durable. `rejected` counts dead letters by (stage, class); durations in seconds."""

    records: int
    predicted: int
    skipped: int
    rejected: Mapping[tuple[str, str], int]
    model_version: str
    step_s: float
    commit_s: float


@dataclass(frozen=True, slots=True)
class BatchAborted:
    """A batch was not made durable and is read again."""

    records: int
    reason: str


@dataclass(frozen=True, slots=True)
class ReadFinished:
    """A read returned, with or without records: the loop is alive."""

    records: int
    read_s: float


@dataclass(frozen=True, slots=True)
class AssignmentChanged:
    """The partitions that this worker owns now, and the kind of change: assigned, revoked or lost."""

    kind: str
    owned: tuple[Partition, ...]


@dataclass(frozen=True, slots=True)
class ProducerRenewed:
    """The producer was replaced by one with a new epoch, because the one before was in doubt."""

    reason: str
    renew_s: float


@dataclass(frozen=True, slots=True)
class LagMeasured:
    """How many records behind the end of its partitions the worker is."""

    lag_records: Mapping[Partition, int]


@dataclass(frozen=True, slots=True)
class PartitionsPaused:
    """The partitions that are not read on for now, and why; none when all go on again."""

    paused: tuple[Partition, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class Paced:
    """How large the next batch may be and how long to wait for it, and the costs that led there.

    A batch is expected to take `batch_s` whatever is in it, and `record_s` a record; `behind` says that the
    last one was full.
    """

    limit_records: int
    interval_s: float
    behind: bool
    batch_s: float
    record_s: float


@dataclass(frozen=True, slots=True)
class Degraded:
    """Scoring goes on without a part of its monitoring; `reasons` say why, and are empty when it is back.

    `held_records` are outputs that wait until their topic takes records again.
    """

    reasons: tuple[str, ...]
    held_records: int


Event = (
    BatchCommitted
    | BatchAborted
    | ReadFinished
    | AssignmentChanged
    | ProducerRenewed
    | LagMeasured
    | PartitionsPaused
    | Degraded
    | Paced
)
