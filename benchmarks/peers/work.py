"""What every peer does with events: the same decoding, model and prediction. Knows nothing of stream_infer.

Rows go to the model as an array, its quickest way: a frame of one row would cost peers more than all else.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import joblib
import numpy as np
from estimator import unnamed

_PREDICTION = Path(__file__).parents[2] / "schemas" / "Prediction.avsc"


@dataclass(frozen=True)
class Work:
    """A job as the race hands it over, with the schemas and the model that it names."""

    job: dict[str, Any]
    event: Any
    prediction: Any
    model: Any
    columns: list[str]

    def answers(self, values: Sequence[bytes], places: Sequence[tuple[str, int, int, int]]) -> list[bytes]:
        """Return a prediction for each event; `places` are topic, partition, offset, timestamp (ms)."""
        records = [fastavro.schemaless_reader(io.BytesIO(value), self.event) for value in values]
        matrix = np.array([[record[c] for c in self.columns] for record in records])
        scores = self.model.predict_proba(matrix)[:, 1].tolist()
        now_ms = int(time.time() * 1000)
        return [self._prediction(place, score, now_ms) for place, score in zip(places, scores, strict=True)]

    def _prediction(self, place: tuple[str, int, int, int], score: float, now_ms: int) -> bytes:
        topic, partition, offset, timestamp_ms = place
        out = io.BytesIO()
        answer = {
            "id": f"{topic}/{partition}/{offset}",
            "source_topic": topic,
            "source_partition": partition,
            "source_offset": offset,
            "event_time": timestamp_ms,
            "scored_at": now_ms,
            "pipeline": "benchmark",
            "model_name": "linear",
            "model_version": "1.0.0",
            "model_digest": "sha256:" + "0" * 64,
            "label": str(self.model.classes_[int(score >= 0.5)]),
            "score": score,
            "value": None,
            "class_scores": None,
            "copied": {},
        }
        fastavro.schemaless_writer(out, self.prediction, answer)
        return out.getvalue()


def work() -> Work:
    """Return the work that the command line names."""
    job = json.loads(sys.argv[1])
    model = joblib.load(job["estimator"])
    columns = list(model.feature_names_in_)
    return Work(
        job,
        fastavro.parse_schema(json.loads(Path(job["schema"]).read_text("utf-8"))),
        fastavro.parse_schema(json.loads(_PREDICTION.read_text("utf-8"))),
        unnamed(model),
        columns,
    )
