"""`stream-infer model promote`, `rollback`, `status`: the options. What they do is in `deployments`.

That module is imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream_infer.cli.worker import ConfigFile

app = typer.Typer(name="model", help="Say which model package should serve, and see.", no_args_is_help=True)

StoreFolder = Annotated[
    Path | None,
    typer.Option("--store", metavar="DIR", help="The model store, where there is no worker.toml."),
]
PipelineName = Annotated[
    str | None, typer.Option("--pipeline", metavar="NAME", help="The pipeline that the store is for.")
]
Reason = Annotated[
    str | None, typer.Option("--reason", metavar="TEXT", help="Why, for those who look later.")
]
By = Annotated[str | None, typer.Option("--by", metavar="WHO", help="Who asks (default: USER@HOST).")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

_CONFIG = Path("worker.toml")


@app.command()
def promote(
    package: Annotated[
        Path, typer.Argument(metavar="PACKAGE", help="A package, or the name of one in the store.")
    ],
    *,
    config: ConfigFile = _CONFIG,
    store: StoreFolder = None,
    pipeline: PipelineName = None,
    reason: Reason = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Make PACKAGE the desired one. Each worker tries it before it lets go of what it serves."""
    from stream_infer.cli import deployments  # noqa: PLC0415 - loads pydantic

    models = deployments.find_store(config, store, pipeline)
    promoted = models.promote(package, deployments.request(by, reason))
    deployments.tell("desired", promoted, as_json=as_json)


@app.command()
def rollback(
    *,
    config: ConfigFile = _CONFIG,
    store: StoreFolder = None,
    pipeline: PipelineName = None,
    reason: Reason = None,
    by: By = None,
    as_json: AsJson = False,
) -> None:
    """Make the package before the desired one the desired one."""
    from stream_infer.cli import deployments  # noqa: PLC0415 - loads pydantic

    models = deployments.find_store(config, store, pipeline)
    promoted = models.rollback(deployments.request(by, reason))
    deployments.tell("rolled back to", promoted, as_json=as_json)


@app.command()
def status(
    *,
    config: ConfigFile = _CONFIG,
    store: StoreFolder = None,
    pipeline: PipelineName = None,
    last: Annotated[int, typer.Option("--last", min=0, help="So many generations of the past.")] = 10,
    as_json: AsJson = False,
) -> None:
    """Show what is desired, since when, and what was before."""
    from stream_infer.cli import deployments  # noqa: PLC0415 - loads pydantic

    deployments.show(deployments.find_store(config, store, pipeline), last=last, as_json=as_json)
