"""Bytewax: batches of its source go through one operator. At least once: its sink has no transactions."""

from __future__ import annotations

from collections.abc import Iterable

import bytewax.operators as op
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.testing import cluster_main
from confluent_kafka import OFFSET_BEGINNING
from work import work

BATCH = 4_000


def main() -> None:
    """Score until killed."""
    it = work()
    job = it.job
    source = KafkaSource(
        [job["bootstrap"]],
        [job["input"]],
        tail=True,
        batch_size=BATCH,
        starting_offset=OFFSET_BEGINNING,
    )
    sink = KafkaSink(
        [job["bootstrap"]], job["output"], add_config={"compression.type": "lz4", "linger.ms": "5"}
    )

    def score(messages: list) -> Iterable[KafkaSinkMessage]:  # type: ignore[type-arg]  # of its source
        places = [(m.topic, m.partition, m.offset, m.timestamp[1]) for m in messages]
        answers = it.answers([m.value for m in messages], places)
        return [KafkaSinkMessage(m.key, answer) for m, answer in zip(messages, answers, strict=True)]

    flow = Dataflow("benchmark")
    op.output("out", op.flat_map_batch("score", op.input("in", flow, source), score), sink)
    cluster_main(flow, [], 0)


if __name__ == "__main__":
    main()
