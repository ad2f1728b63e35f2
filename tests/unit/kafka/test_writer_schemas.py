from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from stream_infer.avro.confluent import Unusable, Writer, id_head
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.kafka.writer_schemas import RegistryUnavailable, WriterSchemas
from tests.unit.avro.world import record

EVENT = record(("n", "long"))
UNKNOWN = Unusable(DeadLetterClass.UNKNOWN_SCHEMA, "Not there.")
PATIENT_S = 30.0


@dataclass
class World:
    """A scripted registry and a manual clock."""

    answers: dict[bytes, Writer | Exception] = field(default_factory=dict)
    requested: list[bytes] = field(default_factory=list)
    now: float = 100.0
    gate: threading.Event | None = None

    def fetch(self, head: bytes) -> Writer:
        self.requested.append(head)
        if self.gate is not None:
            self.gate.wait(PATIENT_S)
        answer = self.answers[head]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def clock(self) -> float:
        return self.now

    def writers(self) -> WriterSchemas:
        return WriterSchemas(self.fetch, clock=self.clock)


ONE, TWO = id_head(1), id_head(2)


def test_a_fetched_schema_is_not_fetched_again() -> None:
    world = World({ONE: EVENT})
    writers = world.writers()

    writers.ask([ONE], patience_s=PATIENT_S)

    assert writers.known == {ONE: EVENT}
    assert writers.trouble is None
    assert world.requested == [ONE]


def test_without_an_answer_the_pause_between_requests_grows_up_to_a_limit() -> None:
    world = World({ONE: RegistryUnavailable("it is down")})
    writers = world.writers()
    pauses = []
    for _ in range(8):
        asked_at = world.now
        writers.ask([ONE], patience_s=PATIENT_S)
        before = len(world.requested)
        while len(world.requested) == before:
            world.now += 0.5
            writers.ask([ONE], patience_s=PATIENT_S)
        pauses.append(world.now - asked_at)

    assert writers.known == {}
    assert writers.trouble == "it is down"
    assert pauses[0] <= 1.0
    assert pauses == sorted(pauses)
    assert pauses[-1] <= 10.5


def test_an_answer_after_an_outage_ends_the_reported_trouble() -> None:
    world = World({ONE: RegistryUnavailable("it is down")})
    writers = world.writers()
    writers.ask([ONE], patience_s=PATIENT_S)

    world.answers[ONE] = EVENT
    world.now += 60
    writers.ask([ONE], patience_s=PATIENT_S)

    assert writers.known == {ONE: EVENT}
    assert writers.trouble is None


def test_a_hanging_registry_does_not_block_and_its_late_answer_counts() -> None:
    world = World({ONE: EVENT}, gate=threading.Event())
    writers = world.writers()

    writers.ask([ONE], patience_s=0)
    writers.ask([TWO], patience_s=PATIENT_S)  # returns at once, because a request is under way
    assert writers.known == {}
    assert world.gate is not None
    world.gate.set()
    settled(writers, lambda: ONE in writers.known)

    assert writers.known == {ONE: EVENT}
    assert world.requested == [ONE]


def test_a_schema_that_always_fails_does_not_delay_others() -> None:
    world = World({ONE: RegistryUnavailable("500"), TWO: EVENT})
    writers = world.writers()

    writers.ask([ONE], patience_s=PATIENT_S)
    world.now += 60
    writers.ask([ONE, TWO], patience_s=PATIENT_S)

    assert writers.known == {TWO: EVENT}
    assert world.requested == [ONE, TWO, ONE]


def test_an_unexpected_exception_counts_as_no_answer_and_is_reported() -> None:
    world = World({ONE: RuntimeError("bug")})
    writers = world.writers()

    writers.ask([ONE], patience_s=PATIENT_S)

    assert writers.trouble == "the request failed: RuntimeError: bug"


def test_a_missing_schema_expires_and_a_found_one_does_not() -> None:
    world = World({ONE: UNKNOWN, TWO: EVENT})
    writers = world.writers()
    writers.ask([ONE, TWO], patience_s=PATIENT_S)

    writers.expire()
    assert writers.known == {ONE: UNKNOWN, TWO: EVENT}
    world.now += 60
    writers.expire()

    assert writers.known == {TWO: EVENT}


def test_random_heads_are_requested_in_portions_and_memory_stays_bounded() -> None:
    noise = [id_head(number) for number in range(10_150)]
    world = World(dict.fromkeys(noise, UNKNOWN))
    writers = world.writers()

    writers.ask(noise, patience_s=PATIENT_S)
    assert len(writers.known) == 100
    while unknown := [head for head in noise if head not in writers.known]:
        writers.ask(unknown, patience_s=PATIENT_S)
    writers.expire()

    assert len(writers.known) == 10_000
    assert noise[0] not in writers.known


def settled(writers: WriterSchemas, reached: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(3000):
        writers.take_answers()
        if reached():
            return
        waiting.wait(0.01)
    raise AssertionError("the answer was not taken")
