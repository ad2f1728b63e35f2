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
    from stream_infer.app.serve import Front


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
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ask for one of these bearer tokens, one a line; read again."),
    ] = None
    tls_certificate: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Speak TLS with this chain (PEM); read again.")
    ] = None
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="The private key (PEM).")] = None
    insecure: Annotated[bool, typer.Option("--insecure", help="Answer other machines without a token.")] = (
        False
    )


@takes_options
def serve_command(options: ServeOptions) -> None:
    """Answer over HTTP with a package, or with the model of a pipeline, until SIGTERM or Ctrl-C."""
    if (options.package is None) == (options.config is None):
        raise typer.BadParameter("give either --package or --config")
    with without_collections():
        from stream_infer.app.serve import Front, run_serve  # noqa: PLC0415 - imports scikit-learn
        from stream_infer.ops.http import Listening  # noqa: PLC0415 - imports starlette

    front = Front(
        Listening(options.host, options.port, host_key="--host", port_key="--port"),
        options.token_file,
        options.tls_certificate,
        options.tls_key,
        options.insecure,
    )
    if options.package is not None:
        raise typer.Exit(run_serve(options.package, front))
    if options.config is not None:
        raise typer.Exit(_serve_pipeline(options.config, front))


def _serve_pipeline(config: Path, front: Front) -> int:
    with without_collections():
        from stream_infer.app.serve_pipeline import run_serve_pipeline  # noqa: PLC0415 - imports scikit-learn
        from stream_infer.config.settings import load_settings  # noqa: PLC0415 - imports pydantic

    return run_serve_pipeline(load_settings(config, os.environ), front)
