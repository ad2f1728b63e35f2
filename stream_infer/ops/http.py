"""The HTTP endpoints of a worker, `/livez`, `/readyz` and `/metrics`, on a thread of their own.

They only read the newest `Progress` and the metrics registry: they cannot influence the loop.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import uvicorn
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from stream_infer.flow.codes import LogEvent, ReadinessReason
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.flow.records import Partition
from stream_infer.ops.progress import ClientTrouble, LoopState, Progress
from stream_infer.ops.routes import exact_routes

_LOG = logging.getLogger(__name__)
_GRACE_S = 1
_BEYOND_GRACE_S = 0.9
_BACKLOG = 64
_TICK_S = 1.0
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
    if progress.delayed is not None:
        names = _names(progress.delayed.waiting)
        waiting_for.append(f"{ReadinessReason.NO_ASSIGNMENT}: {names}: {progress.delayed.reason}")
    elif not progress.joined:
        waiting_for.append(ReadinessReason.NO_ASSIGNMENT)
    if progress.aborting is not None and (aborted_s := now - progress.aborting.since) > _ABORTING_S:
        detail = f"aborted for {aborted_s:.0f} s, last because: {progress.aborting.reason}"
        waiting_for.append(f"{ReadinessReason.NO_COMMIT}: {detail}")
    waiting_for += [
        f"{ReadinessReason.PARTITIONS_PAUSED}: {_names(one.paused)}: {one.reason}" for one in progress.paused
    ]
    for p, reason in sorted(progress.halted.items()):
        waiting_for.append(f"{ReadinessReason.PARTITION_HALTED}: {p.topic}/{p.index}: {reason}")
    if progress.missing:
        waiting_for.append(f"{ReadinessReason.INPUT_MISSING}: {', '.join(progress.missing)}")
    return Readiness(not waiting_for, tuple(waiting_for))


def _names(partitions: Iterable[Partition]) -> str:
    return ", ".join(f"{p.topic}/{p.index}" for p in partitions)


def application(
    progress: Callable[[], Progress],
    registry: CollectorRegistry,
    *,
    max_idle_s: float,
    foreign_members: Callable[[], Sequence[str]] = tuple,
    clock: Callable[[], float] = time.monotonic,
) -> Starlette:
    """Return the application with the three endpoints, and a line about them at `/`.

    `clock` is that of `Progress.active_at`.
    `foreign_members` returns the consumers in the group that are no worker. `max_idle_s` is the longest time
    without an event in which the loop counts as alive. Use `max.poll.interval.ms`: after it the broker
    removes the worker from the group.
    """

    async def about(_: Request) -> Response:
        return PlainTextResponse(f"stream_infer: {', '.join(answers)}\n")

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
            "foreign_members": list(foreign_members()),
            "client_error": _told(now.trouble, clock()),
            "not_following_since": now.not_following_since,
        }
        return JSONResponse(body, status_code=200 if found.ready else 503)

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    answers = {"/livez": livez, "/readyz": readyz, "/metrics": metrics}
    return exact_routes([Route(path, answer) for path, answer in {"/": about, **answers}.items()])


def _told(trouble: ClientTrouble | None, now: float) -> dict[str, object] | None:
    return None if trouble is None else {"reason": trouble.reason, "ago_s": round(now - trouble.at, 1)}


@dataclass(frozen=True, slots=True)
class Listening:
    """Where to listen (port 0: any free one), and the names of both for whoever has set them.

    `descriptor` is that of a socket which listens already, for several processes.
    """

    host: str = "127.0.0.1"
    port: int = 8900
    host_key: str = "http.host"
    port_key: str = "http.port"
    descriptor: int | None = None


def listen(where: Listening) -> socket.socket:
    """Return a socket that listens. Raises `Misconfigured`.

    uvicorn is given the socket: by itself it would find a busy port only on its thread, and call `sys.exit`
    there.
    """
    if where.descriptor is not None:
        return socket.socket(fileno=where.descriptor)
    family = socket.AF_INET6 if ":" in where.host else socket.AF_INET
    try:
        return socket.create_server((where.host, where.port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise Misconfigured([_problem(where, error)]) from error


def _problem(where: Listening, error: OSError) -> Problem:
    if error.errno == errno.EADDRINUSE:
        message = f"is in use by another process on {where.host}"
        fix = f"stop that process, or set another {where.port_key} (0: any free one)"
        return Problem(where.port_key, str(where.port), message, fix)
    if error.errno == errno.EACCES:
        message = "is a port that this user may not listen on"
        return Problem(where.port_key, str(where.port), message, f"set a {where.port_key} of 1024 or above")
    message = f"cannot be listened on: {error.strerror or error}"
    fix = f"set {where.host_key} to an address of this machine, for example 127.0.0.1"
    return Problem(where.host_key, where.host, message, fix)


class HttpServer:
    """Serves an application on its own thread from `start()` to `close()`. It can be started once.

    `start()` returns when the port is bound. `close()` ends the thread within a second after `grace_s`, and
    does not raise; a second call does nothing. A request that still runs after `grace_s` is cut off.
    `protocol` makes uvicorn's protocol of a connection; `fastest` uses the event loop of the extra `fast`,
    where it is installed. With `tls` it speaks HTTPS. With
    `lifespan` the application is told when it begins and ends.
    """

    def __init__(
        self,
        application: ASGIApp,
        where: Listening,
        *,
        grace_s: int = _GRACE_S,
        protocol: Callable[..., asyncio.Protocol] = H11Protocol,
        fastest: bool = False,
        tls: ssl.SSLContext | None = None,
        lifespan: bool = False,
    ) -> None:
        self._where = where
        self._port = where.port
        self._scheme = "http" if tls is None else "https"
        self._close_s = grace_s + _BEYOND_GRACE_S
        config = uvicorn.Config(
            application,
            lifespan="on" if lifespan else "off",
            loop="auto" if fastest else "asyncio",
            http=protocol,  # type: ignore[arg-type]  # any callable will do
            ws="none",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=grace_s,
        )
        config.load()
        config.ssl = tls  # a context of our own: uvicorn's cannot be renewed
        self._server = _QuietServer(config)
        self._thread: threading.Thread | None = None

    @property
    def port(self) -> int:
        """The requested port; after `start()` the bound one."""
        return self._port

    @property
    def url(self) -> str:
        """The address that a caller on this machine uses."""
        host = f"[{self._where.host}]" if ":" in self._where.host else self._where.host
        return f"{self._scheme}://{host}:{self._port}"

    def start(self) -> None:
        """Bind the port and begin to answer. Raises `Misconfigured` when the port cannot be bound."""
        bound = listen(self._where)
        self._port = bound.getsockname()[1]
        self._thread = threading.Thread(
            target=_serve, args=(self._server, bound), name="stream-infer-http", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop answering and end the thread."""
        self._server.end()
        if self._thread is not None:
            self._thread.join(self._close_s)

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


class _QuietServer(uvicorn.Server):
    """Wakes once a second for the date of its answers, in place of ten times, and at its end."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._end: Callable[[], object] = int

    async def main_loop(self) -> None:
        told, loop = asyncio.Event(), asyncio.get_running_loop()
        self._end = lambda: loop.call_soon_threadsafe(told.set)
        while not await self.on_tick(0):
            with suppress(TimeoutError):
                await asyncio.wait_for(told.wait(), _TICK_S)

    def end(self) -> None:
        """Let `run` return. Any thread may call this, at any time."""
        self.should_exit = True
        with suppress(RuntimeError):  # the loop is closed
            self._end()


def _serve(server: uvicorn.Server, bound: socket.socket) -> None:
    """Serve until `should_exit`. A crash is logged: probes fail from then on, scoring goes on."""
    with bound:
        try:
            server.run(sockets=[bound])
        except Exception:  # noqa: BLE001 - top of a thread: no caller could handle it
            _LOG.exception(LogEvent.HTTP_FAILED)
