"""`stream-infer serve`: the options. The servers are in `app.serve` and `app.serve_pipeline`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream_infer.cli.options import takes_options
from stream_infer.runtime.gc_schedule import without_collections

if TYPE_CHECKING:
    from stream_infer.ops.http import Listening


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """The options of `serve`."""

    package: Annotated[
        Path | None, typer.Option(metavar="PATH", help="The package to serve: a folder or a .zip file.")
    ] = None
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", metavar="FILE", help="The worker.toml of a pipeline whose model is served."
        ),
    ] = None
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1"
    port: Annotated[int, typer.Option(min=0, max=65_535, help="The port (0: any free one).")] = 8080


@takes_options
def serve_command(options: ServeOptions) -> None:
    """Answer over HTTP with a package, or with the model of a pipeline, until SIGTERM or Ctrl-C."""
    with without_collections():
        from stream_infer.ops.http import Listening  # noqa: PLC0415 - imports starlette

        where = Listening(options.host, options.port, host_key="--host", port_key="--port")
    if options.config is not None and options.package is None:
        raise typer.Exit(_serve_pipeline(options.config, where))
    if options.package is None or options.config is not None:
        raise typer.BadParameter("give either --package or --config")
    with without_collections():
        from stream_infer.app.serve import run_serve  # noqa: PLC0415 - imports scikit-learn

    raise typer.Exit(run_serve(options.package, where))


def _serve_pipeline(config: Path, where: Listening) -> int:
    with without_collections():
        from stream_infer.app.serve_pipeline import run_serve_pipeline  # noqa: PLC0415 - imports scikit-learn
        from stream_infer.config.settings import load_settings  # noqa: PLC0415 - imports pydantic

    return run_serve_pipeline(load_settings(config, os.environ), where)
