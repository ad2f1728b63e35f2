"""`stream-infer incident acknowledge`, `silence`, `accept`, `ignore` and `watch`: what a person says of one.

The work is in `app.incidents`, imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Annotated

import typer

from stream_infer.cli.events import lasting_ms, moment_ms
from stream_infer.cli.options import DEFAULT_CONFIG, AsJson, ConfigFile, takes_options
from stream_infer.cli.output import say, say_json
from stream_infer.common.clock import unix_ms
from stream_infer.flow.errors import Misconfigured, Problem

app = typer.Typer(
    name="incident",
    help="Say what you know of an incident: `events --open` lists them with their ids.",
    no_args_is_help=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentOptions:
    """The options that all commands share."""

    name: Annotated[str, typer.Argument(metavar="ID", help="Id of the incident, or its first characters.")]
    config: ConfigFile = DEFAULT_CONFIG
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Reason, kept on the monitoring topic.")
    ] = None
    by: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Who says it, kept on the monitoring topic (default: USER@HOST)."),
    ] = None
    as_json: AsJson = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SilenceOptions(IncidentOptions):
    """The options of `incident silence`."""

    lasting: Annotated[str | None, typer.Option("--for", metavar="TIME", help="How long: 30m, 2h, 7d.")] = (
        None
    )
    until: Annotated[str | None, typer.Option(metavar="WHEN", help="The end: 2026-01-31T00:00:00Z.")] = None


@app.command("acknowledge")
@takes_options
def acknowledge_command(options: IncidentOptions) -> None:
    """Say that someone looks after it: no more reminders."""
    _give("acknowledge", options)


@app.command("silence")
@takes_options
def silence_command(options: SilenceOptions) -> None:
    """Tell nothing of it until the end. If it goes on then, that is told once."""
    now_ms = unix_ms()
    until_ms = None if options.until is None else moment_ms(options.until, now_ms, "--until")
    if options.lasting is not None:
        if options.until is not None:
            raise Misconfigured([Problem("--for", options.lasting, "does not go with --until", "give one")])
        until_ms = now_ms + lasting_ms(options.lasting)
    _give("silence", options, until_ms, now_ms)


@app.command("accept")
@takes_options
def accept_command(options: IncidentOptions) -> None:
    """Take the present level as normal: the incident ends, and changes from there are told."""
    _give("accept", options)


@app.command("ignore")
@takes_options
def ignore_command(options: IncidentOptions) -> None:
    """Do not watch the signal that the incident is named after any more. The incident ends."""
    _give("ignore", options)


@app.command("watch")
@takes_options
def watch_command(options: IncidentOptions) -> None:
    """Watch the ignored signal of an incident again."""
    _give("watch", options)


def _give(
    action: str, options: IncidentOptions, until_ms: int | None = None, now_ms: int | None = None
) -> None:
    from stream_infer.app.incidents import IncidentRequest, give_command  # noqa: PLC0415 - imports the Kafka client
    from stream_infer.cli.requester import user_at_host  # noqa: PLC0415 - as above
    from stream_infer.config.settings import load_settings  # noqa: PLC0415 - as above
    from stream_infer.steps.monitoring.incident_command import DONE, Action  # noqa: PLC0415 - as above

    settings = load_settings(options.config, os.environ)
    asked = IncidentRequest(
        Action(action), options.name, options.by or user_at_host(), options.reason, until_ms
    )
    given = give_command(settings, asked, now_ms or unix_ms())
    if options.as_json:
        say_json(asdict(given))
        return
    say(f"{given.command.incident_id} is {DONE[asked.action]}: {given.subject}")
