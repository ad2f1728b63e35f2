"""`stream-infer events` and `backtest`: monitoring events, real ones and those of a replay.

Reading is in `app.monitoring_events`, replaying in `app.backtest`. Both are imported inside the commands, so
that `--help` answers at once.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import typer

from stream_infer.cli.options import DEFAULT_CONFIG, AsJson, ConfigFile, takes_options
from stream_infer.cli.output import say, say_json
from stream_infer.common.clock import unix_ms
from stream_infer.flow.errors import Misconfigured, Problem

_AGE = re.compile(r"(\d+)([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsOptions:
    """The options of `events`."""

    config: ConfigFile = DEFAULT_CONFIG
    only_open: Annotated[
        bool, typer.Option("--open", help="The incidents that are open now, the newest first.")
    ] = False
    everything: Annotated[
        bool, typer.Option("--all", help="Routine events too: performance and heartbeat.")
    ] = False
    follow: Annotated[bool, typer.Option("--follow", help="Continue with new events until Ctrl-C.")] = False
    types: Annotated[
        list[str] | None,
        typer.Option(
            "--type", metavar="TYPE", help="Only events of this type, such as drift.detected; repeatable."
        ),
    ] = None
    since: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="Start: 2026-01-31T00:00:00Z, or an age: 90s, 15m, 2h, 7d."),
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object per line.")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BacktestOptions:
    """The options of `backtest`."""

    config: ConfigFile = DEFAULT_CONFIG
    first: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="WHEN", help="Start: a time, an age or an offset. (default: first frame)"
        ),
    ] = None
    last: Annotated[
        str | None, typer.Option("--to", metavar="WHEN", help="End, in the same forms. (default: last frame)")
    ] = None
    as_json: AsJson = False


@takes_options
def events_command(options: EventsOptions) -> None:
    """Show the monitoring events of the pipeline: drift, quality, model changes.

    Routine events are hidden unless --all or their --type asks for them. --open shows the incidents that are
    open, each with its id for `stream-infer incident`.
    """
    from stream_infer.app.event_text import event_text  # noqa: PLC0415 - as the readers of events
    from stream_infer.app.monitoring_events import ROUTINE, EventFilter, follow_events, read_events  # noqa: PLC0415 - imports fastavro
    from stream_infer.config.settings import load_settings  # noqa: PLC0415 - imports the Kafka client

    if options.only_open:
        _show_open(options)
        return
    settings = load_settings(options.config, os.environ)
    since_ms = 0 if options.since is None else moment_ms(options.since, unix_ms())
    hidden = frozenset() if options.everything else ROUTINE
    selected = EventFilter(since_ms, frozenset(options.types or ()), hidden)
    for event in (follow_events if options.follow else read_events)(settings, selected):
        if event is None:
            say("warning: unreadable record: not a monitoring event of this version", err=True)
        else:
            say(as_line(event) if options.as_json else event_text(event))


def _show_open(options: EventsOptions) -> None:
    """Print the open incidents. Raises `Misconfigured` for options that say something else."""
    from stream_infer.app.incidents import read_incidents  # noqa: PLC0415 - imports the Kafka client
    from stream_infer.app.open_incident_text import incident_document, open_incidents_text  # noqa: PLC0415 - as above
    from stream_infer.config.settings import load_settings  # noqa: PLC0415 - as above

    also = {"--follow": options.follow, "--type": options.types, "--since": options.since}
    problems = [
        Problem(name, "", "does not go with --open", "leave it out") for name, given in also.items() if given
    ]
    if problems:
        raise Misconfigured(problems)
    settings, now_ms = load_settings(options.config, os.environ), unix_ms()
    known = read_incidents(settings)
    if options.as_json:
        for one in known.newest_first:
            say_json(incident_document(one, now_ms))
        return
    say(*open_incidents_text(settings.pipeline, known, now_ms))


@takes_options
def backtest_command(options: BacktestOptions) -> None:
    """Replay observation frames and show the events that this configuration would have raised."""
    from stream_infer.app.backtest import as_document, run_backtest  # noqa: PLC0415 - imports river
    from stream_infer.app.event_text import event_text  # noqa: PLC0415 - as above
    from stream_infer.config.settings import load_settings  # noqa: PLC0415 - imports the Kafka client
    from stream_infer.kafka.ranges import END, START, RangeBound  # noqa: PLC0415 - as above

    def bound(option: str, when: str) -> RangeBound:
        if when.isascii() and when.isdigit():
            return RangeBound(offset=int(when))
        return RangeBound(moment_ms=moment_ms(when, unix_ms(), option))

    settings = load_settings(options.config, os.environ)
    first = START if options.first is None else bound("--from", options.first)
    last = END if options.last is None else bound("--to", options.last)
    done = run_backtest(settings, first, last)
    if options.as_json:
        say_json(_finite(as_document(done)))
        return
    for event in done.events:
        say(event_text(event))
    say(
        f"{done.incidents} incidents in {done.frames} frames of {done.records} records"
        + (f"; {done.unreadable} unreadable frames" if done.unreadable else "")
    )


def moment_ms(when: str, now_ms: int, option: str = "--since") -> int:
    """Return the Unix milliseconds of a time with its time zone, or of an age before `now_ms`.

    Raises `Misconfigured` for any other text.
    """
    age = _AGE.fullmatch(when)
    if age is not None:
        return now_ms - int(age[1]) * _SECONDS[age[2]] * 1000
    try:
        moment = datetime.fromisoformat(when)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        what = "is neither an age nor a time" if moment is None else "has no time zone"
        raise Misconfigured([Problem(option, when, what, "for example 15m, 2h, 7d, 2026-01-31T00:00:00Z")])
    return round(moment.timestamp() * 1000)


def lasting_ms(text: str, option: str = "--for") -> int:
    """Return the milliseconds of a time span such as 2h. Raises `Misconfigured` for any other text."""
    span = _AGE.fullmatch(text)
    if span is None or not int(span[1]):
        raise Misconfigured([Problem(option, text, "is no time span", "for example 30m, 2h, 7d")])
    return int(span[1]) * _SECONDS[span[2]] * 1000


def as_line(event: Mapping[str, Any]) -> str:
    """Return all fields of the event as one JSON object; numbers that JSON does not have become null."""
    return json.dumps(_finite(event), ensure_ascii=False)


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list) else value
