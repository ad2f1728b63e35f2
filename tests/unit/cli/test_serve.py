"""`stream-infer serve` as a process: it answers, and SIGTERM ends it with 0."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.package import Package
from tests.support.worker_process import until
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
