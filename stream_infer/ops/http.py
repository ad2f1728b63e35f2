"""The worker's HTTP side: `/livez`, `/readyz` and `/metrics`, on a thread of its own.

It only reads: the newest `Progress` and the metrics registry. Nothing here can reach the loop or change its
mind.
"""

from __future__ import annotations

import errno
import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.ops.progress import LoopState, Progress

_LOG = logging.getLogger(__name__)
_CLOSE_S = 1.9
_GRACE_S = 1
_BACKLOG = 64
_ABORTING_S = 30.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the worker can score, and what it still waits for."""

    ready: bool
    waiting_for: tuple[str, ...]


def readiness(progress: Progress, now: float) -> Readiness:
    """Judge `progress` at `now` (on its clock): ready means running, with a model, in the group, committing.

    An abort is nothing; half a minute of nothing else is. Lag and monitoring are no part.
    """
    waiting_for = []
    if progress.state is not LoopState.RUNNING:
        waiting_for.append("the loop")
    if progress.model_version is None:
        waiting_for.append("a model")
    if not progress.joined:
        waiting_for.append("an assignment")
    if progress.aborting is not None and (aborted_s := now - progress.aborting.since) > _ABORTING_S:
        waiting_for.append(f"a commit: aborted for {aborted_s:.0f} s, last for {progress.aborting.reason}")
    return Readiness(not waiting_for, tuple(waiting_for))


def application(
    progress: Callable[[], Progress],
    registry: CollectorRegistry,
    *,
    max_idle_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """Build the three endpoints. `clock` is the one that `Progress.active_at` was read from.

    `max_idle_s`: how long the loop may say nothing and count as alive. Take `max.poll.interval.ms`: past
    it the broker has given up on the worker too.
    """

    async def livez(_: Request) -> Response:
        idle_s = clock() - progress().active_at
        live = idle_s <= max_idle_s
        body = {"live": live, "idle_s": round(idle_s, 3), "max_idle_s": max_idle_s}
        return JSONResponse(body, status_code=200 if live else 503)

    async def readyz(_: Request) -> Response:
        now = progress()
        verdict = readiness(now, clock())
        body = {
            "ready": verdict.ready,
            "waiting_for": list(verdict.waiting_for),
            "state": now.state,
            "model_version": now.model_version,
            "joined": now.joined,
            "assigned_partitions": len(now.owned),
            "degraded": list(now.degraded),
        }
        return JSONResponse(body, status_code=200 if verdict.ready else 503)

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)])


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen on `host:port` (0 takes any free port), or raise `Misconfigured` with the way out.

    We listen ourselves and hand the socket over: uvicorn would find a busy port only on its thread, and call
    `sys.exit` there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Misconfigured([_problem(host, port, error)]) from error


def _problem(host: str, port: int, error: OSError) -> Problem:
    if error.errno == errno.EADDRINUSE:
        message = f"port {port} on {host} is in use by another process"
        fix = "stop that process, or set another [http] port (0 takes a free one)"
        return Problem("http.port", str(port), message, fix)
    if error.errno == errno.EACCES:
        message = f"this user may not listen on port {port}"
        return Problem("http.port", str(port), message, "set an [http] port of 1024 or above")
    message = f"cannot listen on {host}: {error.strerror or error}"
    return Problem("http.host", host, message, "set [http] host to an address of this machine, as 127.0.0.1")


class HttpServer:
    """Serves an application on its own thread between `start()` and `close()`; one start per server.

    `start()` returns with the port bound. `close()` ends the thread within two seconds, may be called again,
    and does not raise; a request still running by then is cut.
    """

    def __init__(self, application: Starlette, *, host: str = "127.0.0.1", port: int = 8900) -> None:
        self._host = host
        self._port = port
        self._server = uvicorn.Server(
            uvicorn.Config(
                application,
                lifespan="off",
                loop="asyncio",
                http="h11",
                ws="none",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=_GRACE_S,
            )
        )
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The port asked for; after `start()` the one bound."""
        return self._port

    def start(self) -> None:
        """Bind the port and begin to answer. Raises `Misconfigured` when the port cannot be had."""
        bound = listen(self._host, self._port)
        self._port = bound.getsockname()[1]
        self._thread = threading.Thread(
            target=_serve, args=(self._server, bound), name="stream-infer-http", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering and end the thread."""
        self._server.should_exit = True
        if self._thread is not None:
            self._thread.join(_CLOSE_S)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _serve(server: uvicorn.Server, bound: socket.socket) -> None:
    """Run until `should_exit`. A crash here is logged: probes then fail, and scoring goes on."""
    with bound:
        try:
            server.run(sockets=[bound])
        except Exception:  # noqa: BLE001 - the edge of a thread: nothing above could act on it
            _LOG.exception(LogEvent.HTTP_FAILED)
