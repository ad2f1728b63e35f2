"""MLServer's Kafka mode: its own JSON (Open Inference Protocol), its scikit-learn runtime. No guarantee."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

import joblib
from estimator import unnamed

MODEL = "linear"


def main() -> None:
    """Become `mlserver start` on a folder with settings and model."""
    job = json.loads(sys.argv[1])
    folder = Path(tempfile.mkdtemp(prefix="stream-infer-mlserver-"))
    write(folder, job)
    command = str(Path(sys.executable).with_name("mlserver"))
    os.execv(command, [command, "start", str(folder)])  # noqa: S606 - a program beside this Python


def write(folder: Path, job: dict[str, str]) -> None:
    """Write what `mlserver start` reads."""
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
