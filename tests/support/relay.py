"""A TCP relay between client and broker that delivers everything late, as a long way does.

It does not wait for one piece before it takes the next: the delay adds to the latency of each request, and
takes nothing from throughput.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

_LOOPBACK = "127.0.0.1"
_PIECE = 2**16


class DelayingRelay:
    """Forwards connections to port `listen` on to port `upstream`, both of the loopback, while entered.

    `round_trip_s` is what it adds to a request and its answer together; it may be changed at any time.
    `connections` counts those that it has taken.
    """

    def __init__(self, listen: int, upstream: int, *, round_trip_s: float = 0.0) -> None:
        self.round_trip_s = round_trip_s
        self.connections = 0
        self._listen = listen
        self._upstream = upstream
        self._lock = threading.Lock()
        self._closing = True
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Take connections."""
        listener = socket.create_server((_LOOPBACK, self._listen))
        self._closing, self._sockets = False, [listener]
        self._begin(self._accept, listener)

    def cut(self) -> None:
        """Break all connections; new ones are taken."""
        with self._lock:
            for each in self._sockets[1:]:
                _shut(each)

    def stop(self) -> None:
        """Break all connections and refuse new ones."""
        with self._lock:
            self._closing = True
        for each in self._sockets:
            _shut(each)
        for thread in self._threads:
            thread.join()
        for each in self._sockets:
            each.close()
        self._sockets, self._threads = [], []

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _address = listener.accept()
            except OSError:  # the listener was shut
                return
            with self._lock:
                if self._closing:
                    client.close()
                    return
                try:
                    broker = socket.create_connection((_LOOPBACK, self._upstream))
                except OSError:
                    client.close()
                    continue
                self.connections += 1
                self._sockets += [client, broker]
                self._link(client, broker)
                self._link(broker, client)

    def _link(self, source: socket.socket, target: socket.socket) -> None:
        """Start the two threads of one direction: one takes what comes, one delivers it when it is due."""
        source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        under_way: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        self._begin(self._take, source, under_way)
        self._begin(_deliver, target, under_way)

    def _take(self, source: socket.socket, under_way: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        piece = b"first"
        while piece:
            piece = b""
            with contextlib.suppress(OSError):  # the connection broke: the same as its end
                piece = source.recv(_PIECE)
            under_way.put((time.monotonic() + self.round_trip_s / 2, piece))

    def _begin(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name="relay")
        self._threads.append(thread)
        thread.start()


def _deliver(target: socket.socket, under_way: queue.SimpleQueue[tuple[float, bytes]]) -> None:
    while True:
        due, piece = under_way.get()
        time.sleep(max(0.0, due - time.monotonic()))
        with contextlib.suppress(OSError):  # the target has gone: so will the source
            if not piece:
                break
            target.sendall(piece)
    _shut(target)


def _shut(each: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it was shut before, or by the other side
        each.shutdown(socket.SHUT_RDWR)
