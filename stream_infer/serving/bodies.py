"""The bodies of requests, bounded one by one and together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from starlette.requests import Request

from stream_infer.serving.batching import Overloaded
from stream_infer.serving.requests import BadRequest

_RETRY_AFTER_S = 1.0


class Bodies:
    """Reads bodies of at most `most` bytes, and `total` of all that are held at the same time."""

    def __init__(self, most: int, total: int) -> None:
        self._most = most
        self._total = total
        self._held = 0

    @asynccontextmanager
    async def read(self, request: Request) -> AsyncIterator[bytes]:
        """Read the body of `request`, and hold it while the block runs.

        Raises `BadRequest` (413) as soon as it is too large, `Overloaded` when all are, and
        `ClientDisconnect` when its caller goes away.
        """
        parts, size = [], 0
        try:
            async for part in request.stream():
                size += len(part)
                self._held += len(part)
                if size > self._most:
                    reason = f"the body is larger than {self._most} bytes"
                    raise BadRequest(reason, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
                if self._held > self._total:
                    raise Overloaded(_RETRY_AFTER_S)
                parts.append(part)
            yield b"".join(parts)
        finally:
            self._held -= size
