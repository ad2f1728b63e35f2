from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stream_infer.flow.errors import Misconfigured
from stream_infer.flow.events import AssignmentChanged, PartitionsPaused, PauseCause, ReadFinished
from stream_infer.flow.records import Partition
from stream_infer.ops.http import HttpServer, Listening, application, listen, readiness
from stream_infer.ops.metrics import Build, Metrics
from stream_infer.ops.progress import Aborting, ClientTrouble, LoopState, Progress, ProgressCell
from tests.architecture.tree import ROOT

READY = Progress(
    active_at=100.0,
    state=LoopState.RUNNING,
    joined=True,
    owned=(Partition("in", 0), Partition("in", 1)),
    model_version="1.2.0",
)


class Worker:
    """A worker as the endpoints see it: what it did last, the time, its metrics, and a running server."""

    def __init__(self) -> None:
        self.progress = READY
        self.now = 100.0
        self.foreign_members: list[str] = []
        self.metrics = Metrics("payments.fraud", build=Build("0.1.0"))
        app = application(
            lambda: self.progress,
            self.metrics.registry,
            max_idle_s=30.0,
            foreign_members=lambda: self.foreign_members,
            clock=lambda: self.now,
        )
        self.server = HttpServer(app, Listening(port=0))

    def get(self, path: str, **headers: str) -> tuple[int, str, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        try:
            connection.request("GET", path, headers=headers)
            response = connection.getresponse()
            return response.status, response.headers["content-type"], response.read().decode()
        finally:
            connection.close()


@pytest.fixture
def worker() -> Iterator[Worker]:
    worker = Worker()
    with worker.server:
        yield worker


def http_threads() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name == "stream-infer-http"]


def test_the_root_says_what_is_there(worker: Worker) -> None:
    status, kind, body = worker.get("/")

    assert status == 200
    assert kind.startswith("text/plain")
    assert body == "stream_infer: /livez, /readyz, /metrics\n"
    assert all(worker.get(path)[0] == 200 for path in body.rstrip("\n").partition(": ")[2].split(", "))


def test_livez_follows_the_last_sign_of_the_loop(worker: Worker) -> None:
    worker.now = 130.0
    assert worker.get("/livez")[0] == 200

    worker.now = 130.5
    status, _, body = worker.get("/livez")

    assert status == 503
    assert json.loads(body) == {"live": False, "idle_s": 30.5, "max_idle_s": 30.0}


def test_readyz_shows_the_state_of_the_worker(worker: Worker) -> None:
    status, _, body = worker.get("/readyz")

    assert status == 200
    assert json.loads(body) == {
        "ready": True,
        "waiting_for": [],
        "state": "running",
        "model_version": "1.2.0",
        "joined": True,
        "assigned_partitions": 2,
        "degraded": [],
        "foreign_members": [],
        "client_error": None,
        "not_following_since": None,
    }
    described = (ROOT / "docs" / "reference" / "readiness.md").read_text("utf-8")
    assert [field for field in json.loads(body) if f"`{field}`" not in described] == []


def test_foreign_members_are_told_and_do_not_count(worker: Worker) -> None:
    worker.foreign_members = ["a stranger"]

    status, _, body = worker.get("/readyz")

    assert status == 200
    assert json.loads(body)["foreign_members"] == ["a stranger"]


def test_readyz_gives_every_reason_not_to_be_ready(worker: Worker) -> None:
    worker.progress = Progress(active_at=100.0)

    status, _, body = worker.get("/readyz")

    assert status == 503
    assert json.loads(body)["waiting_for"] == ["worker not running", "no model", "no assignment"]


@pytest.mark.parametrize(
    ("progress", "waiting_for"),
    [
        (READY, ()),
        (replace(READY, owned=()), ()),
        (replace(READY, model_version=None), ("no model",)),
        (replace(READY, joined=False), ("no assignment",)),
        (replace(READY, state=LoopState.DRAINING), ("worker not running",)),
        (
            replace(READY, halted={Partition("events", 0): "offset 7 is not in the log"}),
            ("partition halted: events/0: offset 7 is not in the log",),
        ),
        (replace(READY, missing=("events", "more")), ("input missing: events, more",)),
        (replace(READY, aborting=Aborting(70.0, "no broker", READY.owned)), ()),
        (
            replace(READY, aborting=Aborting(69.0, "no broker", READY.owned)),
            ("no commit: aborted for 31 s, last because: no broker",),
        ),
    ],
)
def test_ready_means_running_with_a_model_in_the_group_and_committing(
    progress: Progress, waiting_for: tuple[str, ...]
) -> None:
    assert readiness(progress, 100.0).waiting_for == waiting_for
    assert readiness(progress, 100.0).ready == (not waiting_for)


def test_a_worker_with_paused_partitions_is_not_ready(worker: Worker) -> None:
    cell = ProgressCell(clock=lambda: 100.0)
    cell.enter(LoopState.RUNNING)
    cell.serve("1.0.0")
    cell(AssignmentChanged("assigned", (Partition("events", 0),)))
    cell(PartitionsPaused(PauseCause.WRITER_SCHEMA, (Partition("events", 0),), "the registry is away"))
    cell(PartitionsPaused(PauseCause.OUTPUT_PARTITION, (Partition("events", 4),), "the output has 4"))

    paused = readiness(cell.current, 100.0)
    cell(PartitionsPaused(PauseCause.WRITER_SCHEMA, (), ""))
    unplaced = readiness(cell.current, 100.0)
    cell(PartitionsPaused(PauseCause.OUTPUT_PARTITION, (), ""))

    assert paused.waiting_for == (
        "partitions paused: events/0: the registry is away",
        "partitions paused: events/4: the output has 4",
    )
    assert unplaced.waiting_for == ("partitions paused: events/4: the output has 4",)
    assert readiness(cell.current, 100.0).ready


def test_metrics_are_prometheus_text(worker: Worker) -> None:
    worker.metrics(ReadFinished(7, 0.1))

    status, content_type, body = worker.get("/metrics")

    assert status == 200
    assert content_type.startswith("text/plain; version=")
    assert 'stream_infer_events_consumed_total{pipeline="payments.fraud"} 7.0' in body.splitlines()


def test_metrics_are_openmetrics_for_a_scraper_that_asks(worker: Worker) -> None:
    _, content_type, body = worker.get("/metrics", Accept="application/openmetrics-text; version=1.0.0")

    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith("# EOF\n")


def test_nothing_else_is_served_and_nothing_can_be_written(worker: Worker) -> None:
    # Nor is a slash too many redirected, to whatever host the request names.
    assert [worker.get(path)[0] for path in ("/x", "/metrics/", "/livez/")] == [404, 404, 404]
    connection = http.client.HTTPConnection("127.0.0.1", worker.server.port, timeout=10)
    connection.request("POST", "/livez", body=b"{}")
    assert connection.getresponse().status == 405
    connection.close()


def test_a_busy_port_is_a_problem_with_its_fix_before_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = HttpServer(Worker().server._server.config.app, Listening(port=port))  # type: ignore[arg-type]

        with pytest.raises(Misconfigured) as refused:
            server.start()

    (problem,) = refused.value.problems
    assert (problem.key, problem.value) == ("http.port", str(port))
    assert "in use" in problem.message
    assert "http.port" in problem.fix
    server.close()
    assert not http_threads()


def test_a_host_of_another_machine_is_a_problem_of_the_host() -> None:
    with pytest.raises(Misconfigured) as refused:
        listen(Listening("192.0.2.1", 0))

    assert refused.value.problems[0].key == "http.host"


def test_a_host_name_that_does_not_resolve_is_a_problem_of_the_host() -> None:
    with pytest.raises(Misconfigured) as refused:
        listen(Listening("no such host", 0))

    assert refused.value.problems[0].key == "http.host"


def test_the_port_is_free_again_after_the_end() -> None:
    worker = Worker()
    with worker.server:
        assert worker.get("/livez")[0] == 200
    assert not http_threads()

    listen(Listening("127.0.0.1", worker.server.port)).close()


def test_an_open_connection_does_not_hold_up_the_end() -> None:
    worker = Worker()
    worker.server.start()
    half = socket.create_connection(("127.0.0.1", worker.server.port))
    half.sendall(b"GET /livez HTTP/1.1\r\n")
    idle = http.client.HTTPConnection("127.0.0.1", worker.server.port, timeout=10)
    idle.request("GET", "/livez")
    idle.getresponse().read()

    worker.server.close()

    assert not http_threads()
    half.close()
    idle.close()


def test_an_end_right_after_the_start_is_clean() -> None:
    server = Worker().server
    server.start()
    server.close()
    server.close()

    assert not http_threads()


def test_a_server_that_was_never_started_can_be_closed() -> None:
    Worker().server.close()

    assert not http_threads()


def test_the_constructor_binds_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = Listening(port=other.getsockname()[1])
        HttpServer(application(lambda: READY, Worker().metrics.registry, max_idle_s=1.0), taken)

    assert not http_threads()


def test_readyz_stays_ready_and_gives_the_reasons_why_monitoring_is_incomplete(worker: Worker) -> None:
    worker.progress = replace(READY, degraded=("observations.v1 does not exist",))

    status, _, body = worker.get("/readyz")

    assert status == 200
    assert json.loads(body)["degraded"] == ["observations.v1 does not exist"]


def test_readyz_has_the_last_failure_of_a_client_and_its_age(worker: Worker) -> None:
    worker.progress = replace(worker.progress, trouble=ClientTrouble(100.0, "3/3 brokers are down"))
    worker.now = 112.34

    _status, _type, body = worker.get("/readyz")

    assert json.loads(body)["client_error"] == {"reason": "3/3 brokers are down", "ago_s": 12.3}
