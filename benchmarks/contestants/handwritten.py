"""The loop that a good engineer writes in an afternoon: fastavro, dicts, scikit-learn, a transaction a batch.

Micro-batched, with the same client settings as the worker and a prediction of the same fields. It has no
dead letters, no policies, no checks and no rebalance handling.
"""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path

import fastavro
import joblib
import pandas as pd
from confluent_kafka import Consumer, Producer

from benchmarks.job import HANDWRITTEN_BATCH, Job

_PREDICTION = Path(__file__).parents[2] / "schemas" / "Prediction.avsc"


def main() -> None:
    """Score until killed."""
    job = Job.from_json(sys.argv[1])
    event = fastavro.parse_schema(json.loads(Path(job.schema).read_text("utf-8")))
    prediction = fastavro.parse_schema(json.loads(_PREDICTION.read_text("utf-8")))
    model = joblib.load(job.estimator)
    columns = list(model.feature_names_in_)
    producer = Producer(job.producer)
    producer.init_transactions(30)
    consumer = Consumer(job.consumer)
    consumer.subscribe([job.input])
    while True:
        messages = [m for m in consumer.consume(HANDWRITTEN_BATCH, 0.1) if not m.error()]
        if not messages:
            continue
        records = [fastavro.schemaless_reader(io.BytesIO(m.value() or b""), event) for m in messages]
        frame = pd.DataFrame([[record[c] for c in columns] for record in records], columns=columns)
        scores = model.predict_proba(frame)[:, 1]
        now_ms = int(time.time() * 1000)
        producer.begin_transaction()
        for message, score in zip(messages, scores.tolist(), strict=True):
            answer = {
                "id": f"{message.topic()}/{message.partition()}/{message.offset()}",
                "source_topic": message.topic(),
                "source_partition": message.partition(),
                "source_offset": message.offset(),
                "event_time": message.timestamp()[1],
                "scored_at": now_ms,
                "pipeline": "benchmark",
                "model_name": "linear",
                "model_version": "1.0.0",
                "model_digest": "sha256:" + "0" * 64,
                "label": str(model.classes_[int(score >= 0.5)]),
                "score": score,
                "value": None,
                "class_scores": None,
                "copied": {},
            }
            out = io.BytesIO()
            fastavro.schemaless_writer(out, prediction, answer)
            producer.produce(job.output, out.getvalue(), message.key(), message.partition())
        producer.send_offsets_to_transaction(
            consumer.position(consumer.assignment()), consumer.consumer_group_metadata(), 30
        )
        producer.commit_transaction(30)


if __name__ == "__main__":
    main()
