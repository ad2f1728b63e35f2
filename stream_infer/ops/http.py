"""The HTTP endpoints of a worker, `/livez`, `/readyz` and `/metrics`, on a thread of their own.

They only read the newest `Progress` and the metrics registry: they cannot influence the loop.
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

from stream_infer.flow.codes import LogEvent, ReadinessReason
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.ops.progress import LoopState, Progress

_LOG = logging.getLogger(__name__)
_CLOSE_S = 1.9
_GRACE_S = 1
_BACKLOG = 64
_ABORTING_S = 30.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether the worker can score; `waiting_for` has the reasons why not."""

    ready: bool
    waiting_for: tuple[str, ...]


def readiness(progress: Progress, now: float) -> Readiness:
    """Return whether a worker is ready: it runs, has a model, is assigned, commits, and reads all.

    `now` is on the clock of `progress`, in seconds. Aborts count after 30 s without a commit. Lag and
    monitoring do not count.
    """
    waiting_for: list[str] = []
    if progress.state is not LoopState.RUNNING:
        waiting_for.append(ReadinessReason.NOT_RUNNING)
    if progress.model_version is None:
        waiting_for.append(ReadinessReason.NO_MODEL)
    if not progress.joined:
        waiting_for.append(ReadinessReason.NO_ASSIGNMENT)
    if progress.aborting is not None and (aborted_s := now - progress.aborting.since) > _ABORTING_S:
        detail = f"aborted for {aborted_s:.0f} s, last because: {progress.aborting.reason}"
        waiting_for.append(f"{ReadinessReason.NO_COMMIT}: {detail}")
    if progress.paused is not None:
        names = ", ".join(f"{p.topic}/{p.index}" for p in progress.paused.paused)
        waiting_for.append(f"{ReadinessReason.PARTITIONS_PAUSED}: {names}: {progress.paused.reason}")
    return Readiness(not waiting_for, tuple(waiting_for))


def application(
    progress: Callable[[], Progress],
    registry: CollectorRegistry,
    *,
    max_idle_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """Return the application with the three endpoints. `clock` is that of `Progress.active_at`.

    `max_idle_s` is the longest time without an event in which the loop counts as alive. Use
    `max.poll.interval.ms`: after it the broker removes the worker from the group.
    """

    async def livez(_: Request) -> Response:
        idle_s = clock() - progress().active_at
        live = idle_s <= max_idle_s
        body = {"live": live, "idle_s": round(idle_s, 3), "max_idle_s": max_idle_s}
        return JSONResponse(body, status_code=200 if live else 503)

    async def readyz(_: Request) -> Response:
        now = progress()
        found = readiness(now, clock())
        body = {
            "ready": found.ready,
            "waiting_for": list(found.waiting_for),
            "state": now.state,
            "model_version": now.model_version,
            "joined": now.joined,
            "assigned_partitions": len(now.owned),
            "degraded": list(now.degraded),
        }
        return JSONResponse(body, status_code=200 if found.ready else 503)

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    return Starlette(routes=[Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)])


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens on `host:port` (port 0: any free one). Raises `Misconfigured`.

    uvicorn is given the socket: by itself it would find a busy port only on its thread, and call `sys.exit`
    there.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Misconfigured([_problem(host, port, error)]) from error


def _problem(host: str, port: int, error: OSError) -> Problem:
    if error.errno == errno.EADDRINUSE:
        message = f"is in use by another process on {host}"
        fix = "stop that process, or set another [http] port (0: any free one)"
        return Problem("http.port", str(port), message, fix)
    if error.errno == errno.EACCES:
        message = "is a port that this user may not listen on"
        return Problem("http.port", str(port), message, "set an [http] port of 1024 or above")
    message = f"cannot be listened on: {error.strerror or error}"
    fix = "set [http] host to an address of this machine, for example 127.0.0.1"
    return Problem("http.host", host, message, fix)


class HttpServer:
    """Serves an application on its own thread from `start()` to `close()`. It can be started once.

    `start()` returns when the port is bound. `close()` ends the thread within two seconds and does not raise;
    a second call does nothing. A request that still runs is cut off.
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
        """The requested port; after `start()` the bound one."""
        return self._port

    def start(self) -> None:
        """Bind the port and begin to answer. Raises `Misconfigured` when the port cannot be bound."""
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
    """Serve until `should_exit`. A crash is logged: probes fail from then on, scoring goes on."""
    with bound:
        try:
            server.run(sockets=[bound])
        except Exception:  # noqa: BLE001 - top of a thread: no caller could handle it
            _LOG.exception(LogEvent.HTTP_FAILED)
