"""Quix Streams: a stream of single records, exactly once. It has no micro-batches to score."""

from __future__ import annotations

from quixstreams import Application, message_context
from work import work


def main() -> None:
    """Score until killed."""
    it = work()
    job = it.job
    app = Application(
        broker_address=job["bootstrap"],
        consumer_group=job["group"],
        auto_offset_reset="earliest",
        processing_guarantee="exactly-once",
        commit_interval=0.5,
        auto_create_topics=False,
        producer_extra_config={"compression.type": "lz4", "retry.backoff.ms": 5},
    )
    source = app.topic(job["input"], value_deserializer="bytes", key_deserializer="bytes")
    output = app.topic(job["output"], value_serializer="bytes", key_serializer="bytes")

    def score(value: bytes, _key: object, timestamp_ms: int, _headers: object) -> bytes:
        context = message_context()
        place = context.topic, context.partition, context.offset, timestamp_ms
        return it.answers([value], [place])[0]

    app.dataframe(source).apply(score, metadata=True).to_topic(output)
    app.run()


if __name__ == "__main__":
    main()
