"""The same events by every way in, the step of the stream and files of each kind, have the same answers."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pytest

from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.topic_schemas import topic_schema
from stream_infer.flow.records import Batch, Channel, Cursor, Partition, Span
from stream_infer.models.active import ActiveModel, ServingModel
from stream_infer.packaging.scorer import Scorer, open_package
from stream_infer.steps.scoring.score import Score, ScoreSettings
from tests.support.events import SCHEMA
from tests.unit.batch.world import (
    GIVES_NAN,
    RAISES,
    WRITERS,
    payments,
    predictions,
    rejected,
    score,
)

EVENTS = int(os.environ.get("STREAM_INFER_PARITY_EVENTS", "3000"))
Answer = tuple[Any, ...]


def odd_payments() -> pa.Table:
    """Return payments of which some are poison, and some have values that a policy rejects."""
    rng = np.random.default_rng(16)
    amounts = 20 + rng.lognormal(3, 1, EVENTS)
    balance = rng.normal(1_000, 400, EVENTS)
    amounts[rng.choice(EVENTS, 15)] = RAISES
    amounts[rng.choice(EVENTS, 15)] = GIVES_NAN
    balance[rng.choice(EVENTS, 15)] = np.nan
    velocity = rng.gamma(2, 3, EVENTS)
    velocity[rng.choice(EVENTS, 15)] = np.inf
    return payments(EVENTS, 16, amount=amounts, balance=balance, velocity=velocity)


def data_of(table: pa.Table) -> list[bytes | None]:
    """Return the rows as Avro data."""
    values: list[bytes | None] = []
    for row in table.to_pylist():
        datum = io.BytesIO()
        fastavro.schemaless_writer(datum, SCHEMA, row)
        values.append(datum.getvalue())
    return values


def in_memory(scorer: Scorer, table: pa.Table) -> dict[int, Answer]:
    """Return the answers of the stream's step, by row."""
    values = data_of(table)
    active = ActiveModel(ServingModel(scorer.model, 1))
    encoder = Encoder(topic_schema("Prediction"), Framing.NONE)
    step = Score(active, lambda _: scorer.plan, encoder, ScoreSettings("p", "g"))
    source, count = Partition("events", 0), len(values)
    nothing: list[None] = [None] * count
    outcome = step(
        Batch(
            cursor=Cursor({source: Span(0, count)}),
            partitions=[source],
            partition=[0] * count,
            offset=list(range(count)),
            timestamp_ms=[0] * count,
            keys=nothing,
            values=values,
            headers=nothing,
            received_ms=0,
        )
    )
    answers: dict[int, Answer] = {r.row: (r.stage, r.error_class, r.message) for r in outcome.rejected}
    parsed = fastavro.parse_schema(topic_schema("Prediction").parsed)
    for output in outcome.outputs:
        if output.channel is Channel.PREDICTIONS:
            for value in output.values:
                read: Any = fastavro.schemaless_reader(io.BytesIO(value or b""), parsed, None)
                answers[read["source_offset"]] = read["label"], read["score"], read["model_digest"]
    return answers


@pytest.fixture(scope="module")
def streamed(package: Any) -> dict[int, Answer]:
    return in_memory(open_package(package.path), odd_payments())


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("suffix", ["", ".avro"])
def test_a_file_has_the_answers_and_rejections_of_the_stream(
    fraud: Path, tmp_path: Path, streamed: dict[int, Answer], kind: str, suffix: str
) -> None:
    given = WRITERS[kind](odd_payments(), tmp_path / f"in.{kind}")
    output = tmp_path / f"out{suffix}"

    score(fraud, given, output)

    answers: dict[int, Answer] = {
        row["source_offset"]: (row["label"], row["score"], row["model_digest"]) for row in predictions(output)
    }
    for letter in rejected(output):
        answers[letter["source_offset"]] = letter["stage"], letter["class"], letter["message"]
    assert answers.keys() == streamed.keys() == set(range(EVENTS))
    for row, answer in streamed.items():
        assert answers[row] == pytest.approx(answer, abs=1e-12), row
