"""`stream-infer model promote`, `rollback`, `status`: asked and shown. What they do is in `files.store`."""

from __future__ import annotations

import getpass
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from stream_infer.models.deployment import Deployment, PackageRef, StoreProblem

app = typer.Typer(name="model", help="Say which model package should serve, and see.", no_args_is_help=True)

Store = Annotated[Path, typer.Option("--store", metavar="DIR", help="The model store: a folder of packages.")]
Pipeline = Annotated[str, typer.Option("--pipeline", metavar="NAME", help="The pipeline that it is for.")]
Reason = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Why, for those who look later.")
]
By = Annotated[str | None, typer.Option("--by", metavar="WHO", help="Who asks (default: USER@HOST).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

Row = Sequence[str]


@app.command()
def promote(
    package: Annotated[
        Path, typer.Argument(metavar="PACKAGE", help="A package, or the name of one in the store.")
    ],
    *,
    store: Store,
    pipeline: Pipeline,
    reason: Reason = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Make PACKAGE the desired one. Each worker tries it before it lets go of what it serves."""
    from stream_infer.files.store import ModelStore, Request  # noqa: PLC0415 - loads pydantic

    deployment = ModelStore(store, pipeline).promote(package, Request(by or _myself(), reason))
    _tell("desired", deployment, as_json=as_json)


@app.command()
def rollback(
    *, store: Store, pipeline: Pipeline, reason: Reason = None, by: By = None, as_json: AsJson = False
) -> None:
    """Make the package before the desired one the desired one."""
    from stream_infer.files.store import ModelStore, Request  # noqa: PLC0415 - loads pydantic

    deployment = ModelStore(store, pipeline).rollback(Request(by or _myself(), reason))
    _tell("rolled back to", deployment, as_json=as_json)


@app.command()
def status(
    *,
    store: Store,
    pipeline: Pipeline,
    last: Annotated[int, typer.Option("--last", min=0, help="So many generations of the past.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show what is desired, since when, and what was before."""
    from stream_infer.files.store import ModelStore  # noqa: PLC0415 - loads pydantic

    models = ModelStore(store, pipeline)
    found, history = models.current(), models.history()[:last]
    problem = found if isinstance(found, StoreProblem) else None
    desired = None if isinstance(found, StoreProblem) else found
    if as_json:
        document = {
            "pipeline": pipeline,
            "desired": None if desired is None else asdict(desired),
            "problem": None if problem is None else asdict(problem),
            "history": [asdict(one) for one in history],
        }
        typer.echo(json.dumps(document))
        return
    if desired is not None:
        _print(f"{pipeline}: desired", (), _facts(desired))
    if problem is not None:
        _print(f"{pipeline}: what is desired is not known", (), [(problem.code, problem.reason)])
    if history:
        rows = [
            (str(one.generation), _named(one.package), _time(one), one.requested_by, one.reason or "")
            for one in history
        ]
        _print("history", ("generation", "package", "at", "by", "reason"), rows)


def _myself() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = "unknown"
    return f"{user}@{platform.node() or 'unknown'}"


def _tell(title: str, deployment: Deployment, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(asdict(deployment)))
        return
    _print(f"{deployment.pipeline}: {title}", (), _facts(deployment))


def _facts(deployment: Deployment) -> list[Row]:
    previous = deployment.previous
    return [
        ("package", _named(deployment.package)),
        ("digest", deployment.package.digest),
        ("in the store as", deployment.package.uri),
        ("generation", str(deployment.generation)),
        ("at", _time(deployment)),
        ("by", deployment.requested_by),
        ("reason", deployment.reason or ""),
        ("where it cannot serve", _named(previous) if previous is not None else "nothing"),
    ]


def _named(package: PackageRef) -> str:
    return f"{package.name} {package.version}"


def _time(deployment: Deployment) -> str:
    try:
        moment = datetime.fromtimestamp(deployment.requested_at / 1000, UTC)
    except (OverflowError, OSError, ValueError):  # whoever wrote it has an own calendar
        return f"{deployment.requested_at} ms"
    return moment.isoformat(sep=" ", timespec="seconds")


def _print(title: str, header: Row, rows: Sequence[Row]) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - only when there is something to show
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    columns = header or ("", "")
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_header=bool(header))
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(table)
