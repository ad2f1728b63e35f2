"""The page over HTTP: who gets what, under which policy, and what a stream of events carries."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest

from stream_infer.dashboard.page_access import PageAccess
from stream_infer.dashboard.page_files import CHARTS, load_page_files
from stream_infer.dashboard.page_server import page_application
from stream_infer.dashboard.published import PageCell
from stream_infer.ops.http import HttpServer, Listening

TOKEN = "0123456789abcdef"  # noqa: S105 - of these tests alone
FILES = load_page_files()
DATA = ("/v1/state", "/v1/stream", "/v1/columns?at=0")
ODD = '<img src=x onerror="alert(1)"> & \u2028'


@dataclass(frozen=True, slots=True)
class Got:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Shown:
    port: int
    cell: PageCell

    def get(self, path: str, method: str = "GET", **headers: str) -> Got:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, headers={k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            streams = found.get("content-type", "").startswith("text/event-stream")
            return Got(answer.status, found, b"" if streams else answer.read())
        finally:
            connection.close()

    @contextmanager
    def following(self) -> Iterator[Iterator[tuple[str, Any]]]:
        """Follow the stream; yield its events as name and document."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", "/v1/stream")
            yield events(connection.getresponse())
        finally:
            connection.close()


def events(answer: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    name = ""
    while True:
        line = answer.readline().decode().rstrip("\n")
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))


@contextmanager
def shown(access: PageAccess) -> Iterator[Shown]:
    cell = PageCell()
    cell.publish({"head": {"pipeline": ODD}, "letters": {"n": 1}}, [{"name": "amount"}, {"name": ODD}])
    with HttpServer(page_application(cell, FILES, access), Listening(port=0)) as server:
        yield Shown(server.port, cell)


@pytest.fixture
def page() -> Iterator[Shown]:
    with shown(PageAccess(None, is_local=True)) as found:
        yield found


@pytest.fixture
def guarded() -> Iterator[Shown]:
    with shown(PageAccess(TOKEN, is_local=False)) as found:
        yield found


def test_every_answer_forbids_all_that_is_not_from_here(page: Shown) -> None:
    for path in ("/", "/assets/page.js", "/assets/nothing", "/livez", *DATA, "/v1/columns?at=x"):
        policy = page.get(path).headers["content-security-policy"]
        assert "default-src 'none'" in policy, path
        assert "unsafe" not in policy
        assert "//" not in policy


def test_the_page_names_no_other_place_and_has_no_script_or_style_of_its_own(page: Shown) -> None:
    index = page.get("/").body.decode()

    assert "<script>" not in index
    assert "style=" not in index
    assert "<style" not in index
    assert "//" not in index


@pytest.mark.parametrize("name", sorted(FILES.assets))
def test_a_browser_keeps_a_file_until_it_changes(page: Shown, name: str) -> None:
    first = page.get(f"/assets/{name}")

    assert first.status == 200
    assert first.body == FILES.assets[name].content
    again = page.get(f"/assets/{name}", if_none_match=first.headers["etag"])
    assert (again.status, again.body) == (304, b"")


def test_the_chart_library_is_that_of_the_installed_package() -> None:
    assert FILES.has_charts
    assert b"plotly.js v" in FILES.assets[CHARTS].content[:200]
    # It adds one style element by itself, whose name it looks for first.
    assert FILES.index.count(b"<template id=") >= 1


def test_without_the_chart_library_the_page_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_infer.dashboard.page_files._chart_library", lambda: None)

    files = load_page_files()

    assert not files.has_charts
    assert CHARTS not in files.assets


def test_the_whole_state_is_one_document(page: Shown) -> None:
    assert page.get("/v1/state").document == {"head": {"pipeline": ODD}, "letters": {"n": 1}}


def test_columns_are_given_by_their_place(page: Shown) -> None:
    assert page.get("/v1/columns?at=1,7").document == {"1": {"name": ODD}}
    assert page.get("/v1/columns").document == {}


@pytest.mark.parametrize("at", ["x", "-1", "1.5", "%00", "²", ",".join(["1"] * 61), "1;2"])
def test_odd_places_of_columns_are_refused(page: Shown, at: str) -> None:
    assert page.get(f"/v1/columns?at={quote(at, safe=',%')}").status == 400


def test_a_stream_begins_with_all_sections_and_goes_on_with_those_that_change(page: Shown) -> None:
    with page.following() as found:
        assert dict([next(found), next(found)]) == {"head": {"pipeline": ODD}, "letters": {"n": 1}}
        page.cell.publish({"letters": {"n": 2}})
        assert next(found) == ("letters", {"n": 2})


def test_a_reader_that_stands_still_holds_up_nobody(page: Shown) -> None:
    with socket.create_connection(("127.0.0.1", page.port)) as still:
        still.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        for n in range(200):
            page.cell.publish({"letters": {"n": n, "filling": "x" * 100_000}})
        with page.following() as found:
            assert dict([next(found), next(found)])["letters"]["n"] == 199


def test_only_so_many_pages_are_open_at_once(page: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_infer.dashboard.page_server.MOST_STREAMS", 1)
    with page.following() as found:
        next(found)
        assert page.get("/v1/stream").status == 503


@pytest.mark.parametrize("path", DATA)
def test_data_beyond_this_machine_is_for_callers_with_the_token(guarded: Shown, path: str) -> None:
    assert guarded.get("/").status == 200
    for given in ("", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer é"):
        refused = guarded.get(path, authorization=given)
        assert refused.status == 401, given
        assert refused.headers["www-authenticate"] == "Bearer"
        assert ODD not in refused.body.decode()

    assert guarded.get(path, authorization=f"Bearer {TOKEN}").status == 200


@pytest.mark.parametrize("path", DATA)
def test_a_page_of_another_site_cannot_reach_the_data_under_its_own_name(page: Shown, path: str) -> None:
    assert page.get(path, host="evil.example:8090").status == 421
    assert page.get(path, host=f"localhost:{page.port}").status == 200
    assert page.get(path, host="[::1]:8090").status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_nothing_can_be_changed(page: Shown, method: str) -> None:
    assert {page.get(path, method).status for path in ("/", *DATA)} == {405}


def test_a_slash_too_many_is_not_redirected(page: Shown) -> None:
    assert page.get("/v1/state/", host="evil.example").status == 404
