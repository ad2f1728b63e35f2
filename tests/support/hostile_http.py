"""Servers on loopback whose answers would fill the memory or never end."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MB = 2**20
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
Answer = Callable[[BaseHTTPRequestHandler, threading.Event], None]
"""Answers one request; the event is set when the server ends."""


@contextmanager
def serving(answer: Answer) -> Iterator[str]:
    """Serve `answer` to every request; yield the address."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            with suppress(OSError):  # the client has gone
                answer(self, over)

        do_GET = do_POST = _serve  # noqa: N815 - the names that http.server calls

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()


@cache
def _two_gigabytes() -> bytes:
    """Return 2 GB of zeros in 2 MB of gzip: members follow one another."""
    return gzip.compress(bytes(64 * MB)) * 32


def compressed(handler: BaseHTTPRequestHandler, _over: threading.Event) -> None:
    """Answer with 2 GB out of gzip."""
    content = _two_gigabytes()
    length = b"Content-Length: %d\r\n\r\n" % len(content)
    handler.wfile.write(HEAD + b"Content-Encoding: gzip\r\n" + length + content)


def endless(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Answer with chunks without end."""
    handler.wfile.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while not over.is_set():
        handler.wfile.write(b"%x\r\n" % MB + b" " * MB + b"\r\n")


def slow_body(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Answer with a byte of the body now and then."""
    handler.wfile.write(HEAD + b"Content-Length: 1000\r\n\r\n")
    while not over.wait(0.1):
        handler.wfile.write(b" ")


def slow_headers(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Answer with a byte of a header now and then."""
    handler.wfile.write(HEAD + b"X-Slow: ")
    while not over.wait(0.1):
        handler.wfile.write(b"x")


def silent(_handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    """Answer with nothing."""
    over.wait()
