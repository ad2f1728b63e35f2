"""The monitoring topic of a replay: events come back to the step, and commands where they took effect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from stream_infer.flow.codes import EventType
from stream_infer.flow.records import Batch, Channel, Cursor, Outcome, Partition
from stream_infer.kafka.batch_parts import batch_of_rows
from stream_infer.steps.monitoring.event_record import Event
from stream_infer.steps.monitoring.incident_command import REFUSED

_FIRST = 0
"""The partition of observations whose offsets say where a command took effect."""


@dataclass(frozen=True, slots=True)
class PlacedCommand:
    """The record of a command, and the offset of the observation before which it took effect."""

    before: int
    value: bytes


@dataclass(slots=True)
class ReplayedTopic:
    """What the step reads of the topic `name` beside observations; `commands` are in the order of places."""

    name: str
    commands: list[PlacedCommand] = field(default_factory=list)
    _unread: list[bytes] = field(default_factory=list)
    _next: int = 0

    def parts(self, batch: Batch) -> Iterator[Batch]:
        """Yield the batches of which the step makes of `batch` what the monitor made of it."""
        rest: Batch | None = batch
        while rest is not None and self.commands:
            offsets = [o for o, p in zip(rest.offset, rest.partition, strict=True) if self._is_first(rest, p)]
            if not offsets or offsets[-1] < self.commands[0].before:
                break
            earlier, rest = _divided(rest, self.commands[0].before)
            if earlier is not None:
                yield earlier
            self._unread.append(self.commands.pop(0).value)
            yield self._read_back(batch)
        if rest is not None:
            yield rest

    def take(self, outcome: Outcome) -> None:
        """Let the events of `outcome` come back with the next command."""
        events = [v for out in outcome.outputs if out.channel is Channel.EVENTS for v in out.values]
        self._unread += [value for value in events if value is not None]

    def _read_back(self, batch: Batch) -> Batch:
        values, self._unread = self._unread, []
        count, first = len(values), self._next
        self._next += count
        return Batch(
            cursor=Cursor({}),
            partitions=[Partition(self.name, 0)],
            partition=[0] * count,
            offset=list(range(first, first + count)),
            timestamp_ms=[batch.received_ms] * count,
            keys=[None] * count,
            values=list(values),
            headers=[None] * count,
            received_ms=batch.received_ms,
        )

    @staticmethod
    def _is_first(batch: Batch, place: int) -> bool:
        return batch.partitions[place].index == _FIRST


def placed_commands(records: Sequence[tuple[Event, bytes]]) -> list[PlacedCommand]:
    """Return the commands that a monitor has done, in the order in which it did so."""
    values = {event["id"]: value for event, value in records if event["type"] == EventType.INCIDENT_COMMAND}
    replies = [event["attributes"] for event, _ in records if event["type"] == EventType.INCIDENT_REPLY]
    done = [one for one in replies if one.get("result") != REFUSED and one.get("command") in values]
    placed = [PlacedCommand(int(one["before_observation"]), values[one["command"]]) for one in done]
    return sorted(placed, key=lambda one: one.before)


def _divided(batch: Batch, before: int) -> tuple[Batch | None, Batch | None]:
    """Return the rows of `batch` before an offset of the first partition, and the others."""
    row = next(
        row
        for row, (offset, place) in enumerate(zip(batch.offset, batch.partition, strict=True))
        if offset >= before and batch.partitions[place].index == _FIRST
    )
    earlier = batch_of_rows(batch, range(row)) if row else None
    return earlier, batch_of_rows(batch, range(row, len(batch)))
