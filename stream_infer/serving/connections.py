"""Limits of connections, which uvicorn has none for: number, and time of a head, a body and an answer.

When there are as many as may be, the one that the server has waited for the longest makes room, so that slow
callers shut no others out.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from http import HTTPStatus
from typing import Any

from starlette.requests import ClientDisconnect
from uvicorn.protocols.http.h11_impl import H11Protocol

from stream_infer.serving.metrics import ServingMetrics

ON_LEAVE = "stream_infer.on_leave"
"""The key of a request's scope for what is called when its caller goes away."""

_HEAD_BYTES = 64 * 2**10


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """The most connections; seconds for the head and the body of a request, and to take in its answer."""

    connections: int = 4_096
    head_s: float = 10.0
    body_s: float = 60.0
    answer_s: float = 30.0


class Awaited(StrEnum):
    """What the server waits for from a caller."""

    HEAD = "head"
    BODY = "body"


class Connections:
    """The connections of a server. `awaited` are those that it waits for, the longest one first."""

    def __init__(self, limits: ConnectionLimits, metrics: ServingMetrics) -> None:
        self.limits = limits
        self.awaited: dict[GuardedConnection, None] = {}
        self._metrics = metrics
        self._open = 0

    def enter(self) -> bool:
        """Take a connection in; the longest awaited one makes room. Return False when none can."""
        self._open += 1
        self._metrics.connected(self._open)
        if self._open <= self.limits.connections:
            return True
        if not self.awaited:
            self._metrics.cut("full")
            return False
        next(iter(self.awaited)).abort("displaced")
        return True

    def leave(self) -> None:
        """Take note that a connection is closed."""
        self._open -= 1
        self._metrics.connected(self._open)

    def cut(self, reason: str) -> None:
        """Take note that a connection is ended by a limit."""
        self._metrics.cut(reason)


class _OpenTransport:
    """A transport that drops what is written once it closes, where that of uvloop raises."""

    def __init__(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the transport has
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Send `data` while the connection is open."""
        if not self._transport.is_closing():
            self._transport.write(data)


class GuardedConnection(asyncio.Protocol):
    """A mixin for a protocol of uvicorn: it ends a connection whose caller is too slow."""

    transport: asyncio.Transport
    loop: asyncio.AbstractEventLoop
    scope: Any
    cycle: Any

    def __init__(self, *args: Any, guard: Connections, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's
        super().__init__(*args, **kwargs)
        self._guard = guard
        self._awaits: Awaited | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a connection in, or refuse it."""
        super().connection_made(transport)
        self.transport = _OpenTransport(transport)  # type: ignore[assignment]  # all else is the transport's
        _bound_unread(transport, self._guard.limits.answer_s)
        if self._guard.enter():
            self._await(Awaited.HEAD)
        else:
            self._end(HTTPStatus.SERVICE_UNAVAILABLE)

    def data_received(self, data: bytes) -> None:
        """Read `data`."""
        super().data_received(data)
        awaits = self._missing()
        self._head_bytes = self._head_bytes + len(data) if awaits is Awaited.HEAD else 0
        if self._head_bytes > _HEAD_BYTES:
            self._cut("large_head", HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif awaits is not self._awaits:
            self._await(awaits)

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()  # type: ignore[misc]  # uvicorn's
        if not self.transport.is_closing() and self._missing() is not self._awaits:
            self._await(self._missing())

    def connection_lost(self, error: Exception | None) -> None:
        """Take note that the connection is closed: what its caller waited for is not wanted any more."""
        super().connection_lost(error)
        self._await(None)
        self._guard.leave()
        if self.scope is not None and (leave := self.scope.get(ON_LEAVE)):
            leave()

    def abort(self, reason: str) -> None:
        """End the connection at once."""
        self._await(None)
        self._guard.cut(reason)
        self.transport.abort()

    def _missing(self) -> Awaited | None:
        if self.cycle is None or self.cycle.response_complete:
            return Awaited.HEAD
        return Awaited.BODY if self.cycle.more_body else None

    def _await(self, awaits: Awaited | None) -> None:
        self._awaits = awaits
        self._guard.awaited.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if awaits is not None:
            limits = self._guard.limits
            seconds = limits.head_s if awaits is Awaited.HEAD else limits.body_s
            self._guard.awaited[self] = None
            self._timer = self.loop.call_later(
                seconds, self._cut, f"slow_{awaits.value}", HTTPStatus.REQUEST_TIMEOUT
            )

    def _cut(self, reason: str, status: HTTPStatus) -> None:
        self._guard.cut(reason)
        self._end(status)

    def _end(self, status: HTTPStatus) -> None:
        self._await(None)
        if self.cycle is None or not self.cycle.response_started:
            head = f"HTTP/1.1 {status.value} {status.phrase}\r\nconnection: close\r\ncontent-length: 0\r\n"
            self.transport.write(f"{head}retry-after: 1\r\n\r\n".encode())
        self.transport.close()


class _GuardedH11(GuardedConnection, H11Protocol):
    pass


def guarded_protocol(guard: Connections, *, fastest: bool) -> Callable[..., asyncio.Protocol]:
    """Return the protocol that `guard` limits; `fastest` uses httptools where it is installed."""
    return partial(_fast_protocol() if fastest else _GuardedH11, guard=guard)


def _fast_protocol() -> Callable[..., asyncio.Protocol]:
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol  # noqa: PLC0415 - an extra
    except ImportError:
        return _GuardedH11
    return type("GuardedHttpTools", (GuardedConnection, HttpToolsProtocol), {})


def watch_caller(scope: MutableMapping[str, Any], answer: asyncio.Future[Any]) -> None:
    """Give `answer` up with `ClientDisconnect` when the caller of the request of `scope` goes away."""

    def leave() -> None:
        if not answer.done():
            answer.set_exception(ClientDisconnect())

    scope[ON_LEAVE] = leave


def _bound_unread(transport: asyncio.BaseTransport, seconds: float) -> None:
    """Let the kernel end a connection whose caller has taken nothing in for that long, where it can."""
    connection = transport.get_extra_info("socket")
    if connection is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))
