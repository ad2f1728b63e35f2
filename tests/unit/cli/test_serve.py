"""`stream-infer serve` as a process: it answers, and SIGTERM ends it with 0."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import joblib
import psutil
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tests.support.package import Package
from tests.support.ports import free_ports
from tests.support.worker_process import until
from tests.unit.packaging.workshop import Workshop, frame_of, target, trips
from tests.unit.serving.served import Client
from tests.unit.serving.test_answering import samples

READY_WITHIN_S = 120


@contextmanager
def serve(*options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "stream_infer.cli.main", "serve", *options],
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def said_of(process: subprocess.Popen[str]) -> dict[str, str]:
    """Return the line of the log that says where `process` serves, once it does."""
    assert process.stderr is not None
    for line in process.stderr:
        said: dict[str, str] = json.loads(line)
        if said["event"] == "serving":
            return said
    raise AssertionError("the server has ended")


def client_of(process: subprocess.Popen[str]) -> Client:
    return Client(int(said_of(process)["url"].rsplit(":", 1)[1]))


def in_flight(port: int) -> float:
    return samples(Client(port))["requests_in_flight", ()]


def test_it_answers_until_sigterm_and_leaves_with_0(package: Package) -> None:
    with serve("--package", str(package.path), "--port", "0") as process:
        said = said_of(process)
        client = Client(int(said["url"].rsplit(":", 1)[1]))

        described = client.get(f"/v2/models/{said['model']}")
        process.send_signal(signal.SIGTERM)
        code = process.wait(READY_WITHIN_S)

    assert described.document["versions"] == [said["model_version"]]
    assert code == 0


@pytest.mark.slow
def test_a_caller_that_does_not_end_its_request_holds_no_shutdown_up(package: Package) -> None:
    with serve("--package", str(package.path), "--port", "0") as process:
        port = client_of(process).port
        with (
            socket.create_connection(("127.0.0.1", port)) as slow,
            socket.create_connection(("127.0.0.1", port)),
        ):
            slow.sendall(b"POST /v1/predictions HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\n[")
            until("the request", lambda: in_flight(port) == 1)
            process.send_signal(signal.SIGTERM)
            _, logged = process.communicate(timeout=READY_WITHIN_S)

    assert process.returncode == 0, logged


def test_a_busy_port_is_named_with_its_option(package: Package) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        with serve("--package", str(package.path), "--port", port) as process:
            _, said = process.communicate(timeout=READY_WITHIN_S)

    assert process.returncode == 2
    assert f"--port = {port}" in said


def test_what_is_no_package_is_refused(tmp_path: Path) -> None:
    with serve("--package", str(tmp_path / "missing")) as process:
        _, said = process.communicate(timeout=READY_WITHIN_S)

    assert process.returncode == 3
    assert "not_a_package" in said


@pytest.mark.parametrize("options", [(), ("--package", "x", "-c", "worker.toml")])
def test_a_package_or_a_pipeline_is_served(options: tuple[str, ...]) -> None:
    with serve(*options) as process:
        _, said = process.communicate(timeout=READY_WITHIN_S)

    assert process.returncode == 2
    assert "give either --package or --config" in said


def test_wrong_settings_are_named(tmp_path: Path) -> None:
    (tmp_path / "worker.toml").write_text('pipeline = "x"\n[nothing]\n')
    with serve("-c", str(tmp_path / "worker.toml")) as process:
        _, said = process.communicate(timeout=READY_WITHIN_S)

    assert process.returncode == 2
    assert "nothing" in said


def test_a_missing_token_for_other_machines_is_named(package: Package) -> None:
    with serve("--package", str(package.path), "--host", "0.0.0.0", "--port", "0") as process:  # noqa: S104 - refused
        _, said = process.communicate(timeout=READY_WITHIN_S)

    assert process.returncode == 2
    assert "--token-file FILE, or --insecure" in said


SLOW = """
import pathlib, time
def wait(frame):
    started = pathlib.Path({started!r})
    if len(frame) > 1050:  # more than in the proof of a package
        started.touch()
        while started.exists():
            time.sleep(0.01)
    return frame
"""


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Return a package whose model answers large batches only once a file is gone, and that file."""
    modules, started = tmp_path / "src", tmp_path / "started"
    modules.mkdir()
    (modules / "own_wait.py").write_text(SLOW.format(started=str(started)))
    shop = Workshop(tmp_path)
    frame = frame_of(trips(), ["stops"])
    with monkeypatch.context() as training:
        training.syspath_prepend(modules)
        import own_wait  # type: ignore[import-not-found]  # noqa: PLC0415 - exists from here on

        model = make_pipeline(FunctionTransformer(own_wait.wait), LinearRegression()).fit(
            frame, target(trips())
        )
        joblib.dump(model, tmp_path / "model.joblib")
        del sys.modules["own_wait"]
    shop.create(tmp_path / "model.joblib", frame, code=modules)
    return shop.package, started


@pytest.mark.slow
def test_sigterm_answers_the_request_that_is_being_scored(slow: tuple[Path, Path]) -> None:
    package, started = slow
    with serve("--package", str(package), "--port", "0") as process, ThreadPoolExecutor(1) as caller:
        client = client_of(process)
        answer = caller.submit(client.post, "/v1/predictions", trips() * 9)
        until("the model is asked", started.exists)
        assert client.get("/livez").status == 200
        process.send_signal(signal.SIGTERM)
        until("no new caller is taken", lambda: not is_listening(client.port))
        started.unlink()
        code = process.wait(READY_WITHIN_S)

    assert answer.result().status == 200
    assert len(answer.result().document["predictions"]) == 9 * len(trips())
    assert code == 0


def is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except OSError:
        return False
    return True


@pytest.mark.slow
def test_several_processes_answer_on_one_socket_and_a_dead_one_is_replaced(package: Package) -> None:
    port, metrics, _ = free_ports(3)
    options = ("--port", str(port), "--workers", "2", "--metrics-port", str(metrics))
    with serve("--package", str(package.path), *options) as process:
        own = [Client(metrics), Client(metrics + 1)]
        children = psutil.Process(process.pid).children
        until("both are ready", lambda: all(is_ready(one) for one in own))
        before = {child.pid for child in children()}
        for _ in range(20):
            assert Client(port).get("/v2").status == 200
        min(children(), key=lambda child: child.create_time()).kill()
        until("another one", lambda: len({child.pid for child in children()} | before) == 3)
        assert Client(port).get("/v2").status == 200
        until("both are ready again", lambda: all(is_ready(one) for one in own))
        process.send_signal(signal.SIGTERM)
        code = process.wait(READY_WITHIN_S)

    assert code == 0
    assert not is_listening(port)


def is_ready(client: Client) -> bool:
    try:
        return client.get("/readyz").status == 200 and bool(samples(client))
    except OSError:
        return False
