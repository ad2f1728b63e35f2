"""A server that follows a store: under load every answer names one version and is what that version says.

No broker listens at its address: answers need none.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stream_infer.app.checks.check import require_servable
from stream_infer.app.serve import Front
from stream_infer.app.serve_pipeline import serve_pipeline
from stream_infer.config.settings import load_settings
from stream_infer.ops.http import Listening
from stream_infer.runtime.stop import Stop
from stream_infer.store.model_store import ModelStore, Request
from tests.support.lines import SLOPES, line
from tests.support.pipeline import toml
from tests.support.ports import free_ports
from tests.support.rehearsals import unrehearsed
from tests.support.worker_process import until
from tests.unit.rollout.packages import SCHEMA
from tests.unit.serving.served import Answer, Client

ME = Request("tests")
CALLERS = 8


@dataclass
class Load:
    """Asks from several threads until it is ended; keeps what was asked and answered."""

    client: Client
    seen: list[tuple[float, Answer]] = field(default_factory=list)

    @contextmanager
    def running(self) -> Iterator[None]:
        enough = threading.Event()

        def ask(caller: int) -> None:
            x = float(caller)
            while not enough.is_set():
                x += CALLERS
                self.seen.append((x, self.client.post("/v1/predictions", {"x": x, "y": 0.0})))

        with ThreadPoolExecutor(CALLERS) as threads:
            asked = [threads.submit(ask, caller) for caller in range(CALLERS)]
            try:
                yield
            finally:
                enough.set()
        for one in asked:
            one.result()

    def versions(self) -> list[str]:
        return [answer.document["model_version"] for _, answer in list(self.seen)]


@dataclass(frozen=True)
class Served:
    """A server of a store, and how to ask it."""

    store: ModelStore
    client: Client
    folder: Path

    def version(self) -> str:
        document: Mapping[str, Any] = self.client.post("/v1/predictions", {"x": 1.0, "y": 0.0}).document
        return str(document["model_version"])

    def promote(self, number: int, **changes: Any) -> None:
        self.store.promote(line(self.folder, number, **changes), ME)

    def serves(self, version: str) -> None:
        until(f"version {version}", lambda: self.version() == version)


def config(folder: Path, store: Path) -> Path:
    (folder / "event.avsc").write_bytes(SCHEMA)
    sections = {
        "kafka": {"bootstrap.servers": f"127.0.0.1:{free_ports(1)[0]}"},
        "input": {"topics": ["events"], "schema": str(folder / "event.avsc")},
        "model": {"store": str(store)},
        "worker": {"slot": "0"},
    }
    path = folder / "worker.toml"
    path.write_text(f"pipeline = {json.dumps('lines')}\n{toml(sections)}", encoding="utf-8")
    return path


@pytest.fixture
def served(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Iterator[Served]:
    (tmp_path / "models").mkdir()
    store = ModelStore(tmp_path / "models", "lines")
    store.promote(line(tmp_path, 1), ME)
    ready = require_servable(load_settings(config(tmp_path, store.folder), {}))
    port, stop = free_ports(1)[0], Stop()
    serve = partial(serve_pipeline, Front(Listening(port=port)), ready, stop, run_child=unrehearsed)
    thread = threading.Thread(target=serve, daemon=True)
    with caplog.at_level("INFO"):
        thread.start()
        until("the server", lambda: any(one.msg == "serving" for one in caplog.records))
        try:
            yield Served(store, Client(port), tmp_path)
        finally:
            stop.request()
            thread.join(60)
    assert not thread.is_alive()


def wrong(seen: Sequence[tuple[float, Answer]]) -> list[tuple[float, Answer]]:
    """Return what was not answered as the version that it names answers."""
    return [
        (x, answer)
        for x, answer in seen
        if answer.status != 200 or answer.document["value"] != SLOPES[answer.document["model_version"]] * x
    ]


def test_under_load_each_answer_is_of_the_version_that_it_names(served: Served) -> None:
    load = Load(served.client)
    with load.running():
        for number in (2, 3):
            served.promote(number)
            until(f"version {number}", lambda: f"{number}.0.0" in load.versions())  # noqa: B023 - at once
        served.store.rollback(ME)
        until("the version before", lambda: load.versions()[-1] == "2.0.0")

    assert wrong(load.seen) == []
    assert set(load.versions()) == {"1.0.0", "2.0.0", "3.0.0"}


def test_a_bad_package_changes_nothing(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    load = Load(served.client)
    with load.running():
        served.promote(2, source="z")
        until("the refusal", lambda: any(one.msg == "model refused" for one in caplog.records))

    assert wrong(load.seen) == []
    assert set(load.versions()) == {"1.0.0"}
    assert served.version() == "1.0.0"


def test_the_new_version_is_described_by_every_endpoint(served: Served) -> None:
    served.promote(2)
    served.serves("2.0.0")

    assert served.client.get("/v2/models/line").document["versions"] == ["2.0.0"]
    assert served.client.get("/v2/models/line/versions/1.0.0/ready").status == 404
    assert 'version="2.0.0"' in served.client.get("/metrics").content.decode()
