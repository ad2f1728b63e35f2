"""`stream-infer model promote`, `rollback`, `status`: the options. What they do is in `deployments`.

That module is imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream_infer.cli.options import ConfigFile

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
Wait = Annotated[
    bool,
    typer.Option("--wait", help="Wait until every worker serves it or has refused it (exit code 3)."),
]
Timeout = Annotated[
    float, typer.Option("--timeout", min=0.1, metavar="SECONDS", help="Wait so long (then exit code 1).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]

_CONFIG = Path("worker.toml")
_TIMEOUT_S = 120.0


@app.command("promote")
def promote_command(  # noqa: PLR0913 - one for each option
    package: Annotated[
        Path, typer.Argument(metavar="PACKAGE", help="A package, or the name of one in the store.")
    ],
    *,
    config: ConfigFile = _CONFIG,
    store: StoreFolder = None,
    pipeline: PipelineName = None,
    reason: Reason = None,
    by: By = None,
    wait: Wait = False,
    timeout: Timeout = _TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Make PACKAGE the desired one. Each worker tries it before it lets go of what it serves.

    It is copied into the store. With `follow = "topic"` it is said on the control topic, too; then each
    machine needs the package in its own store, and refuses it where it is not.
    """
    from stream_infer.cli import deployments  # noqa: PLC0415 - loads pydantic and the Kafka client

    place = deployments.find_package(config, store, pipeline)
    patience = deployments.wait_options(place, wait, timeout)
    promoted = deployments.promote(place, package, deployments.make_request(by, reason))
    raise typer.Exit(deployments.report_result("desired", promoted, patience, as_json=as_json))


@app.command("rollback")
def rollback_command(  # noqa: PLR0913 - one for each option
    *,
    config: ConfigFile = _CONFIG,
    store: StoreFolder = None,
    pipeline: PipelineName = None,
    reason: Reason = None,
    by: By = None,
    wait: Wait = False,
    timeout: Timeout = _TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Make the package before the desired one the desired one; an event says so."""
    from stream_infer.cli import deployments  # noqa: PLC0415 - loads pydantic and the Kafka client

    place = deployments.find_package(config, store, pipeline)
    patience = deployments.wait_options(place, wait, timeout)
    done = deployments.rollback(place, deployments.make_request(by, reason))
    raise typer.Exit(deployments.report_result("rolled back to", done, patience, as_json=as_json))


@app.command("status")
def status_command(
    *,
    config: ConfigFile = _CONFIG,
    store: StoreFolder = None,
    pipeline: PipelineName = None,
    last: Annotated[int, typer.Option("--last", min=0, help="So many generations of the past.")] = 10,
    wait: Wait = False,
    timeout: Timeout = _TIMEOUT_S,
    as_json: AsJson = False,
) -> None:
    """Show what is desired, since when, what was before, and how each worker stands to it."""
    from stream_infer.cli import deployments  # noqa: PLC0415 - loads pydantic and the Kafka client

    place = deployments.find_package(config, store, pipeline)
    patience = deployments.wait_options(place, wait, timeout)
    if patience is None:
        deployments.show_status(place, last=last, as_json=as_json)
    else:
        wish = deployments.desired_document(place)
        raise typer.Exit(deployments.report_result("desired", wish, patience, as_json=as_json))
