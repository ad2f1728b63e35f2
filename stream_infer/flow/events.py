"""Events for observers: frozen facts, a handful per batch, never one per record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

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
    """A batch was not made durable and is read again; `partitions` are those that it has records of."""

    records: int
    reason: str
    partitions: tuple[Partition, ...]


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
class AssignmentDelayed:
    """Assigned partitions whose first offset the broker does not tell, and why; none when all are read."""

    waiting: tuple[Partition, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class ReadingBegins:
    """The offsets from which newly assigned partitions are read."""

    offsets: Mapping[Partition, int]


@dataclass(frozen=True, slots=True)
class GroupBegun:
    """The offsets at which a group begins that had none before."""

    offsets: Mapping[Partition, int]


@dataclass(frozen=True, slots=True)
class OffsetsLost:
    """Offsets that the log of their topic does not have any more: why, and where reading goes on.

    The topic was truncated, or deleted and recreated, or retention has deleted the records. With `waits` the
    partitions are not read until someone decides, and are in `PartitionsHalted` too.
    """

    reasons: Mapping[Partition, str]
    offsets: Mapping[Partition, int]
    waits: bool


@dataclass(frozen=True, slots=True)
class TopicsMissing:
    """The input topics that do not exist now; none when all of them are back."""

    topics: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SlotRejoined:
    """The worker joined the group anew under its slot: its member was fenced, or got no assignment."""

    reason: str


@dataclass(frozen=True, slots=True)
class ProducerRenewed:
    """The producer was replaced by one with a new epoch, because the one before was in doubt."""

    reason: str
    renew_s: float


@dataclass(frozen=True, slots=True)
class ClientFailed:
    """A Kafka client reported a failure, such as brokers that are away; it goes on trying by itself."""

    reason: str


@dataclass(frozen=True, slots=True)
class LagMeasured:
    """How many records behind the end of its partitions the worker is."""

    lag_records: Mapping[Partition, int]


class PauseCause(StrEnum):
    """What paused partitions wait for."""

    WRITER_SCHEMA = "writer schema"
    OUTPUT_PARTITION = "output partition"


@dataclass(frozen=True, slots=True)
class PartitionsPaused:
    """The partitions that are not read on for one cause, and why; none when all of them go on again."""

    cause: PauseCause
    paused: tuple[Partition, ...]
    reason: str


@dataclass(frozen=True, slots=True)
class PartitionsHalted:
    """The owned partitions that are not read until someone decides, and why; the others go on."""

    reasons: Mapping[Partition, str]


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
    | AssignmentDelayed
    | ReadingBegins
    | GroupBegun
    | OffsetsLost
    | TopicsMissing
    | SlotRejoined
    | ProducerRenewed
    | ClientFailed
    | LagMeasured
    | PartitionsPaused
    | PartitionsHalted
    | Degraded
    | Paced
)
