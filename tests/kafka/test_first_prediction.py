"""From a trained model to its first predictions on a broker without a topic, with the commands alone."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.broker import Broker
from tests.support.clients import admin
from tests.support.worker_process import Worker

TRAIN = """\
import json, joblib
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier

frame, target = load_breast_cancer(as_frame=True, return_X_y=True)
frame = frame.iloc[:, :5].rename(columns=lambda name: name.replace(" ", "_"))
joblib.dump(RandomForestClassifier(random_state=0).fit(frame, target), "model.joblib")
frame.head(50).to_csv("golden.csv", index=False)
fields = [{"name": name, "type": "double"} for name in frame.columns]
json.dump({"type": "record", "name": "Cell", "fields": fields}, open("event.avsc", "w"))
"""
CONFIG = """\
pipeline = "{pipeline}"

[kafka]
"bootstrap.servers" = "{servers}"

[input]
topics = ["{pipeline}.events.v1"]
schema = "event.avsc"

[model]
package = "cells-1.0.0"

[http]
port = 0
"""
PACKAGE = "package create model.joblib --name cells --version 1.0.0 --schema event.avsc --golden golden.csv"
WITHIN_S = 30.0

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Return what runs Python with arguments in the user's folder, and returns its output."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("STREAM_INFER_")}

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def pipeline(broker: Broker) -> Iterator[str]:
    """Return a name of which the broker has no topic; those that there are in the end are deleted."""
    name = f"lab.cells.{uuid.uuid4().hex[:12]}"
    yield name
    client = admin(broker.bootstrap)
    there = [topic for topic in client.list_topics(timeout=WITHIN_S).topics if name in topic]
    for deleted in client.delete_topics(there).values():
        deleted.result(WITHIN_S)


def test_a_users_own_model_answers_the_rows_of_a_file(
    tmp_path: Path, run: Run, broker: Broker, pipeline: str
) -> None:
    config, events = tmp_path / "worker.toml", f"{pipeline}.events.v1"
    config.write_text(CONFIG.format(pipeline=pipeline, servers=broker.bootstrap), "utf-8")

    def stream_infer(command: str) -> list[str]:
        return run("-m", "stream_infer.cli.main", *command.split()).splitlines()

    run("-c", TRAIN)
    stream_infer(f"{PACKAGE} -o cells-1.0.0")
    created = stream_infer("topics create -c worker.toml --with-input 2")
    stream_infer("check -c worker.toml")
    worker = Worker(config)
    try:
        sent = stream_infer("send -c worker.toml golden.csv --show 5")
        assert worker.terminate() == 0
    finally:
        worker.kill()

    assert [line.split()[:2] for line in created] == [
        ["created", events],
        ["created", f"{pipeline}.predictions.v1"],
        ["created", f"dlq.{events}"],
    ]
    first, *predictions, summary = sent
    assert first == f"sending 50 rows of golden.csv as Cell to {events}"
    assert len(predictions) == 5
    for line in predictions:
        identity, _, label, _, score, *model = line.split()
        assert identity.startswith(f"{events}/")
        assert label in {"0", "1"}
        assert 0 <= float(score) <= 1
        assert model == ["model", "cells", "1.0.0"]
    assert summary == "sent 50, answered 50: 50 predictions, 0 dead letters"
