"""The work and the output of `stream-infer offsets reset`. Options are in `offsets`."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

from stream_infer.app.offset_reset import OffsetMove, apply_reset, plan_reset, require_no_members
from stream_infer.cli.events import moment_ms
from stream_infer.cli.offsets import ResetOptions
from stream_infer.cli.output import say, say_json
from stream_infer.cli.printing import table
from stream_infer.common.clock import unix_ms
from stream_infer.config.settings import load_settings
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.flow.records import Partition
from stream_infer.kafka.ranges import END, START, RangeBound

_OPTION = "--to"
_PLACES = {"earliest": START, "latest": END}
_EVENT_ID = re.compile(r"(?P<topic>[^/,]+)/(?P<partition>[0-9]+)/(?P<offset>[0-9]+)")


def reset(options: ResetOptions) -> None:
    """Show the plan, and with --yes commit it. Raises `Fatal` while the group has members."""
    settings = load_settings(options.config, os.environ)
    to = parse_place(options.to)
    require_no_members(settings, wait=options.wait)
    moves = plan_reset(settings, to)
    if options.yes:
        apply_reset(settings, moves)
    if options.as_json:
        partitions = [_document(move) for move in moves]
        say_json({"group": settings.group_id, "applied": options.yes, "partitions": partitions})
        return
    table(settings.group_id, ("partition", "committed", "reset to", "effect"), [_row(m) for m in moves])
    say("these offsets are set" if options.yes else "nothing is changed; --yes sets these offsets")


def parse_place(where: str) -> RangeBound | Mapping[Partition, int]:
    """Return a place in every partition, or the offsets that ids of events name. Raises `Misconfigured`."""
    if where in _PLACES:
        return _PLACES[where]
    if "/" not in where:
        return RangeBound(moment_ms=moment_ms(where, unix_ms(), _OPTION))
    offsets: dict[Partition, int] = {}
    for text in where.split(","):
        found = _EVENT_ID.fullmatch(text.strip())
        if found is None:
            fix = "write TOPIC/PARTITION/OFFSET, for example payments.events/0/1200"
            raise Misconfigured([Problem(_OPTION, text, "is not the id of an event", fix)])
        offsets[Partition(found["topic"], int(found["partition"]))] = int(found["offset"])
    return offsets


def _document(move: OffsetMove) -> dict[str, object]:
    return {
        "topic": move.partition.topic,
        "partition": move.partition.index,
        "committed": move.committed,
        "target": move.target,
        "again": move.again,
        "skipped": move.skipped,
    }


def _row(move: OffsetMove) -> tuple[str, str, str, str]:
    partition = f"{move.partition.topic}/{move.partition.index}"
    committed = "none" if move.committed is None else str(move.committed)
    return partition, committed, str(move.target), _effect(move)


def _effect(move: OffsetMove) -> str:
    if move.again:
        return f"up to {move.again} events are answered again"
    return f"up to {move.skipped} events are skipped" if move.skipped else "none"
