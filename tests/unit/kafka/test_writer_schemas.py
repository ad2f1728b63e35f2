from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from stream_infer.avro.confluent import Unusable, Writer, id_head
from stream_infer.kafka.writer_schemas import RegistryUnavailable, WriterSchemas
from tests.unit.avro.world import record

EVENT = record(("n", "long"))
UNKNOWN = Unusable("unknown_schema", "Not there.")
PATIENT_S = 30.0


@dataclass
class World:
    """A registry by script and a clock that is moved by hand."""

    answers: dict[bytes, Writer | Exception] = field(default_factory=dict)
    asked: list[bytes] = field(default_factory=list)
    now: float = 100.0
    gate: threading.Event | None = None

    def fetch(self, head: bytes) -> Writer:
        self.asked.append(head)
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


def test_what_was_answered_is_known_and_not_asked_again() -> None:
    world = World({ONE: EVENT})
    writers = world.writers()

    writers.ask([ONE], patience_s=PATIENT_S)

    assert writers.known == {ONE: EVENT}
    assert writers.trouble is None
    assert world.asked == [ONE]


def test_after_no_answer_nobody_is_asked_for_a_while_that_grows_up_to_a_limit() -> None:
    world = World({ONE: RegistryUnavailable("it is down")})
    writers = world.writers()
    pauses = []
    for _ in range(8):
        asked_at = world.now
        writers.ask([ONE], patience_s=PATIENT_S)
        before = len(world.asked)
        while len(world.asked) == before:
            world.now += 0.5
            writers.ask([ONE], patience_s=PATIENT_S)
        pauses.append(world.now - asked_at)

    assert writers.known == {}
    assert writers.trouble == "it is down"
    assert pauses[0] <= 1.0
    assert pauses == sorted(pauses)
    assert pauses[-1] <= 10.5


def test_an_outage_that_is_over_is_forgotten() -> None:
    world = World({ONE: RegistryUnavailable("it is down")})
    writers = world.writers()
    writers.ask([ONE], patience_s=PATIENT_S)

    world.answers[ONE] = EVENT
    world.now += 60
    writers.ask([ONE], patience_s=PATIENT_S)

    assert writers.known == {ONE: EVENT}
    assert writers.trouble is None


def test_one_that_hangs_is_not_waited_for_and_its_answer_is_taken_later() -> None:
    world = World({ONE: EVENT}, gate=threading.Event())
    writers = world.writers()

    writers.ask([ONE], patience_s=0)
    writers.ask([TWO], patience_s=PATIENT_S)  # returns at once, for an inquiry runs
    assert writers.known == {}
    assert world.gate is not None
    world.gate.set()
    settled(writers, lambda: ONE in writers.known)

    assert writers.known == {ONE: EVENT}
    assert world.asked == [ONE]


def test_one_that_always_fails_does_not_keep_others_from_being_answered() -> None:
    world = World({ONE: RegistryUnavailable("500"), TWO: EVENT})
    writers = world.writers()

    writers.ask([ONE], patience_s=PATIENT_S)
    world.now += 60
    writers.ask([ONE, TWO], patience_s=PATIENT_S)

    assert writers.known == {TWO: EVENT}
    assert world.asked == [ONE, TWO, ONE]


def test_a_defect_while_asking_is_no_answer_and_not_silence() -> None:
    world = World({ONE: RuntimeError("bug")})
    writers = world.writers()

    writers.ask([ONE], patience_s=PATIENT_S)

    assert writers.trouble == "the request failed: RuntimeError: bug"


def test_a_schema_that_was_not_there_is_asked_for_again_after_a_while_and_one_that_was_never() -> None:
    world = World({ONE: UNKNOWN, TWO: EVENT})
    writers = world.writers()
    writers.ask([ONE, TWO], patience_s=PATIENT_S)

    writers.expire()
    assert writers.known == {ONE: UNKNOWN, TWO: EVENT}
    world.now += 60
    writers.expire()

    assert writers.known == {TWO: EVENT}


def test_noise_is_asked_about_in_pieces_and_does_not_fill_the_memory() -> None:
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
