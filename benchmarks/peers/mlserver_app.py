"""MLServer's Kafka mode: its own JSON (Open Inference Protocol), its scikit-learn runtime. No guarantee.

It reads from the end of the topic, and before its model is loaded. Two lines here let it start at the
beginning, and wait for the model: else it could not take part in a race from a backlog.
"""

from __future__ import annotations

import asyncio
import functools
import json
import sys
import tempfile
from pathlib import Path

import joblib
from estimator import unnamed
from mlserver import MLServer
from mlserver.cli.serve import load_settings
from mlserver.kafka import server as kafka

MODEL = "linear"


def main() -> None:
    """Score until killed."""
    job = json.loads(sys.argv[1])
    kafka.AIOKafkaConsumer = functools.partial(kafka.AIOKafkaConsumer, auto_offset_reset="earliest")
    with tempfile.TemporaryDirectory() as folder:
        _write(Path(folder), job)
        asyncio.run(_serve(folder))


async def _serve(folder: str) -> None:
    settings, models = await load_settings(folder)
    server = MLServer(settings)
    loaded = asyncio.Event()
    begin, load = kafka.KafkaServer.start, server._model_registry.load  # noqa: SLF001 - it tells no other way

    async def start(kafka_server: kafka.KafkaServer) -> None:
        await loaded.wait()
        await begin(kafka_server)

    async def load_and_tell(model: object) -> None:
        await load(model)
        loaded.set()

    kafka.KafkaServer.start = start
    server._model_registry.load = load_and_tell  # noqa: SLF001 - as above
    await server.start(models)


def _write(folder: Path, job: dict[str, str]) -> None:
    model = folder / "model.joblib"
    joblib.dump(unnamed(joblib.load(job["estimator"])), model)
    settings = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": 0,
        "grpc_port": 0,
        "metrics_endpoint": None,
        "parallel_workers": 0,  # in this process: two cores are shared with the broker
        "logging_settings": {"version": 1, "loggers": {"mlserver": {"level": "WARNING"}}},
        "kafka_enabled": True,
        "kafka_servers": job["bootstrap"],
        "kafka_topic_input": job["input"],
        "kafka_topic_output": job["output"],
    }
    of_model = {
        "name": MODEL,
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(model), "version": "1.0.0"},
    }
    (folder / "settings.json").write_text(json.dumps(settings), "utf-8")
    (folder / "model-settings.json").write_text(json.dumps(of_model), "utf-8")


if __name__ == "__main__":
    main()
