"""Scores plain dicts with a package on the worker's own path: Avro bytes, columns, policies, model.

Slower than calling the estimator, on purpose: the answers are those of a worker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema
from stream_infer.models.load import Model, load_model
from stream_infer.models.package import Verified, verify
from stream_infer.packaging.encoded_events import encode_events
from stream_infer.rollout.golden_check import input_schema, with_golden
from stream_infer.steps.scoring.answers import answer_document, answer_requests
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


def open_package(path: str | Path) -> Scorer:
    """Verify and load the package at `path` (a folder or a zip). Raises `Refused`."""
    return make_scorer(verify(Path(path)))


def make_scorer(verified: Verified) -> Scorer:
    """Load a verified package."""
    return scorer_of(with_golden(load_model(verified), verified), input_schema(verified))


def scorer_of(model: Model, schema: Schema) -> Scorer:
    """Return `model` as one that answers events of `schema`. Raises `Refused` when they do not fit."""
    return Scorer(model, schema, plan_scoring(model, Events(Framing.NONE, [schema])))
