"""The proxy holds what it is told to and nothing else. No broker: a small server answers here."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.ports import free_ports
from tests.support.proxy import Api, Proxy, Way, _read_frame

WITHIN_S = 10.0
OTHER_API = 3


@contextmanager
def answering_server(port: int) -> Iterator[list[bytes]]:
    """Answer every request with its correlation id, no throttle and error code 47; list what came."""
    came: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        with connection:
            while frame := _read_frame(connection):
                came.append(frame)
                connection.sendall(struct.pack(">i", 10) + frame[8:12] + struct.pack(">ih", 0, 47))

    def accept() -> None:
        while True:
            try:
                connection, _address = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server(("127.0.0.1", port)) as listener:
        acceptor = threading.Thread(target=accept)
        acceptor.start()
        yield came
        listener.shutdown(socket.SHUT_RDWR)
        acceptor.join()


@pytest.fixture
def ports() -> tuple[int, int]:
    listen, upstream = free_ports(2)
    return listen, upstream


def request(api: int, correlation_id: int) -> bytes:
    body = struct.pack(">hhi", api, 1, correlation_id) + b"payload"
    return struct.pack(">i", len(body)) + body


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=WITHIN_S)


def test_requests_without_a_rule_pass_both_ways(ports: tuple[int, int]) -> None:
    with answering_server(ports[1]) as came, Proxy(*ports), connect(ports[0]) as client:
        client.sendall(request(OTHER_API, 1) + request(Api.END_TXN, 2))

        assert [_read_frame(client)[4:8], _read_frame(client)[4:8]] == [b"\0\0\0\1", b"\0\0\0\2"]
        assert came == [request(OTHER_API, 1), request(Api.END_TXN, 2)]


def test_a_delayed_request_is_answered_to_the_client_that_still_waits(ports: tuple[int, int]) -> None:
    with answering_server(ports[1]) as came, Proxy(*ports) as proxy, connect(ports[0]) as client:
        held = proxy.hold(Api.END_TXN)
        client.sendall(request(Api.END_TXN, 7))
        held.wait_caught(WITHIN_S)
        assert came == []

        held.deliver()

        assert _read_frame(client)[4:8] == b"\0\0\0\7"


@pytest.mark.parametrize("way", list(Way))
def test_a_held_request_reaches_the_broker_after_its_client_has_gone(
    ports: tuple[int, int], way: Way
) -> None:
    with answering_server(ports[1]) as came, Proxy(*ports) as proxy:
        held = proxy.hold(Api.END_TXN, way)
        with connect(ports[0]) as client:
            client.sendall(request(Api.END_TXN, 7))
            held.wait_caught(WITHIN_S)
            if way is Way.CUT:
                assert client.recv(1) == b""
        with connect(ports[0]) as another:
            another.sendall(request(Api.END_TXN, 8))
            assert _read_frame(another)[4:8] == b"\0\0\0\x08"
        assert came == [request(Api.END_TXN, 8)]

        held.deliver()

        assert held.error_code(WITHIN_S) == 47
        assert came == [request(Api.END_TXN, 8), request(Api.END_TXN, 7)]


def test_a_dropped_request_never_reaches_the_broker(ports: tuple[int, int]) -> None:
    with answering_server(ports[1]) as came, Proxy(*ports) as proxy, connect(ports[0]) as client:
        held = proxy.hold(Api.END_TXN)
        client.sendall(request(Api.END_TXN, 7))
        held.wait_caught(WITHIN_S)

        held.drop()

        assert client.recv(1) == b""
        assert came == []


def test_requests_to_skip_pass_before_one_is_held(ports: tuple[int, int]) -> None:
    with answering_server(ports[1]) as came, Proxy(*ports) as proxy, connect(ports[0]) as client:
        held = proxy.hold(Api.END_TXN, skip=2)
        client.sendall(b"".join(request(Api.END_TXN, each) for each in (1, 2, 3)))

        held.wait_caught(WITHIN_S)

        assert [_read_frame(client)[4:8], _read_frame(client)[4:8]] == [b"\0\0\0\1", b"\0\0\0\2"]
        assert came == [request(Api.END_TXN, 1), request(Api.END_TXN, 2)]


def test_rules_of_one_kind_follow_one_another(ports: tuple[int, int]) -> None:
    with answering_server(ports[1]) as came, Proxy(*ports) as proxy:
        first, second = proxy.hold(Api.END_TXN, Way.CUT, skip=1), proxy.hold(Api.END_TXN, Way.CUT, skip=1)
        for correlation_id in (1, 2, 3, 4):
            with connect(ports[0]) as client:
                client.sendall(request(Api.END_TXN, correlation_id))
                answered = bool(_read_frame(client))
                assert answered == (correlation_id in {1, 3})

        assert first.is_caught()
        assert second.is_caught()
        assert came == [request(Api.END_TXN, 1), request(Api.END_TXN, 3)]


def test_a_held_request_does_not_keep_the_proxy_from_closing(ports: tuple[int, int]) -> None:
    with answering_server(ports[1]) as came, connect_through(ports) as (proxy, client):
        held = proxy.hold(Api.END_TXN)
        client.sendall(request(Api.END_TXN, 1))
        held.wait_caught(WITHIN_S)

    assert came == []


@contextmanager
def connect_through(ports: tuple[int, int]) -> Iterator[tuple[Proxy, socket.socket]]:
    with Proxy(*ports) as proxy, connect(ports[0]) as client:
        yield proxy, client


def test_silence_keeps_connections_and_loses_nothing(ports: tuple[int, int]) -> None:
    with answering_server(ports[1]) as came, connect_through(ports) as (proxy, client):
        proxy.silence()
        client.sendall(request(OTHER_API, 1))
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        assert came == []

        proxy.resume()

        client.settimeout(WITHIN_S)
        assert _read_frame(client)[4:8] == b"\0\0\0\1"


def test_a_cut_closes_what_there_is_and_takes_new_connections(ports: tuple[int, int]) -> None:
    with answering_server(ports[1]), connect_through(ports) as (proxy, client):
        client.sendall(request(OTHER_API, 1))
        assert _read_frame(client)[4:8] == b"\0\0\0\1"

        proxy.cut()

        assert client.recv(1) == b""
        with connect(ports[0]) as another:
            another.sendall(request(OTHER_API, 2))
            assert _read_frame(another)[4:8] == b"\0\0\0\2"
