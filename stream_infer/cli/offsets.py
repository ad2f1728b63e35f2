"""`stream-infer offsets reset`: the options. The work is in `resetting`, imported inside the command."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from stream_infer.cli.options import DEFAULT_CONFIG, AsJson, ConfigFile, takes_options

app = typer.Typer(name="offsets", help="Move the committed offsets of a pipeline.", no_args_is_help=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetOptions:
    """The options of `offsets reset`."""

    config: ConfigFile = DEFAULT_CONFIG
    to: Annotated[
        str,
        typer.Option(
            metavar="WHERE",
            help="earliest, latest, a time (2026-01-31T00:00:00Z), an age (90s, 15m, 2h, 7d), or ids of "
            "events, TOPIC/PARTITION/OFFSET, with commas between them: partitions without one stay.",
        ),
    ]
    yes: Annotated[bool, typer.Option("--yes", help="Set the offsets; without it, only show the plan.")] = (
        False
    )
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until workers that were stopped are out of the group.")
    ] = False
    as_json: AsJson = False


@app.command("reset")
@takes_options
def reset_offsets_command(options: ResetOptions) -> None:
    """Show what the pipeline answers again or skips from other offsets on; with --yes set them.

    All workers of the pipeline must be stopped. A worker that was stopped stays a member of the group until
    its session has timed out; --wait waits for that.
    """
    from stream_infer.cli import resetting  # noqa: PLC0415 - loads pydantic and the Kafka client

    resetting.reset(options)
