"""`stream-infer events` and `backtest`: monitoring events, those there are and those there would be.

Reading is in `app.monitoring_events`, replaying in `app.backtest`. Both are imported inside the commands, so
that `--help` answers at once.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from stream_infer.cli.options import ConfigFile
from stream_infer.common.clock import to_unix_ms, unix_ms
from stream_infer.flow.errors import Misconfigured, Problem

_CONFIG = Path("worker.toml")
_AGE = re.compile(r"(\d+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def add_event_commands(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("events")(events_command)
    app.command("backtest")(backtest_command)


def events_command(
    *,
    config: ConfigFile = _CONFIG,
    follow: Annotated[bool, typer.Option("--follow", help="Go on with what comes, until Ctrl-C.")] = False,
    types: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="TYPE", help="Only these, like drift.detected; may be repeated."),
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="2026-01-31T00:00:00Z, or an age: 90s, 15m, 2h, 7d.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
) -> None:
    """Show the monitoring events of the pipeline: models that change, drift, quality."""
    from stream_infer.app.event_text import event_text  # noqa: PLC0415 - as the readers of events
    from stream_infer.app.monitoring_events import EventFilter, follow_events, read_events  # noqa: PLC0415 - imports fastavro
    from stream_infer.config.settings import load_settings  # noqa: PLC0415 - imports the Kafka client

    settings = load_settings(config, os.environ)
    since_ms = 0 if since is None else moment_ms(since, unix_ms())
    wanted = EventFilter(since_ms, frozenset(types or ()))
    for event in (follow_events if follow else read_events)(settings, wanted):
        if event is None:
            typer.echo("warning: a record is no event that this version can read", err=True)
        else:
            typer.echo(as_line(event) if as_json else event_text(event))


def backtest_command(
    *,
    config: ConfigFile = _CONFIG,
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="WHEN", help="A moment, an age as 7d, or an offset. [first frame]"),
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="WHEN", help="Where to end, likewise. [last frame]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Replay what scorers have seen, and show which events this configuration would have raised."""
    from stream_infer.app.backtest import as_document  # noqa: PLC0415 - imports river
    from stream_infer.app.backtest import run_backtest as replay  # noqa: PLC0415 - as above
    from stream_infer.app.event_text import event_text  # noqa: PLC0415 - as above
    from stream_infer.config.settings import load_settings  # noqa: PLC0415 - imports the Kafka client
    from stream_infer.kafka.ranges import END, START, RangeBound  # noqa: PLC0415 - as above

    def place(option: str, when: str) -> RangeBound:
        if when.isascii() and when.isdigit():
            return RangeBound(offset=int(when))
        return RangeBound(moment_ms=moment_ms(when, unix_ms(), option))

    settings = load_settings(config, os.environ)
    begin = START if first is None else place("--from", first)
    done = replay(settings, begin, END if last is None else place("--to", last))
    if as_json:
        typer.echo(json.dumps(_finite(as_document(done)), ensure_ascii=False))
        return
    for event in done.events:
        typer.echo(event_text(event))
    typer.echo(
        f"{done.incidents} incidents in {done.frames} frames of {done.records} records"
        + (f"; {done.unreadable} frames could not be read" if done.unreadable else "")
    )


def moment_ms(when: str, now_ms: int, option: str = "--since") -> int:
    """Return the Unix milliseconds of a moment with its time zone, or of an age before `now_ms`.

    Raises `Misconfigured` for anything else.
    """
    age = _AGE.fullmatch(when)
    if age is not None:
        return now_ms - int(age[1]) * _SECONDS[age[2]] * 1000
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        what = "is neither an age nor a moment" if moment is None else "names no time zone"
        raise Misconfigured([Problem(option, when, what, "for example 15m, 2h, 7d, 2026-01-31T00:00:00Z")])
    return to_unix_ms(moment)


def as_line(event: Mapping[str, Any]) -> str:
    """Return the event as one JSON object, every field in it; a number that JSON has not, as null."""
    return json.dumps(_finite(event), ensure_ascii=False)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value
