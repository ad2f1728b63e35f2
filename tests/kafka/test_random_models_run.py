"""Random models over a broker: a worker answers events as the model's maker does."""

from __future__ import annotations

import io
import json
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pytest
from confluent_kafka import Producer
from hypothesis import assume, given, settings

from stream_infer.flow.errors import Misconfigured, Refused
from tests.conftest import Topics
from tests.properties.test_random_models import MODELS, TRIALS, packaged
from tests.support.broker import Broker
from tests.support.log import committed, read_all
from tests.support.pipeline import PREDICTION_SCHEMA, toml
from tests.support.random_models import SAMPLES, Sample, Trained, trained
from tests.support.worker_process import Worker, until

RUNS = max(2, MODELS // 50)
"""As long as a worker takes to start, a part of the random models is enough."""


def answers_over(
    broker: Broker, topics: Topics, start_worker: Callable[..., Worker], own: Trained, package: Path
) -> dict[int, tuple[str | None, float | None]]:
    """Return label and number of the prediction of each event, by its row; dead letters have none."""
    name, folder = f"random.{uuid.uuid4().hex[:12]}", package.parent
    source, predictions, dead = (topics(f"random-{one}", 1) for one in ("events", "predictions", "dlq"))
    (folder / "event.avsc").write_text(json.dumps(own.schema()), "utf-8")
    config = folder / "worker.toml"
    sections: dict[str, Any] = {
        "kafka": {"bootstrap.servers": broker.bootstrap},
        "input": {"topics": [source], "schema": str(folder / "event.avsc")},
        "output": {"topic": predictions},
        "dlq": {"topic": dead},
        "model": {"package": str(package)},
        "http": {"port": 0},
    }
    config.write_text(f"pipeline = {json.dumps(name)}\n{toml(sections)}", "utf-8")
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for event in own.events(own.frame):
        producer.produce(source, _datum(own.schema(), event), partition=0)
    assert producer.flush(30) == 0
    worker = start_worker(config)

    def answered() -> bool:
        worker.check_alive()
        return committed(broker.bootstrap, f"{name}.score", source).get(0) == len(own.frame)

    until("all events are answered", answered, within_s=90)
    worker.terminate()
    found = [_prediction(record.value) for record in read_all(broker.bootstrap, predictions)]
    assert len(found) + len(read_all(broker.bootstrap, dead)) == len(own.frame)
    return {one["source_offset"]: (one["label"], _number(one)) for one in found}


def _number(prediction: dict[str, Any]) -> float | None:
    number: float | None = prediction["value"] if prediction["label"] is None else prediction["score"]
    return number


def _datum(schema: dict[str, Any], event: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    fastavro.schemaless_writer(file, fastavro.parse_schema(schema), event)
    return file.getvalue()


def _prediction(value: bytes | None) -> dict[str, Any]:
    schema = fastavro.parse_schema(json.loads(PREDICTION_SCHEMA.read_text("utf-8")))
    read: Any = fastavro.schemaless_reader(io.BytesIO(value or b""), schema, None)
    return dict(read)


@pytest.mark.filterwarnings("ignore")
def test_a_worker_answers_random_models_as_their_makers_do(
    broker: Broker, topics: Topics, start_worker: Callable[..., Worker]
) -> None:
    @settings(TRIALS, max_examples=RUNS)
    @given(trained(), SAMPLES)
    def tried(own: Trained | None, sample: Sample) -> None:
        assume(own is not None)
        assert own is not None
        with tempfile.TemporaryDirectory() as folder:
            try:
                package, _ = packaged(own, sample, Path(folder))
            except (Misconfigured, Refused):
                assume(condition=False)
            found = answers_over(broker, topics, start_worker, own, package)
        expected = own.own(own.frame)
        assert found != {}
        for row, (label, number) in found.items():
            assert label == expected[row][0]
            if expected[row][1] is not None:
                np.testing.assert_allclose(number, expected[row][1], rtol=1e-6, atol=1e-9)

    tried()
