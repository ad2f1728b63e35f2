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
    grpc_port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65_535, help="Answer the Open Inference Protocol over gRPC too (extra grpc)."
        ),
    ] = None
    workers: Annotated[int, typer.Option(min=1, max=256, help="Number of processes, on one socket.")] = 1
    metrics_port: Annotated[
        int | None,
        typer.Option(min=1, max=65_535, help="Probes and metrics of each process: at this port, +1, ..."),
    ] = None
    insecure: Annotated[bool, typer.Option("--insecure", help="Answer other machines without a token.")] = (
        False
    )


@takes_options
def serve_command(options: ServeOptions) -> None:
    """Answer over HTTP with a package, or with the model of a pipeline, until SIGTERM or Ctrl-C."""
    if (options.package is None) == (options.config is None):
        raise typer.BadParameter("give either --package or --config")
    if options.workers > 1:
        raise typer.Exit(_serve_processes(options))
    with without_collections():
        from stream_infer.app.processes import SERVER_SOCKET  # noqa: PLC0415 - imports the settings
        from stream_infer.app.serve import Front, run_serve  # noqa: PLC0415 - imports scikit-learn
        from stream_infer.ops.http import Listening  # noqa: PLC0415 - imports starlette

    inherited = os.environ.get(SERVER_SOCKET)
    front = Front(
        Listening(
            options.host,
            options.port,
            host_key="--host",
            port_key="--port",
            descriptor=None if inherited is None else int(inherited),
        ),
        tokens=options.token_file,
        certificate=options.tls_certificate,
        key=options.tls_key,
        is_open=options.insecure,
        grpc=options.grpc_port,
        metrics=options.metrics_port,
        shared=inherited is not None,
    )
    if options.package is not None:
        raise typer.Exit(run_serve(options.package, front))
    if options.config is not None:
        raise typer.Exit(_serve_pipeline(options.config, front))


def _serve_processes(options: ServeOptions) -> int:
    with without_collections():
        from stream_infer.app.processes import ServerPorts, run_servers  # noqa: PLC0415 - imports the settings
        from stream_infer.config.settings import load_settings  # noqa: PLC0415 - imports pydantic
        from stream_infer.ops.http import Listening  # noqa: PLC0415 - imports starlette

    slot = None if options.config is None else load_settings(options.config, os.environ).worker.slot
    where = Listening(options.host, options.port, host_key="--host", port_key="--port")
    ports = ServerPorts(options.workers, slot, options.metrics_port)
    return run_servers(where, _arguments(options), os.environ, ports)


def _arguments(options: ServeOptions) -> list[str]:
    """Return the arguments of one server among several."""
    given = {
        "--package": options.package,
        "--config": options.config,
        "--host": options.host,
        "--token-file": options.token_file,
        "--tls-certificate": options.tls_certificate,
        "--tls-key": options.tls_key,
        "--grpc-port": options.grpc_port,
    }
    named = [part for name, value in given.items() if value is not None for part in (name, str(value))]
    return [*named, *(["--insecure"] if options.insecure else [])]


def _serve_pipeline(config: Path, front: Front) -> int:
    with without_collections():
        from stream_infer.app.serve_pipeline import run_serve_pipeline  # noqa: PLC0415 - imports scikit-learn
        from stream_infer.config.settings import load_settings  # noqa: PLC0415 - imports pydantic

    return run_serve_pipeline(load_settings(config, os.environ), front)
