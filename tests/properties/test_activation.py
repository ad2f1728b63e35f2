"""Whatever aborts, crashes, rebalances and swaps happen, the announcements say which model answered what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stream_infer.avro import topic_schemas
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordReader, RecordWriter
from stream_infer.flow.events import Event, ReadFinished
from stream_infer.flow.records import Channel, Partition
from stream_infer.models.active import ActiveModel, ServingModel
from stream_infer.runtime.loop import run
from stream_infer.runtime.pacing import Pace, Pacing
from stream_infer.runtime.stop import Stop
from stream_infer.steps.scoring.activation import Announcer
from stream_infer.testing.memory import Crashed, Fault, MemoryLog, MemorySink, MemorySource, StoredRecord
from tests.unit.steps.world import event, model, score

SCHEMAS = {
    Channel.EVENTS: topic_schemas.topic_schema("MonitoringEvent"),
    Channel.PREDICTIONS: topic_schemas.topic_schema("Prediction"),
}
READERS = {channel: RecordReader(schema, Framing.NONE) for channel, schema in SCHEMAS.items()}
VERSIONS = [model(version=f"{n}.0.0") for n in range(3)]


@dataclass(frozen=True)
class Answer:
    """Which model a visible prediction names."""

    partition: int
    offset: int
    version: str


def seen(log: MemoryLog, channel: Channel) -> list[dict[str, Any]]:
    return [READERS[channel].read(v.value or b"") for v in log.visible if v.channel is channel]


def run_members(log: MemoryLog, script: Sequence[Fault], swaps: Sequence[int], limit: int) -> None:
    """Run one member after the other; after each read the next swap of `swaps` takes place."""
    sink = MemorySink(log, script)
    left = list(swaps)
    active = ActiveModel(ServingModel(VERSIONS[0], 0))

    def swap(heard: Event) -> None:
        if isinstance(heard, ReadFinished) and left:
            active.swap(ServingModel(VERSIONS[left.pop(0)], len(left) + 1))

    while True:
        announcer = Announcer("p", "0", RecordWriter(SCHEMAS[Channel.EVENTS], Framing.NONE))
        pace = Pace(Pacing(max_records=limit, commit_interval_s=0.0))
        try:
            step = score(active, announcer=announcer)
            clock = iter(range(0, 10_000_000, 100))
            run(
                MemorySource(log),
                step,
                sink,
                stop=Stop(),
                pace=pace,
                observe=swap,
                clock=lambda: float(next(clock)),  # noqa: B023 - used up within this turn
            )
        except Crashed:
            continue
        return


@settings(max_examples=100, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 12), min_size=1, max_size=3),
    script=st.lists(st.sampled_from(Fault), max_size=8),
    swaps=st.lists(st.integers(0, 2), max_size=8),
    limit=st.integers(1, 6),
)
def test_the_announcement_in_effect_names_the_model_of_every_prediction(
    sizes: list[int], script: list[Fault], swaps: list[int], limit: int
) -> None:
    log = MemoryLog({Partition("t", p): [StoredRecord(event())] * n for p, n in enumerate(sizes)})

    run_members(log, script, swaps, limit)

    answers = [
        Answer(p["source_partition"], p["source_offset"], p["model_version"])
        for p in seen(log, Channel.PREDICTIONS)
    ]
    announced = [
        (r["partition"], r["first_offset"], announced["model"]["to_version"])
        for announced in seen(log, Channel.EVENTS)
        for r in announced["ranges"]
    ]
    assert len(answers) == sum(sizes)
    for answer in answers:
        earlier = [(first, n) for n, (p, first, _) in enumerate(announced) if p == answer.partition]
        _, in_effect = max((first, n) for first, n in earlier if first <= answer.offset)
        assert announced[in_effect][2] == answer.version
    by_partition = sorted(answers, key=lambda answer: answer.partition)
    for before, after in pairwise(by_partition):
        if before.partition == after.partition and before.version != after.version:
            assert (after.partition, after.offset, after.version) in announced
