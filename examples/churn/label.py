"""Send the outcomes of the customers to the labels topic, one label under the key of each customer."""

import csv
import io
import os
import time
from pathlib import Path

import fastavro
from confluent_kafka import Producer

SERVERS = os.environ.get("STREAM_INFER_KAFKA__BOOTSTRAP_SERVERS", "localhost:9092")
TOPIC = "shop.churn.labels.v1"


def main() -> None:
    """Send each line of outcomes.csv."""
    schema = fastavro.schema.load_schema("outcome.avsc")
    producer = Producer({"bootstrap.servers": SERVERS})
    now_ms = time.time_ns() // 1_000_000
    rows = list(csv.DictReader(Path("outcomes.csv").read_text("utf-8").splitlines()))
    for row in rows:
        value = io.BytesIO()
        fastavro.schemaless_writer(value, schema, {"churned": row["churned"], "known_at": now_ms})
        producer.produce(TOPIC, value.getvalue(), row["customer_id"])
    if producer.flush(30) > 0:
        raise SystemExit(f"no broker at {SERVERS} took all labels")
    print(f"{len(rows)} labels sent")


if __name__ == "__main__":
    main()
