"""`stream-infer check`, `run`, `demo` and `topics create`. What they do is in `app` and `demo`.

Everything of ours is imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from stream_infer.runtime.gc_schedule import without_collections

ConfigFile = Annotated[
    Path,
    typer.Option(
        "--config", "-c", envvar="STREAM_INFER_CONFIG", metavar="FILE", help="The worker.toml to use."
    ),
]


class Role(StrEnum):
    """What a worker does: score, monitor what was scored, or both in processes of their own."""

    SCORE = "score"
    MONITOR = "monitor"
    ALL = "all"


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

_CONFIG = Path("worker.toml")
_SLOT_VARIABLE = "STREAM_INFER_WORKER__SLOT"

_topics = typer.Typer(name="topics", help="Make the topics of a pipeline.", no_args_is_help=True)


def add_worker_commands(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command("demo")(demo_command)
    app.command("check")(check_command)
    app.command("run")(run_command)
    app.add_typer(_topics)


def demo_command(
    *,
    broker: Annotated[
        str, typer.Option(help="`mock`, which promises nothing on delivery, or HOST:PORT of a Kafka broker.")
    ] = "mock",
    once: Annotated[bool, typer.Option("--once", help="End when the story is told.")] = False,
    as_json: AsJson = False,
    seed: Annotated[int, typer.Option(help="What the order of events is drawn from.")] = 0,
) -> None:
    """Run the worker on real data, with nothing to install: events, predictions and accuracy on screen."""
    with without_collections():
        from stream_infer.demo.main import run_demo  # noqa: PLC0415 - imports scikit-learn and river

    raise typer.Exit(run_demo(broker=broker, once=once, as_json=as_json, seed=seed))


def check_command(
    *,
    config: ConfigFile = _CONFIG,
    package: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A package to check in place of the configured one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find every problem that `run` would meet before it joins a group, or a package once it is promoted."""
    with without_collections():
        from stream_infer.app.checks.check import CheckFailed, run_checks  # noqa: PLC0415 - imports scikit-learn
        from stream_infer.config.settings import read_settings  # noqa: PLC0415 - imports pydantic and the Kafka client

    report = run_checks(read_settings(config, os.environ), package=package)
    if as_json:
        problems = [
            {"key": p.key, "value": p.value, "message": p.message, "fix": p.fix} for p in report.problems
        ]
        document = {
            "ok": not problems,
            "passed": report.passed,
            "warnings": report.warned,
            "skipped": report.skipped,
            "problems": problems,
        }
        typer.echo(json.dumps(document, ensure_ascii=False))
        raise typer.Exit(report.exit_code)
    for line in report.passed:
        typer.echo(f"ok       {line}")
    for line in report.warned:
        typer.echo(f"warning  {line}")
    for line in report.skipped:
        typer.echo(f"skipped  {line}")
    if report.problems:
        raise CheckFailed(report.problems, report.exit_code)


def run_command(
    *,
    config: ConfigFile = _CONFIG,
    slot: Annotated[
        str | None, typer.Option(help="The stable name of this worker, in place of worker.slot.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=256, help="Worker processes, under the slots SLOT-0, SLOT-1, ...")
    ] = 1,
    role: Annotated[
        Role,
        typer.Option(help="score; monitor what scorers have seen; or all, each in a process of its own."),
    ] = Role.SCORE,
) -> None:
    """Score, or monitor, until told to stop, after the same check as `run_checks`."""
    with without_collections():
        from stream_infer.config.settings import read_settings  # noqa: PLC0415 - imports pydantic and the Kafka client

    environ = {**os.environ, **({_SLOT_VARIABLE: slot} if slot is not None else {})}
    reading = read_settings(config, environ)
    if reading.problems or reading.settings is None:
        from stream_infer.app.checks.check import CheckFailed, run_checks  # noqa: PLC0415 - imports scikit-learn

        report = run_checks(reading)
        raise CheckFailed(report.problems, report.exit_code)
    if role is Role.MONITOR:
        with without_collections():
            from stream_infer.app.monitor import run_monitor  # noqa: PLC0415 - imports river

        raise typer.Exit(run_monitor(reading.settings))
    monitored = role is Role.ALL and reading.settings.monitoring.topic is not None
    if workers > 1 or monitored:
        from stream_infer.app.processes import run_workers  # noqa: PLC0415 - the other way runs without it

        raise typer.Exit(run_workers(reading.settings, config, environ, workers, monitored=monitored))
    with without_collections():
        from stream_infer.app.worker import run_worker  # noqa: PLC0415 - imports scikit-learn

    raise typer.Exit(run_worker(reading.settings))


@_topics.command("create")
def create_topics_command(
    *,
    config: ConfigFile = _CONFIG,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be made.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the topics that the pipeline writes, to fit those that it reads; register their schemas."""
    from stream_infer.app.schema_registry import register_schemas, registry_subjects  # noqa: PLC0415 - imports the Kafka client
    from stream_infer.app.topics import apply_plan, plan_topics  # noqa: PLC0415 - imports the Kafka client
    from stream_infer.config.settings import load_settings  # noqa: PLC0415 - as above

    settings = load_settings(config, os.environ)
    planned = plan_topics(settings)
    made = {} if dry_run else apply_plan(settings, planned)
    ids = {} if dry_run else register_schemas(settings)
    rows = [
        {
            "topic": p.wanted.name,
            "partitions": p.existing.partitions if p.existing else p.wanted.partitions,
            "config": {} if p.existing else dict(p.wanted.config),
            "result": str(made.get(p.wanted.name, "existed" if p.existing else "would be created")),
        }
        for p in planned
    ]
    registered = [
        {"subject": subject.name, "schema": subject.schema.name, "id": ids.get(subject.name)}
        for subject in registry_subjects(settings)
    ]
    if as_json:
        typer.echo(json.dumps({"topics": rows, "subjects": registered}))
        return
    for row in rows:
        typer.echo(f"{row['result']:<16}  {row['topic']}  ({row['partitions']} partitions)")
    for subject in registered:
        result = "would be registered" if dry_run else "registered"
        typer.echo(
            f"{result:<16}  {subject['subject']}  ({subject['schema']}, id {subject['id'] or 'to come'})"
        )
