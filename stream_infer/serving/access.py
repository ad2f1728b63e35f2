"""Callers who may ask: bearer tokens (RFC 6750) from a file, which is read again when it changes."""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import TypeAlias

from starlette.types import ASGIApp, Receive, Scope, Send

from stream_infer.common.reloaded import Reloaded
from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.serving.documents import json_answer
from stream_infer.serving.metrics import ServingMetrics

_LOG = logging.getLogger("stream_infer.serve")
_LEAST = 16
_OPEN = frozenset({"/", "/livez", "/readyz", "/v2/health/live", "/v2/health/ready"})
Admits: TypeAlias = Callable[[str], bool]


class TokenFile:
    """The tokens in the file at `path`: one a line; empty lines and those that begin with # do not count.

    Several may be in use at once, so that each caller can change its own. While a changed file cannot be
    used, its tokens from before count on. Raises `Misconfigured` when it cannot be used at the start.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.monotonic) -> None:
        try:
            self._tokens = Reloaded([path], partial(_digests, path), partial(_report, path), clock=clock)
        except ValueError as error:
            fix = f"write tokens of at least {_LEAST} characters, one a line"
            raise Misconfigured([Problem("--token-file", str(path), str(error), fix)]) from error

    def admits(self, authorization: str) -> bool:
        """Return whether the header `authorization` has one of the tokens; in the same time for each."""
        scheme, _, token = authorization.partition(" ")
        given = _digest(token.strip())
        found = [hmac.compare_digest(given, one) for one in self._tokens.newest()]
        return any(found) and scheme.lower() == "bearer"


def _report(path: Path, error: Exception | None) -> None:
    if error is None:
        _LOG.info(LogEvent.SECRET_REPLACED, extra={"file": str(path)})
    else:
        _LOG.warning(LogEvent.SECRET_UNUSABLE, extra={"file": str(path), "reason": str(error)})


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _digests(path: Path) -> Sequence[bytes]:
    """Return the digests of the tokens in the file. Raises `ValueError` without naming one."""
    try:
        lines = [line.strip() for line in path.read_text("utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None
    tokens = [line for line in lines if line and not line.startswith("#")]
    if not tokens:
        raise ValueError("has no token")
    if min(map(len, tokens)) < _LEAST:
        raise ValueError(f"has a token of fewer than {_LEAST} characters")
    return [_digest(token) for token in tokens]


class Guarded:
    """An application that answers 401 to callers whom `admits` does not know; probes and page are open."""

    def __init__(self, application: ASGIApp, admits: Admits, metrics: ServingMetrics) -> None:
        self._application = application
        self._admits = admits
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (
            scope["type"] != "http"
            or _is_open(scope["path"])
            or self._admits(_authorization(scope["headers"]))
        ):
            await self._application(scope, receive, send)
            return
        self._metrics.begin()
        began = time.perf_counter()
        refusal = json_answer(
            {"error": "give a token: Authorization: Bearer TOKEN"},
            HTTPStatus.UNAUTHORIZED,
            {"www-authenticate": "Bearer"},
        )
        try:
            await refusal(scope, receive, send)
        finally:
            self._metrics.end("unauthorized", HTTPStatus.UNAUTHORIZED, time.perf_counter() - began)


def _is_open(path: str) -> bool:
    return path in _OPEN or path.startswith("/page/")


def _authorization(headers: Collection[tuple[bytes, bytes]]) -> str:
    found = [value for name, value in headers if name == b"authorization"]
    return found[0].decode("latin-1") if len(found) == 1 else ""
