"""Clients that were not written here: programs in an environment of their own, which ask a server of ours."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stream_infer.packaging.scorer import Scorer
from tests.unit.serving.conftest import EVENTS, served, trip_package
from tests.unit.serving.served import Client, serving

__all__ = ["EVENTS", "served", "trip_package"]

PROGRAMS = Path(__file__).parent / "programs"
WITHIN_S = 300
Run = Callable[..., Any]


@pytest.fixture(scope="session")
def clients() -> Path:
    """Return the Python of the clients' environment, see requirements.txt."""
    python = os.environ.get("STREAM_INFER_TEST_CLIENTS")
    if python is None:
        pytest.skip("STREAM_INFER_TEST_CLIENTS is not set: the Python of tests/clients/requirements.txt")
    return Path(python)


@pytest.fixture
def run(clients: Path) -> Run:
    """Return a function that runs a program of the clients' environment and returns what it found."""

    def run_program(name: str, *arguments: object) -> Any:
        done = subprocess.run(
            [clients, PROGRAMS / name, *map(str, arguments)],
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-4000:] + done.stdout[-4000:]
        return json.loads(done.stdout)

    return run_program


@pytest.fixture
def client(served: Scorer) -> Iterator[Client]:
    with serving(lambda: served) as client:
        yield client
