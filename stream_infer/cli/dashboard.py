"""`stream-infer dashboard`: the options. The page is in `app.dashboard`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from stream_infer.cli.options import DEFAULT_CONFIG, ConfigFile, takes_options


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardCommandOptions:
    """The options of `dashboard`."""

    config: ConfigFile = DEFAULT_CONFIG
    host: Annotated[
        str, typer.Option(help="The address to listen on. Beyond this machine it takes --token-file.")
    ] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port (0: any free one).")] = 8090
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file with the bearer token that the page asks for."),
    ] = None
    show_payload: Annotated[
        bool, typer.Option("--show-payload", help="Show keys and values of dead letters.")
    ] = False


@takes_options
def dashboard_command(options: DashboardCommandOptions) -> None:
    """Show a pipeline on a live page: traffic, workers, features, incidents, accuracy, dead letters."""
    from stream_infer.app.dashboard import DashboardOptions, run_dashboard  # noqa: PLC0415 - imports the Kafka client
    from stream_infer.config.settings import load_settings  # noqa: PLC0415 - as above
    from stream_infer.ops.http import Listening  # noqa: PLC0415 - imports starlette

    settings = load_settings(options.config, os.environ)
    where = Listening(options.host, options.port, host_key="--host", port_key="--port")
    shown = DashboardOptions(where=where, token_file=options.token_file, shows_payload=options.show_payload)
    raise typer.Exit(run_dashboard(settings, shown))
