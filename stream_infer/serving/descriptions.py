"""What the application tells of itself: its API, the model that serves, and a page for people.

The page is static: it asks for the rest as any program does, so that it tells nothing to callers who may not
know it. Its policy allows no code and no request but its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib.resources import files
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from stream_infer.packaging.scorer import Scorer
from stream_infer.serving.documents import json_answer
from stream_infer.serving.model_card import model_card
from stream_infer.serving.openapi import openapi_document
from stream_infer.serving.requests import BadRequest

_FILES: Mapping[str, str] = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "icon.svg": "image/svg+xml",
}
_HEADERS: Mapping[str, str] = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


class Descriptions:
    """Describes the model that `current` returns. A request has at most `row_limit` rows."""

    def __init__(self, current: Callable[[], Scorer], row_limit: int) -> None:
        self._current = current
        self._row_limit = row_limit
        self._files = {
            name: files("stream_infer.serving").joinpath("page", name).read_bytes() for name in _FILES
        }
        self._known: tuple[Scorer, Mapping[str, Any], Mapping[str, Any]] | None = None

    async def openapi(self, _: Request) -> Response:
        """Return the OpenAPI document."""
        return json_answer(self._documents()[0])

    async def model(self, _: Request) -> Response:
        """Return what the model is."""
        return json_answer(self._documents()[1])

    async def page(self, request: Request) -> Response:
        """Return a file of the page. Raises `BadRequest` (404)."""
        name = request.path_params.get("file", "index.html")
        if name not in _FILES:
            raise BadRequest("the page has no such file", HTTPStatus.NOT_FOUND)
        return Response(self._files[name], headers={**_HEADERS, "content-type": _FILES[name]})

    def _documents(self) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        served = self._current()
        if self._known is None or self._known[0] is not served:
            self._known = served, openapi_document(served, self._row_limit), model_card(served)
        return self._known[1:]
