"""Answers of a registry that would fill the memory or never end."""

from __future__ import annotations

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from stream_infer.avro.confluent import id_head
from stream_infer.kafka.confluent_registry import connect_client
from stream_infer.kafka.writer_schemas import RegistryUnavailable

MB = 2**20
COMPRESSED = gzip.compress(bytes(8 * MB))
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
Answer = Callable[[BaseHTTPRequestHandler, threading.Event], None]


@contextmanager
def registry(answer: Answer) -> Iterator[str]:
    """Serve `answer` to every request; yield the address."""
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with suppress(OSError):  # the client has gone
                answer(self, over)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Say nothing."""

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


def compressed(handler: BaseHTTPRequestHandler, _over: threading.Event) -> None:
    length = b"Content-Length: %d\r\n\r\n" % len(COMPRESSED)
    handler.wfile.write(HEAD + b"Content-Encoding: gzip\r\n" + length + COMPRESSED)


def endless(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    handler.wfile.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while not over.is_set():
        handler.wfile.write(b"%x\r\n" % MB + b" " * MB + b"\r\n")


def now_and_then(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
    handler.wfile.write(HEAD + b"Content-Length: 1000\r\n\r\n")
    while not over.wait(0.1):
        handler.wfile.write(b" ")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (compressed, "compressed"),
        (endless, "more than 16777216 bytes"),
        (now_and_then, "longer than the timeout"),
    ],
)
def test_an_answer_without_bounds_is_an_outage_within_the_timeout(answer: Answer, reason: str) -> None:
    began = time.monotonic()
    with registry(answer) as url, closing(connect_client({"url": url, "timeout": 2.0})) as client:
        with pytest.raises(RegistryUnavailable, match=reason):
            client.writer(id_head(1))
        assert time.monotonic() - began < 20
