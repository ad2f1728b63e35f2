"""Answers of a registry, or of a server of its tokens, that would fill the memory or never end."""

from __future__ import annotations

import json
import socket
import threading
import time
from contextlib import closing
from http.server import BaseHTTPRequestHandler

import pytest

from stream_infer.avro.confluent import id_head
from stream_infer.avro.schemas import Schema
from stream_infer.kafka.confluent_registry import connect_client
from stream_infer.kafka.writer_schemas import RegistryUnavailable
from tests.support.hostile_http import (
    HEAD,
    Answer,
    compressed,
    endless,
    serving,
    silent,
    slow_body,
    slow_headers,
)

_SCHEMA = json.dumps({"schema": '{"type": "record", "name": "E", "fields": []}'}).encode()
_WITHIN_S = 40.0

HOSTILE = pytest.mark.parametrize(
    ("answer", "timeout_s", "reason"),
    [
        (compressed, 20.0, "compressed"),
        (endless, 20.0, "more than 16777216 bytes"),
        (slow_body, 2.0, "longer than the timeout|[Tt]imed? ?out"),
        (slow_headers, 2.0, "longer than the timeout|[Tt]imed? ?out"),
        (silent, 2.0, "longer than the timeout|[Tt]imed? ?out"),
    ],
)


def well(handler: BaseHTTPRequestHandler, _over: threading.Event) -> None:
    handler.wfile.write(HEAD + b"Content-Length: %d\r\n\r\n" % len(_SCHEMA) + _SCHEMA)


@HOSTILE
def test_an_answer_without_bounds_is_an_outage_within_the_timeout(
    answer: Answer, timeout_s: float, reason: str
) -> None:
    began = time.monotonic()
    with serving(answer) as url, closing(connect_client({"url": url, "timeout": timeout_s})) as client:
        with pytest.raises(RegistryUnavailable, match=reason):
            client.writer(id_head(1))
        assert time.monotonic() - began < _WITHIN_S


@HOSTILE
def test_a_server_of_tokens_is_bounded_as_the_registry_is(
    answer: Answer, timeout_s: float, reason: str
) -> None:
    began = time.monotonic()
    with serving(answer) as tokens, serving(well) as url:
        properties = {
            "url": url,
            "timeout": timeout_s,
            "bearer.auth.credentials.source": "OAUTHBEARER",
            "bearer.auth.client.id": "a",
            "bearer.auth.client.secret": "b",
            "bearer.auth.scope": "c",
            "bearer.auth.issuer.endpoint.url": tokens,
            "bearer.auth.logical.cluster": "d",
            "bearer.auth.identity.pool.id": "e",
        }
        with closing(connect_client(properties)) as client:
            with pytest.raises(RegistryUnavailable, match=reason):
                client.writer(id_head(1))
            assert time.monotonic() - began < _WITHIN_S


def test_a_handshake_that_never_ends_is_an_outage_within_the_timeout() -> None:
    began = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes connections, and says nothing
        url = f"https://127.0.0.1:{server.getsockname()[1]}"
        client = connect_client({"url": url, "timeout": 1.0})
        with closing(client), pytest.raises(RegistryUnavailable, match=r"imed? ?out"):
            client.writer(id_head(1))
    assert time.monotonic() - began < _WITHIN_S


def test_each_request_has_the_whole_time_also_on_a_connection_of_before() -> None:
    asked: list[str] = []

    def late(handler: BaseHTTPRequestHandler, over: threading.Event) -> None:
        asked.append(handler.path)
        over.wait(0.6)
        well(handler, over)

    with serving(late) as url, closing(connect_client({"url": url, "timeout": 2.5})) as client:
        found = [client.writer(id_head(number)) for number in range(1, 6)]

    assert len(asked) == 5
    assert all(isinstance(one, Schema) for one in found)
