from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from stream_infer.app.answers import Answer
from stream_infer.app.exchange import Exchange, SendListener
from stream_infer.app.send import SendReport, SendRequest, send_file
from stream_infer.avro import topic_schemas
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordWriter
from stream_infer.config.settings import Settings
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.kafka.topic_follower import FollowedRecord
from stream_infer.runtime.stop import Stop
from tests.unit.app.project import Project, event_schema, make_project
from tests.unit.app.test_answers import RECORD

EVENTS = "shop.visits.v1"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return make_project(tmp_path)


class Broker:
    """The producer and the follower in one: acknowledges and answers when it is told to."""

    def __init__(self, records: Sequence[Sequence[FollowedRecord]] = ()) -> None:
        self.delivered: dict[str, int] = {}
        self.sent: list[tuple[int, bytes, bytes | None]] = []
        self.pending = 0
        self.late = 0
        self._records = list(records)

    def send(self, number: int, value: bytes, key: bytes | None) -> None:
        self.sent.append((number, value, key))
        self.pending += 1

    def poll(self, wait_s: float) -> None:
        if self.late:
            self.late -= 1
            return
        self.delivered |= {f"{EVENTS}/0/{number - 1}": number for number, _, _ in self.sent}
        self.pending = 0

    def read(self, wait_s: float) -> Sequence[FollowedRecord]:
        return self._records.pop(0) if self._records else []


def prediction(settings: Settings, offset: int) -> FollowedRecord:
    writer = RecordWriter(topic_schemas.topic_schema("Prediction"), Framing.NONE)
    value = writer.write({**RECORD, "id": f"{EVENTS}/0/{offset}"})
    return FollowedRecord(settings.output.topic, value, [])


def dead_letter(settings: Settings, offset: int) -> FollowedRecord:
    texts = {
        "__dlq.errors.topic": EVENTS,
        "__dlq.errors.partition": "0",
        "__dlq.errors.offset": str(offset),
        "__dlq.errors.message": "is NaN",
        "streaminfer.error.stage": "validate",
        "streaminfer.error.class": "nan",
    }
    return FollowedRecord(settings.dlq.topic, b"", [(name, text.encode()) for name, text in texts.items()])


def exchange(settings: Settings, broker: Broker, answers: list[Answer], stop: Stop | None = None) -> Exchange:
    listener = SendListener(note=lambda _text: None, answer=answers.append)
    return Exchange(settings, broker, broker, listener, stop or Stop())  # type: ignore[arg-type]


def events(count: int) -> Sequence[tuple[int, bytes, bytes | None]]:
    return [(number, b"datum", None) for number in range(1, count + 1)]


def test_each_event_is_sent_and_its_answer_counted_once(project: Project) -> None:
    settings, answers = project.settings(), list[Answer]()
    records = [prediction(settings, 0), dead_letter(settings, 1), prediction(settings, 0)]
    broker = Broker([[], [], [*records, prediction(settings, 99), FollowedRecord("dlq", b"", [])]])
    tested = exchange(settings, broker, answers)

    tested.send(iter(events(2)), rate=None)
    tested.wait(5.0)

    assert broker.sent == list(events(2))
    assert (tested.predicted, dict(tested.rejected)) == (1, {"nan": 1})
    assert [answer.id for answer in answers] == [f"{EVENTS}/0/0", f"{EVENTS}/0/1"]


def test_an_answer_that_is_faster_than_the_acknowledgement_is_not_lost(project: Project) -> None:
    settings, answers = project.settings(), list[Answer]()
    broker = Broker([[prediction(settings, 0)], [prediction(settings, 1)]])
    broker.late = 3
    tested = exchange(settings, broker, answers)

    tested.send(iter(events(2)), rate=None)
    tested.wait(5.0)

    assert tested.predicted == 2


def test_it_gives_up_when_no_answer_comes(project: Project) -> None:
    tested = exchange(project.settings(), Broker(), [])

    tested.send(iter(events(2)), rate=None)
    tested.wait(0.01)

    assert tested.predicted == 0


def test_a_stop_ends_sending_and_waiting(project: Project) -> None:
    stop, broker = Stop(), Broker()
    stop.request()
    tested = exchange(project.settings(), broker, [], stop)

    tested.send(iter(events(5)), rate=0.1)
    tested.wait(600.0)

    assert broker.sent == []


def problem(project: Project, request: SendRequest) -> Problem:
    with pytest.raises(Misconfigured) as raised:
        send_file(project.settings(), request, SendListener(note=str, answer=str))
    [found] = raised.value.problems
    return found


def test_of_several_input_topics_one_has_to_be_named(project: Project) -> None:
    project.change(f'topics = ["{EVENTS}"]', f'topics = ["{EVENTS}", "shop.orders.v1"]')

    unnamed = problem(project, SendRequest(file=project.folder / "rows.csv"))
    other = problem(project, SendRequest(file=project.folder / "rows.csv", topic="no.such"))

    assert (unnamed.key, unnamed.message) == ("--topic", "there are several input topics")
    assert unnamed.fix == f"use one of: {EVENTS}, shop.orders.v1"
    assert (other.value, other.message) == ("no.such", "is not an input topic of the pipeline")


def test_of_several_schemas_one_has_to_be_named(project: Project) -> None:
    folder = project.folder / "schemas"
    folder.mkdir()
    for name in ("one", "two"):
        (folder / f"{name}.avsc").write_text(event_schema({name: "int"}))
    project.change('schema = "event.avsc"', 'schema = "schemas"\nframing = "single-object"')
    rows = project.folder / "rows.csv"
    rows.write_text("two\n1.5\n")

    several = problem(project, SendRequest(file=rows))
    chosen = problem(project, SendRequest(file=rows, schema=folder / "two.avsc"))

    assert (several.key, several.message) == ("input.schema", "has several schemas")
    assert "--schema FILE" in several.fix
    assert chosen.key == "rows.csv, row 1, field two"


def test_a_pair_that_is_none_is_refused(project: Project) -> None:
    found = problem(project, SendRequest(file=project.folder / "rows.csv", columns=("amount",)))

    assert (found.key, found.value) == ("--map", "amount")


def test_a_report_adds_up() -> None:
    report = SendReport(
        topic=EVENTS,
        schema="Event",
        sent=10,
        predicted=4,
        rejected={"nan": 2, "raised": 1},
        interrupted=False,
        seconds=1.0,
    )

    assert (report.answered, report.unanswered) == (7, 3)
