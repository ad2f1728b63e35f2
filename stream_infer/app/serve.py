"""The composition root of the serving role: a package becomes an HTTP application on a port."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from ssl import SSLContext

from starlette.types import ASGIApp

from stream_infer import __version__
from stream_infer.app.kit.lifetime import run_until_signal
from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.package import verify
from stream_infer.ops.http import HttpServer, Listening
from stream_infer.ops.metrics import Build
from stream_infer.ops.tls import tls_context
from stream_infer.packaging.scorer import Scorer, make_scorer
from stream_infer.rollout.golden_check import check_golden
from stream_infer.runtime.stop import Stop
from stream_infer.serving.access import Guarded, TokenFile
from stream_infer.serving.application import RequestLimits, Scoring, serving_application
from stream_infer.serving.batching import Batcher, Limits
from stream_infer.serving.connections import ConnectionLimits, Connections, guarded_protocol
from stream_infer.serving.metrics import ServingMetrics

_LOG = logging.getLogger("stream_infer.serve")
_DRAIN_S = 8
_OTHER_FILES = 256


@dataclass(frozen=True, slots=True)
class Front:
    """Where a server listens, and whom it answers.

    `tokens` is a file of bearer tokens. `certificate` and `key` are the PEM files of TLS. Beyond this machine
    it answers without tokens only where it `is_open` to all.
    """

    where: Listening
    tokens: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    is_open: bool = False


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


def serve(front: Front, current: Callable[[], Scorer], stop: Stop, *, pipeline: str) -> None:
    """Answer until `stop` is requested, then what is in flight. Raises `Misconfigured` for the port."""
    metrics = ServingMetrics(pipeline, Build(__version__))
    batcher = Batcher(Scoring(), Limits(), metrics.scored)
    application: ASGIApp = serving_application(current, batcher, RequestLimits(), metrics)
    if front.tokens is not None:
        application = Guarded(application, TokenFile(front.tokens).admits, metrics)
    server = HttpServer(
        application,
        front.where,
        grace_s=_DRAIN_S,
        protocol=guarded_protocol(Connections(_connection_limits(), metrics), fastest=True),
        fastest=True,
        tls=_tls(front),
    )
    first = current().model
    with server, closing(batcher):
        _LOG.info(
            LogEvent.SERVING,
            extra={
                "url": server.url,
                "model": first.manifest.name,
                "model_version": first.manifest.version,
                "digest": first.digest,
            },
        )
        stop.wait(None)


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
