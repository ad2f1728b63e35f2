"""Bounds for the answers of an HTTP server that is not trusted: bytes, and seconds as a whole.

A timeout of httpx is one of each read: a server that sends a byte now and then is never late.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

# Of two packages with this interface, the one that the registry's client has found.
from confluent_kafka.schema_registry.common._httpx_compat import httpx

MAX_ANSWER_BYTES = 16 * 2**20


class AnswerRefusedError(Exception):
    """An answer that is too large, too slow or compressed."""


def bound_answers(
    session: httpx.Client,
    *,
    within_s: float,
    max_bytes: int = MAX_ANSWER_BYTES,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Let `session` refuse bodies of more than `max_bytes` or `within_s` seconds, and compressed ones.

    The size of a compressed answer is known only when it is there.
    """
    session.headers["Accept-Encoding"] = "identity"
    hooks = session.event_hooks
    bound = partial(_bound, within_s=within_s, max_bytes=max_bytes, clock=clock)
    session.event_hooks = {**hooks, "response": [*hooks["response"], bound]}


def _bound(response: httpx.Response, *, within_s: float, max_bytes: int, clock: Callable[[], float]) -> None:
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding != "identity":
        raise AnswerRefusedError(f"the answer is compressed ({encoding}), which was not asked for")
    if isinstance(response.stream, httpx.SyncByteStream):
        response.stream = _Bounded(response.stream, clock() + within_s, max_bytes, clock)


class _Bounded(httpx.SyncByteStream):
    def __init__(
        self, stream: httpx.SyncByteStream, deadline: float, max_bytes: int, clock: Callable[[], float]
    ) -> None:
        self._stream = stream
        self._deadline = deadline
        self._max_bytes = max_bytes
        self._clock = clock

    def __iter__(self) -> Iterator[bytes]:
        left = self._max_bytes
        for chunk in self._stream:
            left -= len(chunk)
            if left < 0:
                raise AnswerRefusedError(f"the answer has more than {self._max_bytes} bytes")
            if self._clock() > self._deadline:
                raise AnswerRefusedError("the answer takes longer than the timeout")
            yield chunk

    def close(self) -> None:
        self._stream.close()
