"""Compares what a pipeline wrote with what it had to write, and names every difference."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import fastavro

from tests.support.log import Header, Record
from tests.support.oracle.expect import MAGIC, Answer, Expected, Place

ABSOLUTE, RELATIVE = 1e-12, 1e-9
TRACE = {"traceparent", "tracestate", "baggage"}
_EXAMPLES = 5
_HEAD = len(MAGIC) + 8


@dataclass(frozen=True, slots=True)
class Identity:
    """Who must have made the predictions, and of which input."""

    input: str
    group: str
    pipeline: str
    model_name: str
    model_version: str


@dataclass(frozen=True, slots=True)
class Observed:
    """What a `read_committed` reader sees: the three topics, and the group's offsets by partition."""

    input: Sequence[Record]
    predictions: Sequence[Record]
    dead_letters: Sequence[Record]
    committed: Mapping[int, int]


@dataclass(slots=True)
class Verdict:
    """How much was there, and the faults: their number, and some of them in words."""

    counts: dict[str, int]
    dead_letters: dict[str, int]
    faults: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def note(self, fault: str, example: str) -> None:
        """Count a fault."""
        self.faults[fault] = self.faults.get(fault, 0) + 1
        if self.faults[fault] <= _EXAMPLES:
            self.examples.setdefault(fault, []).append(example)


@dataclass(frozen=True, slots=True)
class _Given:
    """An answer as found: the record in the output, and the place of the event that it says it answers."""

    record: Record
    place: Place
    body: Mapping[str, Any]


def judge(observed: Observed, expected: Expected, identity: Identity, schema: Any, framing: str) -> Verdict:
    """Return the verdict.

    1. Each event has one answer, of the right sort. 2. Each prediction says what it must. 3. Each dead letter
    holds what was sent. 4. Answers are in the order of their events. 5. The group's offsets cover them all.
    """
    predictions = [_prediction(record, schema, framing) for record in observed.predictions]
    letters = [_letter(record) for record in observed.dead_letters]
    verdict = Verdict(
        counts={
            "input": len(observed.input),
            "predictions": len(predictions),
            "dead_letters": len(letters),
            "committed": sum(observed.committed.values()),
        },
        dead_letters=dict(Counter(_reason(letter) for letter in letters)),
    )
    sources = {(record.partition, record.offset): record for record in observed.input}
    _check_once(verdict, sources, expected, predictions, letters)
    for prediction in predictions:
        _check_prediction(verdict, prediction, sources, expected.answers, identity)
    for letter in letters:
        _check_letter(verdict, letter, sources, expected.dead_letters, identity)
    _check_order(verdict, "prediction", predictions)
    _check_order(verdict, "dead letter", letters)
    _check_offsets(verdict, observed.input, observed.committed)
    return verdict


def _prediction(record: Record, schema: Any, framing: str) -> _Given:
    value = record.value or b""
    source = io.BytesIO(value[_HEAD:] if framing == "single-object" else value)
    body = cast(dict[str, Any], fastavro.schemaless_reader(source, schema, None))
    return _Given(record, (body["source_partition"], body["source_offset"]), body)


def _letter(record: Record) -> _Given:
    texts = {name: (value or b"").decode() for name, value in record.headers if _is_reason(name)}
    place = int(texts["__dlq.errors.partition"]), int(texts["__dlq.errors.offset"])
    return _Given(record, place, texts)


def _is_reason(header: str) -> bool:
    return header.startswith(("__dlq.", "streaminfer."))


def _reason(letter: _Given) -> str:
    return f"{letter.body['streaminfer.error.stage']}/{letter.body['streaminfer.error.class']}"


def _check_once(
    verdict: Verdict,
    sources: Iterable[Place],
    expected: Expected,
    predictions: Sequence[_Given],
    letters: Sequence[_Given],
) -> None:
    predicted = Counter(given.place for given in predictions)
    turned_away = Counter(given.place for given in letters)
    for place in sources:
        found = predicted[place] + turned_away[place]
        if found == 0:
            verdict.note("missing", f"{place} has no answer")
        elif found > 1:
            verdict.note("doubled", f"{place} has {predicted[place]} + {turned_away[place]} answers")
        elif predicted[place] != (place in expected.answers):
            verdict.note("wrong sort", f"{place} must be {expected.dead_letters.get(place, 'a prediction')}")
    for place in {*predicted, *turned_away} - set(sources):
        verdict.note("invented", f"{place} was never sent")


def _check_prediction(
    verdict: Verdict,
    given: _Given,
    sources: Mapping[Place, Record],
    answers: Mapping[Place, Answer],
    identity: Identity,
) -> None:
    answer, source = answers.get(given.place), sources.get(given.place)
    if answer is None or source is None:
        return  # reported as wrong sort or as invented
    partition, offset = given.place
    must = {
        "id": f"{identity.input}/{partition}/{offset}",
        "source_topic": identity.input,
        "event_time": answer.event_time,
        "pipeline": identity.pipeline,
        "model_name": identity.model_name,
        "model_version": identity.model_version,
        "value": None,
        "copied": answer.copied,
    }
    wrong = {name: given.body[name] for name, value in must.items() if given.body[name] != value}
    if wrong:
        verdict.note("wrong field", f"{given.place}: {wrong}")
    if not _agrees(given.body, answer):
        verdict.note(
            "wrong value", f"{given.place}: {given.body['label']} {given.body['score']}, not {answer}"
        )
    trace = tuple(header for header in source.headers if header[0] in TRACE)
    if given.record.key != source.key or given.record.headers != trace:
        verdict.note("wrong key or headers", f"{given.place}: {given.record.key!r} {given.record.headers}")
    if given.record.partition != partition:
        verdict.note("wrong partition", f"{given.place} is answered in {given.record.partition}")


def _agrees(body: Mapping[str, Any], answer: Answer) -> bool:
    """Compare score and label; where rounding may turn the score, it may turn the label."""
    allowed = ABSOLUTE + RELATIVE * abs(answer.score)
    if body["score"] is None or not abs(body["score"] - answer.score) <= allowed:
        return False
    return bool(body["label"] == answer.label or abs(answer.score - 0.5) <= allowed)


def _check_letter(
    verdict: Verdict,
    given: _Given,
    sources: Mapping[Place, Record],
    reasons: Mapping[Place, str],
    identity: Identity,
) -> None:
    source = sources.get(given.place)
    if source is None or given.place not in reasons:
        return  # reported as wrong sort or as invented
    if _reason(given) != reasons[given.place]:
        verdict.note("wrong reason", f"{given.place}: {_reason(given)}, not {reasons[given.place]}")
    sent: tuple[Header, ...] = tuple(h for h in given.record.headers if not _is_reason(h[0]))
    if (given.record.key, given.record.value, sent) != (source.key, source.value, source.headers):
        verdict.note("changed letter", f"{given.place}: not as it was sent")
    must = {
        "__dlq.errors.topic": identity.input,
        "__dlq.errors.group": identity.group,
        "streaminfer.source.timestamp": str(source.timestamp_ms),
        "streaminfer.model.version": identity.model_version,
    }
    wrong = {name: given.body.get(name) for name, value in must.items() if given.body.get(name) != value}
    if wrong or not given.body.get("__dlq.errors.message"):
        verdict.note("wrong field", f"{given.place}: {wrong or 'no message'}")


def _check_order(verdict: Verdict, what: str, given: Sequence[_Given]) -> None:
    """Within a partition of the output, the answers to one partition of the input must ascend."""
    last: dict[tuple[int, int], int] = defaultdict(lambda: -1)
    for each in given:
        partition, offset = each.place
        stream = each.record.partition, partition
        if offset < last[stream]:
            verdict.note("wrong order", f"{what} of {each.place} comes after that of {last[stream]}")
        last[stream] = max(last[stream], offset)


def _check_offsets(verdict: Verdict, records: Sequence[Record], committed: Mapping[int, int]) -> None:
    """The input has no transactions: its offsets are 0, 1, 2, ... and the next one is how many there are."""
    sent = Counter(record.partition for record in records)
    for partition in {*sent, *committed}:
        if committed.get(partition, 0) != sent[partition]:
            verdict.note(
                "wrong offset", f"partition {partition}: {committed.get(partition, 0)} of {sent[partition]}"
            )
