"""A network for an HTTP client whose connections end with the time of a request as a whole.

The classes have the methods of httpcore's `NetworkBackend` and `NetworkStream` that its pools call.
"""

from __future__ import annotations

import math
import ssl
import threading
from collections.abc import Callable
from typing import Any


class AnswerRefusedError(Exception):
    """An answer that is too large, too slow or compressed."""


class RequestDeadline(threading.local):
    """The end of the request that this thread makes."""

    def __init__(self, within_s: float, clock: Callable[[], float]) -> None:
        self._within_s = within_s
        self._clock = clock
        self._at = math.inf

    def begin(self) -> None:
        """Note that a request begins now."""
        self._at = self._clock() + self._within_s

    def left_s(self, timeout: float | None) -> float | None:
        """Return `timeout`, or what is left of the request if that is less. Raises `AnswerRefusedError`."""
        left_s = self._at - self._clock()
        if left_s <= 0:
            raise AnswerRefusedError("the answer takes longer than the timeout")
        return left_s if timeout is None or left_s < timeout else timeout


class TimedNetwork:
    """Connects as `network` does, within the deadline."""

    def __init__(self, network: Any, deadline: RequestDeadline) -> None:  # noqa: ANN401 - of httpx's own choice
        self._network = network
        self._deadline = deadline

    def connect_tcp(self, *, timeout: float | None = None, **where: Any) -> TimedStream:  # noqa: ANN401 - of the HTTP client's choice
        """Return a connection."""
        left_s = self._deadline.left_s(timeout)
        return TimedStream(self._network.connect_tcp(**where, timeout=left_s), self._deadline)


class TimedStream:
    """A connection whose every step ends with the deadline of the request that uses it then."""

    def __init__(self, stream: Any, deadline: RequestDeadline) -> None:  # noqa: ANN401 - as above
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next bytes, none at the end."""
        found: bytes = self._stream.read(max_bytes, timeout=self._deadline.left_s(timeout))
        return found

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Send all of `buffer`."""
        self._stream.write(buffer, timeout=self._deadline.left_s(timeout))

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> TimedStream:
        """Return the connection under TLS."""
        left_s = self._deadline.left_s(timeout)
        return TimedStream(self._stream.start_tls(ssl_context, server_hostname, left_s), self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401 - as above
        """Return what `info` names of the connection."""
        return self._stream.get_extra_info(info)

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()
