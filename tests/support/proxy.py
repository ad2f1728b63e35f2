"""A TCP proxy between client and broker that can delay or cut a request, as a bad network does.

It reads Kafka's frames: four bytes of length, then, in a request, the API key and version (two bytes each)
and the correlation id (four bytes); an answer starts with the correlation id. The connection to the broker
stays open while a request is held: it can be delivered long after its client gave it up.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from enum import Enum, IntEnum, auto
from types import TracebackType
from typing import Self

_LOOPBACK = "127.0.0.1"


class Api(IntEnum):
    """The API keys of the requests that tests hold."""

    PRODUCE = 0
    INIT_PRODUCER_ID = 22
    END_TXN = 26


class Way(Enum):
    """The effect of a held request on its client."""

    DELAYED = auto()
    """The connection stays open and no answer comes until the client gives up."""
    CUT = auto()
    """The connection is closed at once, before any answer."""


class Held:
    """A rule that holds one request, and the request once it has come."""

    def __init__(self, api: Api, way: Way, skip: int) -> None:
        self.api = api
        self.way = way
        self._skip = skip
        self._answer = b""
        self._delivering = False
        self._caught = threading.Event()
        self._decided = threading.Event()
        self._ended = threading.Event()

    def is_caught(self) -> bool:
        """Whether the request has come."""
        return self._caught.is_set()

    def wait_caught(self, within_s: float) -> None:
        """Return when the request is held. Raises `TimeoutError` when it does not come."""
        if not self._caught.wait(within_s):
            raise TimeoutError(f"no {self.api.name} came within {within_s} s")

    def deliver(self) -> None:
        """Forward the request to the broker now."""
        self._delivering = True
        self._decided.set()

    def drop(self) -> None:
        """Never forward the request, and close its connection."""
        self._decided.set()

    def wait_answered(self, within_s: float) -> None:
        """Return when the broker has answered the delivered request. Raises `TimeoutError` otherwise."""
        if not self._ended.wait(within_s) or not self._answer:
            raise TimeoutError(f"the broker did not answer the held {self.api.name}")

    def error_code(self, within_s: float) -> int:
        """Return the error code in the answer to a delivered EndTxn (up to version 2); 0 is success."""
        self.wait_answered(within_s)
        _length, _correlation_id, _throttle_ms, code = struct.unpack_from(">iiih", self._answer)
        return int(code)

    def _takes(self) -> bool:
        """Return whether a request of this API is the one to hold; count down those that go before it."""
        if self._skip:
            self._skip -= 1
            return False
        self._caught.set()
        return True

    def _wait_decided(self) -> bool:
        self._decided.wait()
        return self._delivering

    def _end(self, answer: bytes) -> None:
        self._answer = self._answer or answer
        self._ended.set()


class Proxy:
    """Forwards connections to port `listen` on to port `upstream`, both of the loopback, while entered."""

    def __init__(self, listen: int, upstream: int) -> None:
        self._listen = listen
        self._upstream = upstream
        self._listener = socket.socket()
        self._lock = threading.Lock()
        self._held: list[Held] = []
        self._links: list[_Link] = []
        self._closing = False
        self._flowing = threading.Event()
        self._flowing.set()
        self._acceptor = threading.Thread(target=self._accept, name="proxy-accept")

    def __enter__(self) -> Self:
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((_LOOPBACK, self._listen))
        self._listener.listen()
        self._acceptor.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._closing = True
        self._flowing.set()
        _shut(self._listener)
        self._acceptor.join()
        self._listener.close()
        for held in self._held:
            held.drop()
        for link in self._links:
            link.close()

    def hold(self, api: Api, way: Way = Way.DELAYED, *, skip: int = 0) -> Held:
        """Hold the next request of `api` after `skip` others of its kind, on whatever connection it comes.

        A second rule for the same `api` begins to count when the first one has caught its request.
        """
        held = Held(api, way, skip)
        with self._lock:
            self._held.append(held)
        return held

    def silence(self) -> None:
        """Stop forwarding in both directions and keep all connections open."""
        self._flowing.clear()

    def resume(self) -> None:
        """Forward again, first the data that came meanwhile."""
        self._flowing.set()

    def cut(self) -> None:
        """Close all connections; accept new ones."""
        for link in self._links:
            link.cut()

    def _match(self, frame: bytes) -> Held | None:
        with self._lock:
            api = struct.unpack_from(">h", frame, 4)[0]
            held = next((held for held in self._held if held.api == api and not held.is_caught()), None)
            return held if held is not None and held._takes() else None

    def _accept(self) -> None:
        while True:
            try:
                client, _address = self._listener.accept()
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
            link = _Link(client, broker, self._match, self._flowing)
            self._links.append(link)
            link.start()


class _Link:
    """A connection of a client and the one to the broker that serves it; a thread for each direction."""

    def __init__(
        self,
        client: socket.socket,
        broker: socket.socket,
        match: Callable[[bytes], Held | None],
        flowing: threading.Event,
    ) -> None:
        self._client = client
        self._broker = broker
        self._match = match
        self._flowing = flowing
        self._awaited: dict[bytes, Held] = {}  # by correlation id
        self._threads = (
            threading.Thread(target=self._forward_requests, name="proxy-requests"),
            threading.Thread(target=self._forward_answers, name="proxy-answers"),
        )

    def start(self) -> None:
        for each in (self._client, self._broker):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for thread in self._threads:
            thread.start()

    def cut(self) -> None:
        for each in (self._client, self._broker):
            _shut(each)

    def close(self) -> None:
        self.cut()
        for thread in self._threads:
            thread.join()
        for each in (self._client, self._broker):
            each.close()

    def _forward_requests(self) -> None:
        with contextlib.suppress(OSError):  # one side has gone
            while frame := _read_frame(self._client):
                self._flowing.wait()
                held = self._match(frame)
                if held is not None and not self._keep(held, frame):
                    break
                self._broker.sendall(frame)
        _requests, answers = self._threads
        for held in self._awaited.values():
            while answers.is_alive() and not held._ended.wait(0.1):
                pass
        self.cut()

    def _keep(self, held: Held, frame: bytes) -> bool:
        """Hold `frame`; return whether to forward it to the broker."""
        if held.way is Way.CUT:
            _shut(self._client)
        if not held._wait_decided():
            return False
        self._awaited[frame[8:12]] = held
        return True

    def _forward_answers(self) -> None:
        with contextlib.suppress(OSError):
            while frame := _read_frame(self._broker):
                self._flowing.wait()
                held = self._awaited.get(frame[4:8])
                if held is not None:
                    held._end(frame)
                with contextlib.suppress(OSError):  # the answer to a held request often finds the client gone
                    self._client.sendall(frame)
        _shut(self._client)
        for held in self._awaited.values():
            held._end(b"")


def _read_frame(source: socket.socket) -> bytes:
    """Return the next frame with its length, or nothing at the end of the stream."""
    length = _read(source, 4)
    return length + _read(source, int.from_bytes(length, "big")) if length else b""


def _read(source: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = source.recv(size - len(data))
        if not part:
            return b""
        data += part
    return bytes(data)


def _shut(each: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it was shut before, or by the other side
        each.shutdown(socket.SHUT_RDWR)
