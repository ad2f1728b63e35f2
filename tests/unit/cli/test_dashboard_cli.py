"""`stream-infer dashboard` as a command: what it refuses, each with its key and its fix."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.app.project import Project, make_project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path)


def refusal(project: Project, *options: str) -> str:
    """Run the command, which must end with exit code 2; return what it says."""
    command = [
        sys.executable,
        "-m",
        "stream_infer.cli.main",
        "dashboard",
        "-c",
        str(project.config),
        *options,
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    return ended.stderr


def test_a_port_that_another_process_has_is_named(project: Project) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        said = refusal(project, "--port", str(other.getsockname()[1]))

    assert "is in use by another process on 127.0.0.1" in said
    assert "set another --port" in said


def test_an_address_that_others_reach_is_refused_without_a_token(project: Project) -> None:
    said = refusal(project, "--host", "0.0.0.0", "--port", "0")  # noqa: S104 - it is refused

    assert "is reachable from other machines" in said
    assert "--token-file FILE" in said
