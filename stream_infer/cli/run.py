"""`stream-infer run`. The worker is in `app.worker`, the monitor in `app.monitor`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from stream_infer.cli.options import DEFAULT_CONFIG, ConfigFile, takes_options
from stream_infer.runtime.gc_schedule import without_collections

_SLOT_VARIABLE = "STREAM_INFER_WORKER__SLOT"


class Role(StrEnum):
    """What the processes do: score, monitor what was scored, or both, each in its own process."""

    SCORE = "score"
    MONITOR = "monitor"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """The options of `run`."""

    config: ConfigFile = DEFAULT_CONFIG
    slot: Annotated[str | None, typer.Option(help="Stable name of this worker; overrides worker.slot.")] = (
        None
    )
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Number of worker processes; their slots: SLOT-0, SLOT-1, ...")
    ] = 1
    role: Annotated[
        Role, typer.Option(help="Score events, monitor scored events, or do both in separate processes.")
    ] = Role.SCORE


@takes_options
def run_command(options: RunOptions) -> None:
    """Run until SIGTERM or Ctrl-C, after the same checks as `check`."""
    with without_collections():
        from stream_infer.config.settings import read_settings  # noqa: PLC0415 - imports pydantic and the Kafka client

    environ = {**os.environ, **({_SLOT_VARIABLE: options.slot} if options.slot is not None else {})}
    result = read_settings(options.config, environ)
    if result.problems or result.settings is None:
        from stream_infer.app.checks.check import CheckFailed, run_checks  # noqa: PLC0415 - imports scikit-learn

        report = run_checks(result)
        raise CheckFailed(report.problems, report.exit_code)
    settings = result.settings
    if options.role is Role.MONITOR:
        with without_collections():
            from stream_infer.app.monitor import run_monitor  # noqa: PLC0415 - imports river

        raise typer.Exit(run_monitor(settings))
    monitored = options.role is Role.ALL and settings.monitoring.topic is not None
    if options.workers > 1 or monitored:
        from stream_infer.app.processes import run_workers  # noqa: PLC0415 - the other way runs without it

        raise typer.Exit(run_workers(settings, options.config, environ, options.workers, monitored=monitored))
    with without_collections():
        from stream_infer.app.worker import run_worker  # noqa: PLC0415 - imports scikit-learn

    raise typer.Exit(run_worker(settings))
