"""The composition root of the serving role: a package becomes an HTTP application on a port."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from ssl import SSLContext
from typing import TYPE_CHECKING

from starlette.types import ASGIApp

from stream_infer import __version__
from stream_infer.app.kit.lifetime import run_until_signal
from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.load import Model
from stream_infer.models.package import verify
from stream_infer.ops.http import HttpServer, Listening
from stream_infer.ops.metrics import Build
from stream_infer.ops.tls import tls_context
from stream_infer.packaging.scorer import Scorer, make_scorer
from stream_infer.rollout.golden_check import check_golden
from stream_infer.runtime.stop import Stop
from stream_infer.serving.access import Admits, Guarded, TokenFile
from stream_infer.serving.application import own_application, serving_application
from stream_infer.serving.batching import Batcher, Limits
from stream_infer.serving.connections import ConnectionLimits, Connections, guarded_protocol
from stream_infer.serving.metrics import ServingMetrics
from stream_infer.serving.row_scorer import RequestLimits, RowScorer, Scoring
from stream_infer.steps.observing.scored import ScoredRows

if TYPE_CHECKING:
    from stream_infer.serving.grpc_server import GrpcServer

_LOG = logging.getLogger("stream_infer.serve")
_DRAIN_S = 8
_STARTS_WITHIN_S = 30
_OTHER_FILES = 256


@dataclass(frozen=True, slots=True)
class Front:
    """Where a server listens, and whom it answers.

    `tokens` is a file of bearer tokens. `certificate` and `key` are the PEM files of TLS. Beyond this machine
    it answers without tokens only where it `is_open` to all. `grpc` is the port of gRPC, `metrics` that of
    probes and metrics of this process alone. With `shared` the port of gRPC is that of several processes.
    """

    where: Listening
    tokens: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    is_open: bool = False
    grpc: int | None = None
    metrics: int | None = None
    shared: bool = False


def run_serve(package: Path, front: Front) -> int:
    """Serve `package` until SIGTERM (exit code 0) or SIGINT (130). Raises `Refused` and `Misconfigured`."""
    require_guarded(front)
    return run_until_signal(partial(load_served, package), partial(serve_package, front))


def load_served(package: Path) -> Scorer:
    """Verify the package at `package`, load it and compare it with its golden rows. Raises `Refused`."""
    verified = verify(package)
    scorer = make_scorer(verified)
    check_golden(scorer.model, verified)
    return scorer


def serve_package(front: Front, served: Scorer, stop: Stop) -> None:
    """Answer with `served` until `stop` is requested. Raises `Misconfigured` for the port."""
    serve(front, lambda: served, stop, pipeline=served.model.manifest.name)


def serve(
    front: Front,
    current: Callable[[], Scorer],
    stop: Stop,
    *,
    pipeline: str,
    note: Callable[[Model, int, ScoredRows | None], object] = lambda _model, _rows, _scored: None,
) -> None:
    """Answer until `stop` is requested, then what is in flight; `note` is told of all rows.

    Raises `Misconfigured` for a port.
    """
    metrics = ServingMetrics(pipeline, Build(__version__))
    batcher = Batcher(Scoring(note), Limits(), metrics.scored)
    scorer = RowScorer(
        current, batcher, RequestLimits(), metrics, lambda model, rows: note(model, rows, None)
    )
    admits = None if front.tokens is None else TokenFile(front.tokens).admits
    grpc = None if front.grpc is None else _grpc_server(front, scorer, admits)
    application: ASGIApp = serving_application(scorer, None if grpc is None else grpc.running)
    if admits is not None:
        application = Guarded(application, admits, metrics)
    server = HttpServer(
        application,
        front.where,
        grace_s=_DRAIN_S,
        protocol=guarded_protocol(Connections(_connection_limits(), metrics), fastest=True),
        fastest=True,
        tls=_tls(front),
        lifespan=grpc is not None,
    )
    with ExitStack() as stack:
        stack.callback(batcher.close)
        stack.enter_context(server)
        if grpc is not None:
            stack.callback(grpc.begin_stop)
        if front.metrics is not None:
            own = Listening(front.where.host, front.metrics, host_key="--host", port_key="--metrics-port")
            stack.enter_context(HttpServer(own_application(scorer), own))
        _announce(server.url, current(), None if grpc is None else _started(grpc, front))
        stop.wait(None)


def _announce(url: str, first: Scorer, grpc_port: int | None) -> None:
    extra = {
        "url": url,
        "model": first.model.manifest.name,
        "model_version": first.model.manifest.version,
        "digest": first.model.digest,
    }
    _LOG.info(LogEvent.SERVING, extra=extra if grpc_port is None else extra | {"grpc_port": grpc_port})


def _grpc_server(front: Front, scorer: RowScorer, admits: Admits | None) -> GrpcServer:
    try:
        from stream_infer.serving.grpc_server import GrpcServer, tls_credentials  # noqa: PLC0415 - an extra
    except ImportError as error:
        fix = "pip install 'stream-infer-worker[grpc]'"
        message = f"needs the extra grpc, and {error.name} is not installed"
        raise Misconfigured([Problem("--grpc-port", str(front.grpc), message, fix)]) from error
    host = f"[{front.where.host}]" if ":" in front.where.host else front.where.host
    pair = (front.certificate, front.key)
    return GrpcServer(
        scorer,
        f"{host}:{front.grpc}",
        admits=admits,
        credentials=None if pair[0] is None or pair[1] is None else tls_credentials(pair[0], pair[1]),
        grace_s=_DRAIN_S,
        shared=front.shared,
    )


def _started(grpc: GrpcServer, front: Front) -> int:
    """Return the bound port of gRPC. Raises `Misconfigured`."""
    try:
        return grpc.started.result(_STARTS_WITHIN_S)
    except (RuntimeError, TimeoutError) as error:
        fix = "stop the process that has it, or set another --grpc-port (0: any free one)"
        raise Misconfigured(
            [Problem("--grpc-port", str(front.grpc), "cannot be listened on", fix)]
        ) from error


def require_guarded(front: Front) -> None:
    """Raise `Misconfigured` where other machines could ask without a token, and nobody said so."""
    problems = []
    host = front.where.host
    if front.tokens is None and not front.is_open and not _is_loopback(host):
        message = "can be reached from other machines, and no token is asked for"
        fix = "give --token-file FILE, or --insecure where something else guards the port"
        problems.append(Problem("--host", host, message, fix))
    if (front.certificate is None) != (front.key is None):
        given = "--tls-certificate" if front.key is None else "--tls-key"
        fix = "give both --tls-certificate and --tls-key"
        problems.append(Problem(given, str(front.certificate or front.key), "is one of a pair", fix))
    if problems:
        raise Misconfigured(problems)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _tls(front: Front) -> SSLContext | None:
    if front.certificate is None or front.key is None:
        return None
    return tls_context(front.certificate, front.key)


def _connection_limits() -> ConnectionLimits:
    """Return as many connections as this process may have files open, at most those of the default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ConnectionLimits().connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return ConnectionLimits(connections=max(1, soft - _OTHER_FILES))
    return ConnectionLimits()
