"""The page over HTTP: its files, and its data as server-sent events, out of the newest `PublishedPage`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from stream_infer.dashboard.page_access import SECURITY_HEADERS, PageAccess
from stream_infer.dashboard.page_files import PageFiles
from stream_infer.dashboard.published import PageCell
from stream_infer.ops.routes import exact_routes

MOST_STREAMS, MOST_COLUMNS_ASKED = 100, 60
_LOOK_EVERY_S = 0.25
_ALIVE_EVERY_S = 15.0


class PageEndpoints:
    """What the server of the page answers. All but the page's files is for callers with access."""

    def __init__(self, page: PageCell, files: PageFiles, access: PageAccess) -> None:
        self._page = page
        self._files = files
        self._access = access
        self._streams = 0

    async def index(self, _: Request) -> Response:
        """Return the page, without data."""
        return Response(self._files.index, headers=SECURITY_HEADERS, media_type="text/html; charset=utf-8")

    async def asset(self, request: Request) -> Response:
        """Return a file of the page; a browser that has it keeps it."""
        found = self._files.assets.get(request.path_params["name"])
        if found is None:
            return JSONResponse(
                {"error": "not a file of the page"}, HTTPStatus.NOT_FOUND, dict(SECURITY_HEADERS)
            )
        headers = {**SECURITY_HEADERS, "cache-control": "no-cache", "etag": found.tag}
        if request.headers.get("if-none-match") == found.tag:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(found.content, headers=headers, media_type=found.media_type)

    async def live(self, _: Request) -> Response:
        """Tell that the event loop turns."""
        return JSONResponse({"live": True}, headers=dict(SECURITY_HEADERS))

    async def state(self, request: Request) -> Response:
        """Return all sections as one JSON document."""
        refusal = self._access.refusal(request)
        if refusal is not None:
            return refusal
        parts = (b'"%s":%s' % (n.encode(), s.body) for n, s in self._page.current.sections.items())
        return _json(b"{%s}" % b",".join(parts))

    async def columns(self, request: Request) -> Response:
        """Return the details of the columns whose places are in `at`, separated by commas."""
        refusal = self._access.refusal(request)
        if refusal is not None:
            return refusal
        asked = [one for one in request.query_params.get("at", "").split(",") if one]
        if len(asked) > MOST_COLUMNS_ASKED or not all(one.isascii() and one.isdigit() for one in asked):
            told = {"error": f"at: up to {MOST_COLUMNS_ASKED} numbers separated by commas"}
            return JSONResponse(told, HTTPStatus.BAD_REQUEST, dict(SECURITY_HEADERS))
        columns = self._page.current.columns
        found = (b'"%d":%s' % (int(at), columns[int(at)]) for at in asked if int(at) < len(columns))
        return _json(b"{%s}" % b",".join(found))

    async def stream(self, request: Request) -> Response:
        """Return sections as server-sent events: all of them, then each that changes."""
        refusal = self._access.refusal(request)
        if refusal is not None:
            return refusal
        if self._streams >= MOST_STREAMS:
            told = {"error": f"{MOST_STREAMS} pages are open already"}
            return JSONResponse(told, HTTPStatus.SERVICE_UNAVAILABLE, dict(SECURITY_HEADERS))
        headers = {**SECURITY_HEADERS, "x-accel-buffering": "no"}
        return StreamingResponse(self._events(), headers=headers, media_type="text/event-stream")

    async def _events(self) -> AsyncIterator[bytes]:
        """Yield the newest sections. A browser that reads slowly misses versions, and holds up nobody."""
        self._streams += 1
        sent: dict[str, int] = {}
        said_at = time.monotonic()
        try:
            yield b"retry: 2000\n\n"
            while True:
                for name, section in self._page.current.sections.items():
                    if sent.get(name) != section.version:
                        sent[name] = section.version
                        said_at = time.monotonic()
                        yield b"event: %s\ndata: %s\n\n" % (name.encode(), section.body)
                if time.monotonic() - said_at > _ALIVE_EVERY_S:
                    said_at = time.monotonic()
                    yield b": still here\n\n"
                await asyncio.sleep(_LOOK_EVERY_S)
        finally:
            self._streams -= 1


def page_application(page: PageCell, files: PageFiles, access: PageAccess) -> Starlette:
    """Return the application of `PageEndpoints`."""
    of = PageEndpoints(page, files, access)
    answers: dict[str, Callable[..., object]] = {
        "/": of.index,
        "/assets/{name}": of.asset,
        "/livez": of.live,
        "/v1/state": of.state,
        "/v1/columns": of.columns,
        "/v1/stream": of.stream,
    }
    return exact_routes([Route(path, answer) for path, answer in answers.items()])


def _json(body: bytes) -> Response:
    return Response(body, headers=SECURITY_HEADERS, media_type="application/json")
