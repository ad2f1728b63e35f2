"""The oracle must be able to say no: on a faultless run it finds nothing, on a spoilt one the fault."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pandas as pd
import pytest

from tests.support.events import SCHEMA_FILE, Framing, generate
from tests.support.fraud.code.picky import PickyClassifier
from tests.support.log import Record
from tests.support.oracle.expect import Expected, Rules, expect, raw_schema
from tests.support.oracle.job import Job
from tests.support.oracle.judge import Identity, Observed, Verdict, judge

INPUT, PARTITIONS, COUNT = "payments.events", 4, 2_000
IDENTITY = Identity(INPUT, "fraud.score", "fraud", "picky", "1.0.0")
PREDICTION = raw_schema(Path("schemas/Prediction.avsc").read_text(encoding="utf-8"))


@dataclass(frozen=True, slots=True)
class Run:
    """A run without a fault, written by hand from what the oracle expects."""

    observed: Observed
    expected: Expected

    def judged(self, **spoilt: object) -> Verdict:
        observed = replace(self.observed, **spoilt)  # type: ignore[arg-type]  # names of its fields
        return judge(observed, self.expected, IDENTITY, PREDICTION, Framing.NONE)


@pytest.fixture(scope="module")
def run() -> Run:
    sent = generate(COUNT, Framing.NONE, seed=5)
    offsets: Counter[int] = Counter()
    records = []
    for index, event in enumerate(sent):
        partition = index % PARTITIONS
        headers: Any = tuple(event.headers)
        records.append(Record(INPUT, partition, offsets[partition], 1_000, event.key, event.value, headers))
        offsets[partition] += 1
    schema = raw_schema(SCHEMA_FILE.read_text(encoding="utf-8"))
    expected = expect(records, Rules(schema, Framing.NONE, ("balance",), "ts", ("id",)), estimator())
    predictions = [predicted(record, expected) for record in records if place(record) in expected.answers]
    letters = [letter(record, expected) for record in records if place(record) in expected.dead_letters]
    return Run(Observed(records, predictions, letters, dict(offsets)), expected)


def estimator() -> PickyClassifier:
    names = ["amount", "balance", "distance", "attempts", "age_days", "velocity", "risk", "online"]
    frame = pd.DataFrame(np.random.default_rng(3).normal(20, 10, (500, len(names))), columns=names)
    return PickyClassifier().fit(frame, np.where(frame["amount"] > 20, "fraud", "fine"))


def place(record: Record) -> tuple[int, int]:
    return record.partition, record.offset


def predicted(record: Record, expected: Expected) -> Record:
    answer = expected.answers[place(record)]
    body = {
        "id": f"{INPUT}/{record.partition}/{record.offset}",
        "source_topic": INPUT,
        "source_partition": record.partition,
        "source_offset": record.offset,
        "event_time": answer.event_time,
        "scored_at": 2_000,
        "pipeline": IDENTITY.pipeline,
        "model_name": IDENTITY.model_name,
        "model_version": IDENTITY.model_version,
        "model_digest": "sha256:00",
        "label": answer.label,
        "score": answer.score,
        "value": None,
        "class_scores": None,
        "copied": answer.copied,
    }
    trace = tuple(header for header in record.headers if header[0] == "traceparent")
    return replace(record, value=encoded(body), headers=trace)


def letter(record: Record, expected: Expected) -> Record:
    stage, _, error_class = expected.dead_letters[place(record)].partition("/")
    reason = {
        "__dlq.errors.topic": INPUT,
        "__dlq.errors.partition": str(record.partition),
        "__dlq.errors.offset": str(record.offset),
        "__dlq.errors.group": IDENTITY.group,
        "__dlq.errors.message": "a sentence",
        "streaminfer.error.stage": stage,
        "streaminfer.error.class": error_class,
        "streaminfer.model.version": IDENTITY.model_version,
        "streaminfer.source.timestamp": "1000",
    }
    return replace(
        record,
        partition=0,
        headers=(*record.headers, *((name, text.encode()) for name, text in reason.items())),
    )


def encoded(body: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, PREDICTION, body)
    return out.getvalue()


def altered(record: Record, **fields: object) -> Record:
    body: Any = fastavro.schemaless_reader(io.BytesIO(record.value or b""), PREDICTION, None)
    return replace(record, value=encoded({**body, **fields}))


def score_of(record: Record) -> float:
    body: Any = fastavro.schemaless_reader(io.BytesIO(record.value or b""), PREDICTION, None)
    return float(body["score"])


def test_a_faultless_run_has_no_fault(run: Run) -> None:
    verdict = run.judged()

    assert verdict.faults == {}
    assert verdict.counts == {"input": 2_000, "predictions": 1_980, "dead_letters": 20, "committed": 2_000}


def test_the_kind_of_each_poison_is_found_from_its_bytes(run: Run) -> None:
    made = generate(COUNT, Framing.NONE, seed=5)

    found = Counter(run.expected.dead_letters.values())

    assert found == Counter(str(event.poison) for event in made if event.poison)


@pytest.mark.parametrize("framing", list(Framing))
def test_events_are_told_apart_in_each_framing(framing: Framing) -> None:
    made = generate(1_000, framing, seed=8)
    records = [Record(INPUT, 0, i, 0, e.key, e.value, ()) for i, e in enumerate(made)]
    schema = raw_schema(SCHEMA_FILE.read_text(encoding="utf-8"))

    expected = expect(records, Rules(schema, framing, ("balance",), "ts", ()), estimator())

    wanted = {(0, i): str(event.poison) for i, event in enumerate(made) if event.poison}
    assert dict(expected.dead_letters) == wanted


Spoil = Callable[[list[Record]], list[Record]]


@pytest.mark.parametrize(
    ("spoil", "faults"),
    [
        pytest.param(lambda r: r[:70] + r[71:], {"missing": 1}, id="one dropped"),
        pytest.param(lambda r: [*r[:70], r[70], *r[70:]], {"doubled": 1}, id="one doubled"),
        pytest.param(lambda r: [*r, r[0]], {"doubled": 1, "wrong order": 1}, id="one again at the end"),
        pytest.param(
            lambda r: [*r[:70], r[74], *r[71:74], r[70], *r[75:]], {"wrong order": 1}, id="two swapped"
        ),
        pytest.param(
            lambda r: [altered(r[0], score=score_of(r[0]) + 1e-8), *r[1:]], {"wrong value": 1}, id="a score"
        ),
        pytest.param(lambda r: [altered(r[0], score=None), *r[1:]], {"wrong value": 1}, id="no score"),
        pytest.param(lambda r: [altered(r[0], label="maybe"), *r[1:]], {"wrong value": 1}, id="a label"),
        pytest.param(lambda r: [altered(r[0], event_time=1), *r[1:]], {"wrong field": 1}, id="a time"),
        pytest.param(
            lambda r: [altered(r[0], model_version="0.9"), *r[1:]], {"wrong field": 1}, id="another model's"
        ),
        pytest.param(
            lambda r: [replace(r[0], key=b"else"), *r[1:]], {"wrong key or headers": 1}, id="another key"
        ),
        pytest.param(lambda r: [*r, altered(r[-1], source_offset=10**6)], {"invented": 1}, id="of no event"),
    ],
)
def test_spoilt_predictions_are_reported(run: Run, spoil: Spoil, faults: dict[str, int]) -> None:
    verdict = run.judged(predictions=spoil(list(run.observed.predictions)))

    assert verdict.faults == faults
    assert set(verdict.examples) == set(faults)


def without_header(record: Record, name: str) -> Record:
    return replace(record, headers=tuple(header for header in record.headers if header[0] != name))


def with_class(record: Record, error_class: bytes) -> Record:
    bare = without_header(record, "streaminfer.error.class")
    return replace(bare, headers=(*bare.headers, ("streaminfer.error.class", error_class)))


@pytest.mark.parametrize(
    ("spoil", "faults"),
    [
        pytest.param(lambda r: r[1:], {"missing": 1}, id="one dropped"),
        pytest.param(lambda r: [r[0], *r], {"doubled": 1}, id="one doubled"),
        pytest.param(lambda r: [replace(r[0], value=b"x"), *r[1:]], {"changed letter": 1}, id="other bytes"),
        pytest.param(lambda r: [replace(r[0], key=b"x"), *r[1:]], {"changed letter": 1}, id="another key"),
        pytest.param(
            lambda r: [replace(r[0], headers=(("x", b""), *r[0].headers)), *r[1:]],
            {"changed letter": 1},
            id="a header more",
        ),
        pytest.param(
            lambda r: [without_header(r[0], "__dlq.errors.message"), *r[1:]],
            {"wrong field": 1},
            id="no reason",
        ),
        pytest.param(
            lambda r: [with_class(r[0], b"else"), *r[1:]],
            {"wrong reason": 1},
            id="another class",
        ),
    ],
)
def test_spoilt_dead_letters_are_reported(run: Run, spoil: Spoil, faults: dict[str, int]) -> None:
    verdict = run.judged(dead_letters=spoil(list(run.observed.dead_letters)))

    assert verdict.faults == faults


def test_a_good_event_among_the_dead_letters_is_reported(run: Run) -> None:
    answered = run.observed.predictions[0]
    source = next(record for record in run.observed.input if place(record) == place(answered))
    blamed = letter(source, Expected({}, {place(source): "decode/truncated"}))

    verdict = run.judged(
        predictions=run.observed.predictions[1:], dead_letters=[*run.observed.dead_letters, blamed]
    )

    assert verdict.faults == {"wrong sort": 1, "wrong order": 1}


@pytest.mark.parametrize("offset", [0, 499, 501])
def test_offsets_that_do_not_match_are_reported(run: Run, offset: int) -> None:
    assert run.judged(committed={**run.observed.committed, 2: offset}).faults == {"wrong offset": 1}


def test_a_job_survives_its_journey_as_text() -> None:
    fields = {name: name for name in Job.__dataclass_fields__}
    job = Job(**{**fields, "reject_nan": ("a", "b"), "copied": ()})  # type: ignore[arg-type]

    assert Job.from_json(job.to_json()) == job
