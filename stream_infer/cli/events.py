"""`stream-infer events`: the monitoring topic as sentences, or as JSON. Reading it is in `app.events`.

That module is imported inside the command, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from stream_infer.cli.worker import ConfigFile
from stream_infer.flow.errors import Misconfigured, Problem

_CONFIG = Path("worker.toml")
_AGE = re.compile(r"(\d+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command()(events)


def events(
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
    from stream_infer.app.events import Wanted, follow_events, read_events  # noqa: PLC0415 - imports fastavro
    from stream_infer.app.sentences import sentence  # noqa: PLC0415 - as the readers of events
    from stream_infer.config.settings import load  # noqa: PLC0415 - imports the Kafka client

    settings = load(config, os.environ)
    since_ms = 0 if since is None else moment_ms(since, time.time_ns() // 1_000_000)
    wanted = Wanted(since_ms, frozenset(types or ()))
    for event in (follow_events if follow else read_events)(settings, wanted):
        if event is None:
            typer.echo("warning: a record is no event that this version can read", err=True)
        else:
            typer.echo(as_line(event) if as_json else sentence(event))


def moment_ms(when: str, now_ms: int) -> int:
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
        raise Misconfigured([Problem("--since", when, what, "for example 15m, 2h, 7d, 2026-01-31T00:00:00Z")])
    return round(moment.timestamp() * 1000)


def as_line(event: Mapping[str, Any]) -> str:
    """Return the event as one JSON object, every field in it; a number that JSON has not, as null."""
    return json.dumps(_finite(event), ensure_ascii=False)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value
