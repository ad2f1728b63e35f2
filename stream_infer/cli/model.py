"""`stream-infer model promote`, `rollback` and `status`: the options. The work is in `deployments`.

That module is imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from stream_infer.cli.options import DEFAULT_CONFIG, AsJson, ConfigFile, takes_options

app = typer.Typer(
    name="model", help="Promote, roll back and inspect the deployed model.", no_args_is_help=True
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelOptions:
    """The options that all commands share."""

    config: ConfigFile = DEFAULT_CONFIG
    store: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The model store, for use without a worker.toml.")
    ] = None
    pipeline: Annotated[str | None, typer.Option(metavar="NAME", help="The pipeline of that store.")] = None
    wait: Annotated[
        bool,
        typer.Option(
            "--wait", help="Wait until every worker serves the package or has refused it (exit code 3)."
        ),
    ] = False
    timeout: Annotated[
        float,
        typer.Option(min=0.1, metavar="SECONDS", help="Give up after this many seconds (exit code 1)."),
    ] = 120.0
    as_json: AsJson = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackOptions(ModelOptions):
    """The options of `model rollback`."""

    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Reason, kept in the deployment history.")
    ] = None
    by: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Requester, kept in the deployment history (default: USER@HOST)."),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromoteOptions(RollbackOptions):
    """The options of `model promote`."""

    package: Annotated[
        Path, typer.Argument(metavar="PACKAGE", help="Path of a package, or name of one in the store.")
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusOptions(ModelOptions):
    """The options of `model status`."""

    last: Annotated[int, typer.Option(min=0, help="Number of past generations to show.")] = 10


@app.command("promote")
@takes_options
def promote_command(options: PromoteOptions) -> None:
    """Deploy PACKAGE. Each worker rehearses it before it replaces the serving model.

    The package is copied into the store. With `follow = "topic"` the deployment is also published on the
    control topic; then each machine needs the package in its own store, and refuses it otherwise.
    """
    from stream_infer.cli import deployments  # noqa: PLC0415 - loads pydantic and the Kafka client

    target = deployments.find_target(options)
    waiting = deployments.wait_options(options, target)
    promoted = deployments.promote(target, options.package, deployments.make_request(options))
    raise typer.Exit(deployments.report_result("desired", promoted, waiting, as_json=options.as_json))


@app.command("rollback")
@takes_options
def rollback_command(options: RollbackOptions) -> None:
    """Deploy the package that was desired before, and publish an event."""
    from stream_infer.cli import deployments  # noqa: PLC0415 - loads pydantic and the Kafka client

    target = deployments.find_target(options)
    waiting = deployments.wait_options(options, target)
    done = deployments.rollback(target, deployments.make_request(options))
    raise typer.Exit(deployments.report_result("rolled back to", done, waiting, as_json=options.as_json))


@app.command("status")
@takes_options
def status_command(options: StatusOptions) -> None:
    """Show the desired package, the state of each worker and the deployment history."""
    from stream_infer.cli import deployments  # noqa: PLC0415 - loads pydantic and the Kafka client

    target = deployments.find_target(options)
    waiting = deployments.wait_options(options, target)
    if waiting is None:
        deployments.show_status(target, last=options.last, as_json=options.as_json)
    else:
        desired = deployments.desired_deployment(target)
        raise typer.Exit(deployments.report_result("desired", desired, waiting, as_json=options.as_json))
