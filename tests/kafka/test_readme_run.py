"""The README, followed by a stranger: its model, its package, its worker, its reader, on a real broker."""

from __future__ import annotations

import io
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import fastavro
import pytest
from confluent_kafka import Producer
from confluent_kafka.cimpl import NewTopic

from tests.architecture.tree import ROOT, fenced
from tests.support.broker import Broker
from tests.support.clients import admin
from tests.support.worker_process import Worker

SERVERS = "localhost:9092"
EVENTS, PREDICTIONS, LETTERS = "lab.cells.events.v1", "lab.cells.predictions.v1", "dlq.lab.cells.events.v1"
WITHIN_S = 30.0


def block(language: str, having: str) -> str:
    readme = (ROOT / "README.md").read_text("utf-8")
    [found] = [body for body in fenced(readme, language) if having in body]
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder in which the stranger works, with the schemas of the checkout beside it."""
    (tmp_path / "schemas").symlink_to(ROOT / "schemas")
    return tmp_path


@pytest.fixture
def run(folder: Path) -> Callable[..., str]:
    """Return what runs Python code, or each line of a shell block, in that folder, and returns its output."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("STREAM_INFER_")}

    def go(command: list[str]) -> str:
        done = subprocess.run(
            command, cwd=folder, env=environ, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(*, python: str = "", shell: str = "") -> str:
        if python:
            return go([sys.executable, "-c", python])
        lines = [shlex.split(line) for line in shell.splitlines()]
        assert all(name == "stream-infer" for name, *_ in lines)
        return "".join(go([sys.executable, "-m", "stream_infer.cli.main", *rest]) for _, *rest in lines)

    return run


@pytest.fixture
def input_topic(broker: Broker) -> Iterator[None]:
    """Hold the README's input topic, and see to it that none of its topics is left."""
    client = admin(broker.bootstrap)
    client.create_topics([NewTopic(EVENTS, 2, 1)])[EVENTS].result(WITHIN_S)
    yield
    there = {EVENTS, PREDICTIONS, LETTERS} & client.list_topics(timeout=WITHIN_S).topics.keys()
    for deleted in client.delete_topics(list(there)).values():
        deleted.result(WITHIN_S)


@contextmanager
def reading(folder: Path, code: str) -> Iterator[subprocess.Popen[str]]:
    """Run the README's reader, which never ends by itself."""
    command = [sys.executable, "-u", "-c", code]
    reader = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    try:
        yield reader
    finally:
        reader.kill()
        reader.communicate()


def test_its_model_its_worker_and_its_reader_work_as_they_stand(
    folder: Path, run: Callable[..., str], broker: Broker, input_topic: None
) -> None:
    run(python=block("python", "joblib.dump"))
    run(shell=block("bash", "package create"))
    said = run(python=block("python", "open_package"))
    toml = block("toml", "[input]")
    assert EVENTS in toml
    assert SERVERS in toml
    config = folder / "worker.toml"
    config.write_text(toml.replace(SERVERS, broker.bootstrap) + "\n[http]\nport = 0\n", "utf-8")
    *prepared, started = block("bash", "topics create").splitlines()
    assert started == "stream-infer run -c worker.toml"
    run(shell="\n".join(prepared))

    cell = {"mean_radius": 14.1, "mean_texture": 19.3, "mean_perimeter": 92.0, "mean_area": 654.9}
    datum = io.BytesIO()
    schema = fastavro.parse_schema(json.loads((folder / "event.avsc").read_text("utf-8")))
    fastavro.schemaless_writer(datum, schema, {**cell, "mean_smoothness": 0.1})
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    producer.produce(EVENTS, datum.getvalue(), partition=1)
    assert producer.flush(WITHIN_S) == 0
    worker = Worker(config)
    reader = block("python", "Consumer(")
    assert SERVERS in reader
    try:
        mine = reader.replace(SERVERS, broker.bootstrap).replace("payments.fraud.predictions.v1", PREDICTIONS)
        with reading(folder, mine) as process:
            assert process.stdout is not None
            line = process.stdout.readline().split()
        assert worker.terminate() == 0
    finally:
        worker.kill()

    identity, label, score, version = line
    assert (identity, label, version) == (f"{EVENTS}/1/0", label, "1.0.0")
    assert label in said
    assert str(float(score))[:6] in said
