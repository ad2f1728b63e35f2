"""Faust: an agent that takes batches. At least once, as it comes."""

from __future__ import annotations

import sys
import tempfile
from typing import Any

import faust
from work import work

BATCH = 1_000


def main() -> None:
    """Score until killed."""
    it = work()
    job = it.job
    app = faust.App(
        job["group"],
        broker=f"kafka://{job['bootstrap']}",
        consumer_auto_offset_reset="earliest",
        value_serializer="raw",
        key_serializer="raw",
        topic_disable_leader=True,
        web_enabled=False,
        datadir=tempfile.mkdtemp(),
        stream_buffer_maxsize=16_384,
        producer_linger_ms=5,
    )
    source = app.topic(job["input"], value_type=bytes, value_serializer="raw", key_serializer="raw")
    output = app.topic(job["output"], value_type=bytes, value_serializer="raw", key_serializer="raw")

    @app.agent(source)
    async def score(stream: Any) -> None:  # noqa: ANN401 - faust tells no type
        async for events in stream.take_events(BATCH, within=0.1):
            messages = [event.message for event in events]
            places = [(m.topic, m.partition, m.offset, int(m.timestamp * 1000)) for m in messages]
            answers = it.answers([event.value for event in events], places)
            for message, answer in zip(messages, answers, strict=True):
                await output.send(key=message.key, value=answer)

    sys.argv = [sys.argv[0], "worker", "-l", "warn", "--without-web"]
    app.main()


if __name__ == "__main__":
    main()
