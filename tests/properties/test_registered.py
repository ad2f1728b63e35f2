"""Whatever the registry does and whatever is aborted, each record comes through once, in order, readable."""

from __future__ import annotations

from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import given, settings

from stream_infer.avro.confluent import Unusable, Writer, heads, id_head
from stream_infer.flow.errors import Aborted
from stream_infer.flow.events import Event
from stream_infer.flow.records import Batch, Channel, Outcome, Output, Partition
from stream_infer.kafka.schema_gate import SchemaGatedSource
from stream_infer.kafka.writer_schemas import RegistryUnavailable, WriterSchemas
from stream_infer.testing.memory import Fault, MemoryLog, MemorySink, MemorySource, StoredRecord
from tests.unit.avro.world import record

EVENT = record(("n", "long"))
IDS = st.integers(1, 4)
PARTITIONS = [Partition("events", index) for index in range(3)]


class Prompt(WriterSchemas):
    """Answers before `ask` returns: which thread an answer comes from is not what varies here."""

    def ask(self, heads: object, *, patience_s: float) -> None:
        super().ask(heads, patience_s=30.0)  # type: ignore[arg-type]


@dataclass
class Registry:
    """Answers or not by script, one entry a question; well once the script has ended. Has no schema 4."""

    script: list[bool]
    now: float = 0.0
    events: list[Event] = field(default_factory=list)

    def fetch(self, head: bytes) -> Writer:
        if self.script and not self.script.pop(0):
            raise RegistryUnavailable("it is down")
        return Unusable("unknown_schema", "Not there.") if head == id_head(4) else EVENT


def copied(batch: Batch) -> Outcome:
    output = Output(
        Channel.PREDICTIONS,
        rows=range(len(batch)),
        keys=batch.keys,
        values=batch.values,
        headers=batch.headers,
        partitions=[batch.source(row).index for row in range(len(batch))],
    )
    return Outcome(batch.cursor, [output], len(batch), (), 0, "copy")


@settings(max_examples=200, deadline=None)
@given(
    ids=st.lists(st.lists(IDS, max_size=12), min_size=3, max_size=3),
    answers=st.lists(st.booleans(), max_size=12),
    faults=st.lists(st.sampled_from([Fault.NONE, Fault.ABORT, Fault.REBALANCE]), max_size=6),
    limit=st.integers(1, 8),
)
def test_each_record_is_answered_once_in_order_and_only_when_its_writer_is_known(
    ids: list[list[int]], answers: list[bool], faults: list[Fault], limit: int
) -> None:
    values = {
        p: [id_head(i) + bytes([at]) for at, i in enumerate(of_p)]
        for p, of_p in zip(PARTITIONS, ids, strict=True)
    }
    log = MemoryLog({p: [StoredRecord(value) for value in of_p] for p, of_p in values.items()})
    registry = Registry(answers)
    writers = Prompt(registry.fetch, clock=lambda: registry.now)
    source = SchemaGatedSource(MemorySource(log), writers, observe=registry.events.append)
    sink = MemorySink(log, faults)

    for _ in range(1000):
        if source.finished:
            break
        registry.now += 1
        batch = source.read(limit, 0)
        if batch is None:
            continue
        assert set(heads(batch.values, batch.headers)) <= writers.known.keys()
        assert all(span.first < span.next for span in batch.cursor.spans.values())
        try:
            sink.commit(copied(batch))
        except Aborted:
            source.rewind(batch.cursor)

    assert {p: [v.value for v in log.visible if v.partition == p.index] for p in PARTITIONS} == values
