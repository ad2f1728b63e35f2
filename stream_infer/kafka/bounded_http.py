"""Bounds for the answers of an HTTP server that is not trusted: bytes, and seconds as a whole.

A timeout of httpx is one of each read: a server that sends a byte now and then is never late. So
`request_deadline` bounds the time of a whole request, from its connection to the end of the body.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

# Of two packages with this interface, the one that the registry's client has found.
from confluent_kafka.schema_registry.common._httpx_compat import httpx

from stream_infer.kafka.request_deadline import AnswerRefusedError, RequestDeadline, TimedNetwork

MAX_ANSWER_BYTES = 16 * 2**20


def bound_answers(
    session: httpx.Client,
    *,
    within_s: float,
    max_bytes: int = MAX_ANSWER_BYTES,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Let `session` refuse bodies of more than `max_bytes`, compressed ones, and requests beyond `within_s`.

    The size of a compressed answer is known only when it is there.
    """
    deadline = RequestDeadline(within_s, clock)
    session.headers["Accept-Encoding"] = "identity"
    hooks = session.event_hooks
    session.event_hooks = {
        "request": [*hooks["request"], lambda _request: deadline.begin()],
        "response": [*hooks["response"], partial(_bound, max_bytes=max_bytes)],
    }
    # httpx has no public place for the network under its transports.
    for transport in (session._transport, *session._mounts.values()):  # noqa: SLF001 - see above
        pool = getattr(transport, "_pool", None)
        if pool is not None:
            pool._network_backend = TimedNetwork(pool._network_backend, deadline)  # noqa: SLF001 - see above


def _bound(response: httpx.Response, *, max_bytes: int) -> None:
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        raise AnswerRefusedError(f"the answer is compressed ({encoding}), which was not asked for")
    if isinstance(response.stream, httpx.SyncByteStream):
        response.stream = _Bounded(response.stream, max_bytes)


class _Bounded(httpx.SyncByteStream):
    def __init__(self, stream: httpx.SyncByteStream, max_bytes: int) -> None:
        self._stream = stream
        self._max_bytes = max_bytes

    def __iter__(self) -> Iterator[bytes]:
        left = self._max_bytes
        for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise AnswerRefusedError(f"the answer has more than {self._max_bytes} bytes")
            yield chunk

    def close(self) -> None:
        self._stream.close()
