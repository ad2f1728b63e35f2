"""The vocabulary of the stream: partitions, batches of records, and their outcomes.

Plain values only. Nothing here reads, writes, decodes or knows a vendor.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from stream_infer.flow.codes import DeadLetterClass

Header = tuple[str, bytes | None]
Headers = Sequence[Header]


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One ordered log of records: a topic and a partition index."""

    topic: str
    index: int


class Span(NamedTuple):
    """A half-open range of offsets: `first` is in the batch, `next` is where reading goes on."""

    first: int
    next: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """The offsets of a batch, and the right to commit them.

    `lease` belongs to the source and sink that share it (Kafka: assignment epoch and group metadata of the
    read); everyone in between passes it on unread.
    """

    spans: Mapping[Partition, Span]
    lease: object = None


@dataclass(frozen=True, slots=True)
class Batch:
    """`len(batch)` records in columns, in the order read; in offset order within a partition.

    `partition[i]` indexes `partitions`. `timestamp_ms` is the record's own timestamp, `received_ms` the wall
    clock at which the batch was read (both Unix milliseconds). A null value is a tombstone.

    `unreadable_headers` are the rows whose headers cannot be decoded; `headers` has None there.

    `positions` is the next offset of every partition that the reader owns, at the moment before this batch;
    `assignment` counts how often what it owns has changed. `topic_ids` has the id of the topic that these
    offsets belong to; a topic that was deleted and recreated has another id. `ended` are the partitions that
    had nothing more to read after this batch.
    """

    cursor: Cursor
    partitions: Sequence[Partition]
    partition: Sequence[int]
    offset: Sequence[int]
    timestamp_ms: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: Sequence[Headers | None]
    received_ms: int
    unreadable_headers: Collection[int] = ()
    positions: Mapping[Partition, int] = field(default_factory=dict)
    assignment: int = 0
    topic_ids: Mapping[Partition, str] = field(default_factory=dict)
    ended: Collection[Partition] = ()

    def __len__(self) -> int:
        return len(self.values)

    def source(self, row: int) -> Partition:
        """Return the partition that row `row` was read from."""
        return self.partitions[self.partition[row]]

    def time_ms(self, row: int) -> int:
        """Return the record's own time; one that is missing, negative or still to come is that of the read.

        A time from the future would make all others old.
        """
        time_ms = self.timestamp_ms[row]
        return min(time_ms, self.received_ms) if time_ms >= 0 else self.received_ms


class Stage(StrEnum):
    """The stage of scoring that turned a record away."""

    DECODE = "decode"
    VALIDATE = "validate"
    PREDICT = "predict"
    ENCODE = "encode"
    PROCESS = "process"


@dataclass(frozen=True, slots=True)
class Rejected:
    """Why row `row` of a batch gets a dead letter: stage, stable class, one sentence without payload."""

    row: int
    stage: Stage
    error_class: DeadLetterClass
    message: str


class Channel(StrEnum):
    """Where an output goes. A sink maps each channel to a topic, a file or a table."""

    PREDICTIONS = "predictions"
    DEAD_LETTERS = "dead_letters"
    EVENTS = "events"
    OBSERVATIONS = "observations"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Output:
    """Records for one channel, in columns.

    `rows[i]` is the row of the batch that record `i` answers; empty where the records answer no row.
    `partitions[i]` is the wanted partition index; `partitions=None` leaves it to the key.
    """

    channel: Channel
    rows: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: Sequence[Headers | None]
    partitions: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything a batch led to, to be made durable together with its cursor.

    `predicted + len(rejected) + skipped` is the size of the batch. `degraded` are the reasons why outputs of
    monitoring are incomplete; the predictions are not.
    """

    cursor: Cursor
    outputs: Sequence[Output]
    predicted: int
    rejected: Sequence[Rejected]
    skipped: int
    model_version: str
    degraded: Sequence[str] = ()
