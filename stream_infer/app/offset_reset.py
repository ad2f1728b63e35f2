"""`offsets reset`: where the group of a pipeline reads on, and what it answers again or skips by that."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from stream_infer.app.kit.member import GroupMember
from stream_infer.config.settings import Settings
from stream_infer.flow.errors import Fatal, Misconfigured, Problem
from stream_infer.flow.records import Partition
from stream_infer.kafka.group_offsets import GroupOffsets, group_offsets
from stream_infer.kafka.groups import all_members
from stream_infer.kafka.ranges import END, START, RangeBound
from stream_infer.kafka.topic_ids import TopicIds, asking

_LOOK_EVERY_S = 0.5
_BEYOND_SESSION_S = 10.0


@dataclass(frozen=True, slots=True)
class OffsetMove:
    """A partition, the offset that is committed for it, if any, and the one to commit.

    `target` is of the topic with the id `topic_id`: in one that is created later it would not count.
    `again` and `skipped` are offsets: up to so many events, since markers of transactions have offsets too.
    """

    partition: Partition
    committed: int | None
    target: int
    again: int
    skipped: int
    topic_id: str


def plan_reset(settings: Settings, to: RangeBound | Mapping[Partition, int]) -> Sequence[OffsetMove]:
    """Return the move of each partition to `to`: a place in every log, or offsets of some partitions.

    Changes nothing. Raises `Misconfigured` for a partition or an offset that the input does not have, and
    what `GroupOffsets` raises.
    """
    with _offsets(settings) as offsets:
        committed, first, end = offsets.committed(), offsets.at(START), offsets.at(END)
        targets = offsets.at(to) if isinstance(to, RangeBound) else to
        ids = {p: offsets.topic_id(p) for p in targets}
    problems = [
        Problem("--to", f"{p.topic}/{p.index}/{offset}", _outside(p, first, end), "name an offset of the log")
        for p, offset in targets.items()
        if p not in end or not first[p] <= offset <= end[p]
    ]
    if problems:
        raise Misconfigured(problems)
    return [_move(p, committed[p], first[p], target, ids[p]) for p, target in sorted(targets.items())]


def apply_reset(settings: Settings, moves: Sequence[OffsetMove]) -> None:
    """Commit the targets. Raises `Fatal` where a worker has joined the group meanwhile."""
    with _offsets(settings) as offsets:
        offsets.commit(
            {move.partition: move.target for move in moves},
            {move.partition: move.topic_id for move in moves},
        )


def require_no_members(settings: Settings, *, wait: bool) -> None:
    """Raise `Fatal` while the group has members; with `wait` only when it has some after their session.

    A static member does not leave: one that was stopped stays in the group until its session has timed out.
    """
    session_s = int(_member(settings).consumer_config()["session.timeout.ms"]) / 1000
    deadline = time.monotonic() + (session_s + _BEYOND_SESSION_S if wait else 0.0)
    while names := all_members(settings.kafka, settings.group_id):
        if time.monotonic() < deadline:
            time.sleep(_LOOK_EVERY_S)
            continue
        reason = f"the group {settings.group_id} has members: {', '.join(sorted(names))}"
        advice = "stop these workers first" if wait else "stop them, and ask again after that, or with --wait"
        stays = f"A worker that was stopped stays a member until its session has timed out ({session_s:g} s)"
        raise Fatal(f"{reason}. {stays}: {advice}")


def _member(settings: Settings) -> GroupMember:
    return GroupMember(settings.kafka, settings.group_id, settings.worker.slot)


def _offsets(settings: Settings) -> AbstractContextManager[GroupOffsets]:
    topics = settings.input.topics
    ids = TopicIds(asking(settings.kafka), topics, stopping=lambda: False)
    return group_offsets(_member(settings).consumer_config(), topics, ids)


def _move(partition: Partition, committed: int | None, first: int, target: int, topic_id: str) -> OffsetMove:
    reads_on = first if committed is None else max(committed, first)
    again = 0 if committed is None else max(0, committed - target)
    return OffsetMove(partition, committed, target, again, max(0, target - reads_on), topic_id)


def _outside(partition: Partition, first: Mapping[Partition, int], end: Mapping[Partition, int]) -> str:
    if partition not in end:
        return "the input has no such partition"
    return f"the log holds {first[partition]} to {end[partition]}"
