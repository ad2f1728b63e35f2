"""`stream-infer check`. The checks are in `app.checks`."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from stream_infer.cli.options import DEFAULT_CONFIG, AsJson, ConfigFile, takes_options
from stream_infer.cli.output import say, say_json
from stream_infer.runtime.gc_schedule import without_collections


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """The options of `check`."""

    config: ConfigFile = DEFAULT_CONFIG
    package: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Check this package instead of the configured one.")
    ] = None
    as_json: AsJson = False


@takes_options
def check_command(options: CheckOptions) -> None:
    """Check configuration, package, topics and permissions; report every problem with its fix.

    Joins no consumer group and changes nothing. `run` makes the same checks when it starts.
    """
    with without_collections():
        from stream_infer.app.checks.check import CheckFailed, run_checks  # noqa: PLC0415 - imports scikit-learn
        from stream_infer.config.settings import read_settings  # noqa: PLC0415 - imports pydantic and the Kafka client

    report = run_checks(read_settings(options.config, os.environ), package=options.package)
    if options.as_json:
        document = {
            "ok": not report.problems,
            "passed": report.passed,
            "warnings": report.warned,
            "skipped": report.skipped,
            "problems": [asdict(problem) for problem in report.problems],
        }
        say_json(document)
        raise typer.Exit(report.exit_code)
    for result, lines in (("ok", report.passed), ("warning", report.warned), ("skipped", report.skipped)):
        for line in lines:
            say(f"{result:<7}  {line}")
    if report.problems:
        raise CheckFailed(report.problems, report.exit_code)
