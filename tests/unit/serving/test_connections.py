"""Slow callers are ended by limits and shut no others out; a caller that has gone costs nothing further.

`STREAM_INFER_TEST_SLOW_CONNECTIONS=10000 pytest tests/unit/serving/test_connections.py -k slow_connections`
tries ten thousand (`ulimit -n` must allow twice as many files).
"""

from __future__ import annotations

import json
import os
import resource
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace

import psutil
import pytest

from stream_infer.packaging.scorer import Scorer
from stream_infer.serving.connections import ConnectionLimits
from stream_infer.serving.row_scorer import RequestLimits
from tests.support.worker_process import until
from tests.unit.serving.conftest import EVENTS
from tests.unit.serving.served import Client, serving
from tests.unit.serving.test_answering import samples

PATH = "/v1/predictions"
SLOW = int(os.environ.get("STREAM_INFER_TEST_SLOW_CONNECTIONS", "300"))
HEAD = b"POST /v1/predictions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n"


def connect(client: Client, said: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", client.port), timeout=60)
    connection.sendall(said)
    return connection


def answer_of(connection: socket.socket) -> bytes:
    """Return all that comes until the other side closes."""
    with connection:
        found = b""
        while part := connection.recv(65_536):
            found += part
        return found


def ended(client: Client, reason: str) -> float:
    return samples(client).get(("connections_ended_total", (reason,)), 0)


@pytest.fixture(params=[False, True], ids=["plain", "fast"])
def fastest(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.mark.parametrize(
    ("said", "reason"),
    [(b"", "slow_head"), (b"GET / HTTP/1.1\r\nx: ", "slow_head"), (HEAD + b"[", "slow_body")],
    ids=["nothing", "half a head", "half a body"],
)
def test_a_caller_that_is_too_slow_is_ended_with_408(
    served: Scorer, said: bytes, reason: str, *, fastest: bool
) -> None:
    limits = ConnectionLimits(head_s=0.3, body_s=0.3)
    with serving(lambda: served, connections=limits, fastest=fastest) as client:
        answer = answer_of(connect(client, said))

        assert answer.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert ended(client, reason) == 1


def test_a_second_head_is_bounded_like_the_first(served: Scorer, *, fastest: bool) -> None:
    limits = ConnectionLimits(head_s=0.3)
    with serving(lambda: served, connections=limits, fastest=fastest) as client:
        answer = answer_of(connect(client, b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\nGET /livez HT"))

        assert answer.count(b'{"live":true}') == 1
        assert ended(client, "slow_head") == 1


def test_a_head_without_end_is_cut_off(served: Scorer, *, fastest: bool) -> None:
    with serving(lambda: served, fastest=fastest) as client:
        connection = connect(client, b"GET /livez HTTP/1.1\r\n")
        with pytest.raises(OSError, match=r"reset|pipe"):  # noqa: PT012 - whichever write meets the end
            while True:
                connection.sendall(b"x: " + b"y" * 10_000 + b"\r\n")
        connection.close()

        assert client.get("/livez").status == 200


def test_slow_connections_shut_no_healthy_request_out(served: Scorer) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    room = SLOW // 2
    process = psutil.Process()
    limits = ConnectionLimits(connections=room, head_s=600, body_s=600)
    try:
        with serving(lambda: served, connections=limits) as client, ExitStack() as stack:
            before = process.memory_info().rss
            for at in range(SLOW):
                said = (b"", b"GET /livez HTTP/1.1\r\nx: ", HEAD + b"[")[at % 3]
                stack.enter_context(connect(client, said))
                if at % 100 == 0:
                    assert client.post(PATH, EVENTS[:2]).status == 200
            seen = samples(client)

            assert seen["connections", ()] <= room + 1
            assert seen["connections_ended_total", ("displaced",)] >= SLOW - room
            assert process.memory_info().rss - before < 100 * 2**20
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Gated:
    """Waits for `gate` before it answers as `served`; records the passes that it began."""

    def __init__(self, served: Scorer) -> None:
        self.entered, self.gate = threading.Event(), threading.Event()
        self.asked: list[int] = []
        self._decoder = served.plan.decoder
        self.scorer = replace(served, plan=replace(served.plan, decoder=self))  # type: ignore[arg-type]

    def decode(self, values: Sequence[bytes | None]) -> object:
        self.asked.append(len(values))
        self.entered.set()
        assert self.gate.wait(60)
        return self._decoder.decode(values)


@contextmanager
def gated(served: Scorer, limits: RequestLimits, room: int = 100) -> Iterator[tuple[Gated, Client]]:
    """Serve a model that waits for its gate; it is opened at the end."""
    gate = Gated(served)
    with serving(lambda: gate.scorer, limits=limits, connections=ConnectionLimits(room)) as client:
        try:
            yield gate, client
        finally:
            gate.gate.set()


def request(events: Sequence[object]) -> bytes:
    body = json.dumps(events).encode()
    return b"POST /v1/predictions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def test_a_caller_that_goes_away_while_it_waits_is_not_scored(served: Scorer) -> None:
    with gated(served, RequestLimits()) as (model, client):
        first = connect(client, request(EVENTS[:1]))
        assert model.entered.wait(60)
        gone = connect(client, request(EVENTS[:2]))
        kept = connect(client, request(EVENTS[:3]))
        until("three in flight", lambda: samples(client)["requests_in_flight", ()] == 3)
        gone.close()
        closed = "request_duration_seconds_count", ("predictions", "499")
        until("the end of the one that went", lambda: samples(client).get(closed) == 1)
        model.gate.set()

        assert b"200 OK" in first.recv(65_536)
        assert b"200 OK" in kept.recv(65_536)
        assert model.asked == [1, 3]
        first.close()
        kept.close()


def test_callers_that_leave_amid_many_requests_are_no_errors(
    served: Scorer, caplog: pytest.LogCaptureFixture, *, fastest: bool
) -> None:
    asked = request(EVENTS[:1]) * 20
    with serving(lambda: served, fastest=fastest) as client:
        for _ in range(40):
            with connect(client, asked) as connection:
                connection.recv(1)
        until("all have gone", lambda: samples(client)["connections", ()] == 1)

        assert client.post(PATH, EVENTS[:1]).status == 200
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_request_that_takes_too_long_is_504_while_probes_answer(served: Scorer) -> None:
    with gated(served, RequestLimits(seconds=0.5)) as (_, client):
        answer = client.post(PATH, EVENTS[0])

        assert answer.status == 504
        assert "too long" in answer.document["error"]
        assert client.get("/livez").status == 200


def test_where_all_connections_are_answered_a_new_one_is_refused(served: Scorer) -> None:
    with gated(served, RequestLimits(), room=1) as (model, client):
        busy = connect(client, request(EVENTS[:1]))
        assert model.entered.wait(60)

        answer = client.get("/livez")
        model.gate.set()

        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        assert b"200 OK" in busy.recv(65_536)
        busy.close()


def test_bodies_are_bounded_together(served: Scorer) -> None:
    limits = RequestLimits(bodies_bytes=50)
    with serving(lambda: served, limits=limits) as client, connect(client, HEAD + b"[" * 40):
        until("one in flight", lambda: samples(client)["requests_in_flight", ()] == 1)

        answer = client.post(PATH, b"[" * 40)

        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
