"""What `stream-infer model` does and prints, given its options. Which options there are is in `model`."""

from __future__ import annotations

import getpass
import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from stream_infer.files.store import ModelStore, Request
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.deployment import Deployment, PackageRef, StoreProblem

Row = Sequence[str]


def find_store(config: Path, folder: Path | None, pipeline: str | None) -> ModelStore:
    """Return the store that the options name, or else the one in the worker.toml at `config`."""
    if folder is not None and pipeline is not None:
        return ModelStore(folder, pipeline)
    from stream_infer.config.settings import load  # noqa: PLC0415 - imports the Kafka client

    settings = load(config, os.environ)
    found = folder or settings.model.store
    if found is None:
        fix = "write `store = DIR` in place of `package`, or give --store and --pipeline"
        raise Misconfigured([Problem("model.store", "", "there is no model store", fix)])
    return ModelStore(found, pipeline or settings.pipeline)


def request(by: str | None, reason: str | None) -> Request:
    """Return who asks and why; without a name, the user and the machine."""
    return Request(by or _myself(), reason)


def tell(title: str, deployment: Deployment, *, as_json: bool) -> None:
    """Print what is desired from now on."""
    if as_json:
        typer.echo(json.dumps(asdict(deployment)))
        return
    _print(f"{deployment.pipeline}: {title}", (), _facts(deployment))


def show(store: ModelStore, *, last: int, as_json: bool) -> None:
    """Print what is desired, or why that is not known, and the `last` generations."""
    found, history = store.current(), store.history()[:last]
    if as_json:
        unknown = isinstance(found, StoreProblem)
        document = {
            "pipeline": store.pipeline,
            "desired": None if unknown else asdict(found),
            "problem": asdict(found) if unknown else None,
            "history": [asdict(one) for one in history],
        }
        typer.echo(json.dumps(document))
        return
    if isinstance(found, StoreProblem):
        _print(f"{store.pipeline}: what is desired is not known", (), [(found.code, found.reason)])
    else:
        _print(f"{store.pipeline}: desired", (), _facts(found))
    if history:
        _print("history", ("generation", "package", "at", "by", "reason"), [_past(one) for one in history])


def _myself() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = "unknown"
    return f"{user}@{platform.node() or 'unknown'}"


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


def _past(one: Deployment) -> Row:
    return str(one.generation), _named(one.package), _time(one), one.requested_by, one.reason or ""


def _named(package: PackageRef) -> str:
    return f"{package.name} {package.version}"


def _time(deployment: Deployment) -> str:
    try:
        moment = datetime.fromtimestamp(deployment.requested_at / 1000, UTC)
    except (OverflowError, OSError, ValueError):  # whoever wrote it has a calendar of his own
        return f"{deployment.requested_at} ms"
    return moment.isoformat(sep=" ", timespec="seconds")


def _print(title: str, header: Row, rows: Sequence[Row]) -> None:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, show_header=bool(header))
    for name in header or ("", ""):
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(table)
