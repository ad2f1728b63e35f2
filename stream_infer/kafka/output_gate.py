"""A source and a sink that follow the partitions and record limits of the output topics.

A prediction goes to the partition of its event. Where the output has no such partition, the partition of the
input pauses; the others go on. The topics are described again while partitions wait, and after a commit that
a topic has refused.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

from stream_infer.flow.errors import OutputRefused, OutputTooLarge
from stream_infer.flow.events import PartitionsPaused, PauseCause
from stream_infer.flow.ports import Observer, Sink
from stream_infer.flow.records import Batch, Channel, Cursor, Outcome, Partition
from stream_infer.kafka.batch_parts import rows_before
from stream_infer.kafka.pausable_source import PausableSource
from stream_infer.kafka.topic_shapes import TopicShapes

_ASK_EVERY_S = 2.0


class OutputGate:
    """Reads `source`, except for partitions that the output in `shapes` does not have.

    `output` is the topic whose partitions are those of the input; None where keys choose the partition.
    `refit` is called when the topics have changed or may have.
    """

    def __init__(
        self,
        source: PausableSource,
        shapes: TopicShapes,
        *,
        output: str | None,
        refit: Callable[[], None],
        observe: Observer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._shapes = shapes
        self._output = output
        self._refit = refit
        self._observe = observe
        self._clock = clock
        self._ask_at = 0.0
        self._waiting: frozenset[Partition] = frozenset()
        self._reported: frozenset[Partition] = frozenset()

    def read(self, limit: int, wait_s: float) -> Batch | None:
        if self._waiting:
            self._resume_placed()
        batch = self._source.read(limit, wait_s)
        placed = batch if batch is None else self._placed_part(batch)
        self._report()
        return placed

    def rewind(self, cursor: Cursor) -> None:
        self._source.rewind(cursor)

    @property
    def finished(self) -> bool:
        return self._source.finished

    @property
    def paused(self) -> Collection[Partition]:
        return self._source.paused

    def pause(self, offsets: Mapping[Partition, int]) -> None:
        self._source.pause(offsets)

    def resume(self, partitions: Collection[Partition]) -> None:
        self._source.resume(partitions)

    def _resume_placed(self) -> None:
        """Resume the partitions whose place exists by now."""
        self._ask()
        waiting = self._waiting.intersection(self._source.paused)
        self._waiting = frozenset(self._without_place(waiting))
        self._source.resume(waiting - self._waiting)

    def _placed_part(self, batch: Batch) -> Batch | None:
        """Return `batch` without the rows that must wait; None when none is left."""
        if self._without_place(batch.partitions):
            self._ask()
        beyond = self._without_place(batch.partitions)
        if not beyond:
            return batch
        first: dict[int, int] = {}
        for row, index in enumerate(batch.partition):
            if batch.partitions[index] in beyond:
                first.setdefault(index, row)
        self._source.pause({batch.partitions[index]: batch.offset[row] for index, row in first.items()})
        self._waiting |= {batch.partitions[index] for index in first}
        return rows_before(batch, first)

    def _without_place(self, partitions: Collection[Partition]) -> set[Partition]:
        """Return those of `partitions` that the output does not have."""
        if self._output is None:
            return set()
        count = self._shapes.facts.partitions[self._output]
        return {partition for partition in partitions if partition.index >= count}

    def _ask(self) -> None:
        """Describe the topics again, unless that was done a moment ago."""
        if self._clock() < self._ask_at:
            return
        before = self._shapes.facts
        self._shapes.refresh()
        self._ask_at = self._clock() + _ASK_EVERY_S
        if self._shapes.facts != before:
            self._refit()

    def _report(self) -> None:
        if self._waiting != self._reported:
            self._reported = self._waiting
            paused = tuple(sorted(self._waiting))
            reason = _lacking(self._output or "", self._shapes.facts.partitions, paused)
            self._observe(PartitionsPaused(PauseCause.OUTPUT_PARTITION, paused, reason))


class RefittingSink:
    """Commits to `sink`; what a topic refused is answered again for the topics as they are now.

    `topics` are those of the channels.
    """

    def __init__(
        self,
        sink: Sink,
        shapes: TopicShapes,
        topics: Mapping[Channel, str],
        refit: Callable[[], None],
    ) -> None:
        self._sink = sink
        self._shapes = shapes
        self._topics = topics
        self._refit = refit

    def commit(self, outcome: Outcome) -> None:
        try:
            self._sink.commit(outcome)
        except OutputRefused as refused:
            before = self._shapes.facts
            self._shapes.refresh()
            if isinstance(refused, OutputTooLarge) and self._shapes.facts == before:
                self._shapes.lower_assumed({self._topics[output.channel] for output in outcome.outputs})
            self._refit()
            raise


def _lacking(output: str, counts: Mapping[str, int], waiting: Collection[Partition]) -> str:
    wanted = max((max(p.index + 1, counts.get(p.topic, 0)) for p in waiting), default=0)
    return (
        f"{output} has {counts[output]} partitions, and a prediction goes to the partition of its event: "
        f"{alteration(output, wanted)}"
    )


def alteration(topic: str, partitions: int) -> str:
    """Return the command that gives `topic` so many partitions."""
    return f"kafka-topics.sh --bootstrap-server ... --alter --topic {topic} --partitions {partitions}"
