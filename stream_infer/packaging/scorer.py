"""Scores plain dicts with a package on the worker's own path: Avro bytes, columns, policies, model.

Slower than calling the estimator, on purpose: the answers are those of a worker.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema
from stream_infer.models.load import Model, load_model
from stream_infer.models.package import Verified, verify
from stream_infer.packaging.encoded_events import encode_events
from stream_infer.rollout.golden_check import input_schema, with_golden
from stream_infer.steps.scoring.answers import answer_document, answer_requests
from stream_infer.steps.scoring.arrow_answers import ANSWER_SHAPE, ArrowAnswers
from stream_infer.steps.scoring.plan import Events, ScoringPlan, plan_scoring

ScoredEvent = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Scorer:
    """A loaded package. `schema` is the shape of its events, `plan` how they are decoded."""

    model: Model
    schema: Schema
    plan: ScoringPlan

    def predict(self, rows: Iterable[Mapping[str, Any]]) -> list[ScoredEvent]:
        """Return the answer to each event of `rows`, in order.

        An answer is {"label", "score", "value", "class_scores", "values"} (None where the model has no such
        output; the scores of all classes and several values by name), or {"error": {"stage", "class",
        "message"}} for an event that a worker would write to the dead-letter topic, or that is no event of
        `schema`: an unknown key, a value that would be cut, a datetime without a time zone. Raises
        `ModelFailed` when the model, not single events, is broken.
        """
        encoded = encode_events(self.schema, rows)
        [answers] = answer_requests(self.model, self.plan, [encoded.data])
        return [answer_document(answer) for answer in encoded.in_order(answers)]

    def score_arrow(
        self, tables: Iterable[pa.RecordBatch], *, join: bool = False
    ) -> Iterator[pa.RecordBatch]:
        """Yield the answers to each table of `tables`, one a row and in order, as `ANSWER_SHAPE` has them.

        For anything that speaks Arrow: Spark, Ray Data, Dask, Beam, DuckDB. With `join` the columns of the
        table come before them; one with the name of an answer is `input_NAME`. Raises `Misconfigured` where a
        table lacks a field that a feature reads, `ModelFailed` when the model, not single rows, is broken.
        """
        answers = ArrowAnswers(self.model, self.schema)
        for table in tables:
            answered = answers(table)
            yield joined(table, answered) if join else answered


def joined(table: pa.RecordBatch, answered: pa.RecordBatch) -> pa.RecordBatch:
    """Return the columns of both, those of `table` first."""
    shape = joined_shape(table.schema)
    return pa.RecordBatch.from_arrays([*table.columns, *answered.columns], schema=shape)


def joined_shape(table: pa.Schema) -> pa.Schema:
    """Return the columns of `table`, then those of an answer."""
    taken = set(ANSWER_SHAPE.names)
    kept = [f.with_name(f"input_{f.name}") if f.name in taken else f for f in table]
    return pa.schema([*kept, *ANSWER_SHAPE])


def open_package(path: str | Path) -> Scorer:
    """Verify and load the package at `path` (a folder or a zip). Raises `Refused`."""
    return make_scorer(verify(Path(path)))


def make_scorer(verified: Verified) -> Scorer:
    """Load a verified package."""
    return scorer_of(with_golden(load_model(verified), verified), input_schema(verified))


def scorer_of(model: Model, schema: Schema) -> Scorer:
    """Return `model` as one that answers events of `schema`. Raises `Refused` when they do not fit."""
    return Scorer(model, schema, plan_scoring(model, Events(Framing.NONE, [schema])))
