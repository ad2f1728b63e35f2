"""Scores plain dicts with a package on the worker's own path: Avro bytes, columns, policies, model.

Slower than calling the estimator, on purpose: the answers are those of a worker.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema, parse_schema
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.flow.records import Rejected, Stage
from stream_infer.models.load import Model, load_model
from stream_infer.models.package import Verified, verify
from stream_infer.models.scores import Scores
from stream_infer.packaging.datum import encode_datum
from stream_infer.steps.scoring.infer import infer, move_rows
from stream_infer.steps.scoring.isolate import Budget
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

        An answer is {"label", "score", "value", "class_scores"} (None where the model has no such output; the
        scores of all classes by name), or {"error": {"stage", "class", "message"}} for an event that a worker
        would write to the dead-letter topic. Raises `ModelFailed` when the model, not single events, is
        broken.
        """
        values: list[bytes | None] = []
        answers: dict[int, ScoredEvent] = {}
        encoded: list[int] = []
        for index, row in enumerate(rows):
            datum = self._encode(row, index)
            if isinstance(datum, Rejected):
                answers[index] = _error(datum)
            else:
                values.append(datum)
                encoded.append(index)
        answers |= self._answers(values, np.asarray(encoded, dtype=np.intp))
        return [answers[index] for index in sorted(answers)]

    def _answers(self, values: list[bytes | None], indexes: NDArray[np.intp]) -> dict[int, ScoredEvent]:
        decoded = self.plan.decoder.decode(values)
        readable = indexes[np.asarray(decoded.rows, dtype=np.intp)]
        inferred = infer(self.model, decoded.columns, Budget())
        rejected = [*move_rows(decoded.rejected, indexes), *move_rows(inferred.rejected, readable)]
        scored = _as_dicts(inferred.scores, self.model.manifest.output.classes)
        return dict(zip(readable[inferred.rows].tolist(), scored, strict=True)) | {
            one.row: _error(one) for one in rejected
        }

    def _encode(self, row: Mapping[str, Any], index: int) -> bytes | Rejected:
        try:
            return encode_datum(self.schema, row)
        except ValueError as error:
            return Rejected(index, Stage.DECODE, DeadLetterClass.INVALID, str(error))


def open_package(path: str | Path) -> Scorer:
    """Verify and load the package at `path` (a folder or a zip). Raises `Refused`."""
    return make_scorer(verify(Path(path)))


def make_scorer(verified: Verified) -> Scorer:
    """Load a verified package."""
    model = load_model(verified)
    schema = parse_schema(verified.files["input.avsc"].decode())
    return Scorer(model, schema, plan_scoring(model, Events(Framing.NONE, [schema])))


def _as_dicts(scores: Scores, classes: tuple[str, ...]) -> list[ScoredEvent]:
    per_class = scores.class_scores
    return [
        {
            "label": None if scores.label is None else str(scores.label[row]),
            "score": None if scores.score is None else float(scores.score[row]),
            "value": None if scores.value is None else float(scores.value[row]),
            "class_scores": None
            if per_class is None
            else dict(zip(classes, per_class[row].tolist(), strict=True)),
        }
        for row in range(len(scores))
    ]


def _error(rejected: Rejected) -> ScoredEvent:
    return {
        "error": {
            "stage": str(rejected.stage),
            "class": rejected.error_class,
            "message": rejected.message,
        }
    }
