"""The composition root of the serving role: a package becomes an HTTP application on a port."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from stream_infer import __version__
from stream_infer.app.kit.lifetime import run_until_signal
from stream_infer.flow.codes import LogEvent
from stream_infer.models.package import verify
from stream_infer.ops.http import HttpServer, Listening
from stream_infer.ops.metrics import Build
from stream_infer.packaging.scorer import Scorer, make_scorer
from stream_infer.rollout.golden_check import check_golden
from stream_infer.runtime.stop import Stop
from stream_infer.serving.application import RequestLimits, Scoring, serving_application
from stream_infer.serving.batching import Batcher, Limits
from stream_infer.serving.connections import ConnectionLimits, Connections, guarded_protocol
from stream_infer.serving.metrics import ServingMetrics

_LOG = logging.getLogger("stream_infer.serve")
_DRAIN_S = 8
_OTHER_FILES = 256


def run_serve(package: Path, where: Listening) -> int:
    """Serve `package` until SIGTERM (exit code 0) or SIGINT (130). Raises `Refused` and `Misconfigured`."""
    return run_until_signal(partial(load_served, package), partial(serve_package, where))


def load_served(package: Path) -> Scorer:
    """Verify the package at `package`, load it and compare it with its golden rows. Raises `Refused`."""
    verified = verify(package)
    scorer = make_scorer(verified)
    check_golden(scorer.model, verified)
    return scorer


def serve_package(where: Listening, served: Scorer, stop: Stop) -> None:
    """Answer with `served` until `stop` is requested. Raises `Misconfigured` for the port."""
    serve(where, lambda: served, stop, pipeline=served.model.manifest.name)


def serve(where: Listening, current: Callable[[], Scorer], stop: Stop, *, pipeline: str) -> None:
    """Answer until `stop` is requested, then what is in flight. Raises `Misconfigured` for the port."""
    metrics = ServingMetrics(pipeline, Build(__version__))
    batcher = Batcher(Scoring(), Limits(), metrics.scored)
    server = HttpServer(
        serving_application(current, batcher, RequestLimits(), metrics),
        where,
        grace_s=_DRAIN_S,
        protocol=guarded_protocol(Connections(_connection_limits(), metrics), fastest=True),
        fastest=True,
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


def _connection_limits() -> ConnectionLimits:
    """Return as many connections as this process may have files open, at most those of the default."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ConnectionLimits().connections + _OTHER_FILES
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return ConnectionLimits(connections=max(1, soft - _OTHER_FILES))
    return ConnectionLimits()
