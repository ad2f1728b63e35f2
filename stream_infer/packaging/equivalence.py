"""Compares a converted model with scikit-learn's, on rows where a difference would appear.

A tree's prediction changes only at its thresholds. Random rows are drawn from the user's columns and from the
thresholds and their nearest neighbours in both precisions, with NaN where the model takes it. The same model
and samples give the same rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from stream_infer.models.converted import ConvertedModel
from stream_infer.models.manifest import OutputContract, Tolerance
from stream_infer.models.onnx_model import OnnxModel
from stream_infer.models.predict import predict
from stream_infer.models.scores import Floats, Scores
from stream_infer.steps.scoring.golden import row_of, slack, tied

RANDOM_ROWS = 20_000
_SEED = 20_261_126
_WITH_NAN = 0.25
_NAN = 0.2


@dataclass(frozen=True, slots=True)
class Equivalence:
    """The result of a comparison. `beyond` counts rows with a number beyond the tolerance, or another label.

    `label_mismatches` counts rows whose label differs by rounding alone: they are not `beyond`.
    """

    rows: int
    max_abs_difference: float
    label_mismatches: int
    beyond: int


def draw_rows(seen: Floats, splits: Sequence[Floats], *, rounds: bool, takes_nan: bool) -> Floats:
    """Return `RANDOM_ROWS` rows like `seen` (rows, features); each cell is drawn from its column.

    Half of them are at the feature's `splits` or next to them; a few are zero, tiny, huge or of the other
    sign. `rounds`: all of them fit into single precision.
    """
    rng = np.random.default_rng(_SEED)
    columns = [
        _column(rng, column[np.isfinite(column)], split) for column, split in zip(seen.T, splits, strict=True)
    ]
    rows = np.column_stack(columns)
    limit = float(np.finfo(np.float32 if rounds else np.float64).max) / 2
    rows = rows.clip(-limit, limit)
    if takes_nan:
        row_has = rng.random((len(rows), 1)) < _WITH_NAN
        rows[row_has & (rng.random(rows.shape) < _NAN)] = np.nan
    return rows


def _column(rng: np.random.Generator, seen: Floats, splits: Floats) -> Floats:
    cells = rng.choice(seen, RANDOM_ROWS) if len(seen) else rng.normal(size=RANDOM_ROWS)
    if len(splits):
        places = rng.permutation(RANDOM_ROWS)[: RANDOM_ROWS // 2]
        # Every threshold is drawn once before one is drawn twice.
        cells[places] = _neighbours(rng, np.resize(rng.permutation(splits), len(places)))
    odd = np.array([0.0, -0.0, 1e-45, -1e-310, 1e30, -1e300])
    for replaced in (odd, -cells):
        places = rng.permutation(RANDOM_ROWS)[: RANDOM_ROWS // 100]
        cells[places] = rng.choice(replaced, len(places))
    return cells


def _neighbours(rng: np.random.Generator, values: Floats) -> Floats:
    """Return each value, or its neighbour in one of the precisions, or a number halfway between."""
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
        below, above = (np.nextafter(single, np.float32(to)).astype(np.float64) for to in (-np.inf, np.inf))
        choices = [
            values,
            np.nextafter(values, -np.inf),
            np.nextafter(values, np.inf),
            single.astype(np.float64),
            below,
            above,
            (single.astype(np.float64) + above) / 2,
            (single.astype(np.float64) + below) / 2,
        ]
    return np.choose(rng.integers(0, len(choices), len(values)), choices)


def compare_models(
    own: Any,  # noqa: ANN401 - any estimator
    graph: OnnxModel,
    rows: Floats,
    contract: OutputContract,
    tolerance: Tolerance,
) -> Equivalence:
    """Score `rows` with scikit-learn's `own` estimator and with its `graph`, and compare all numbers.

    Raises `ValueError` when there are rows that the graph does not take: comparing those proves nothing.
    """
    compared = replace(contract, class_scores=contract.score == "probability")
    given = pd.DataFrame(rows, columns=own.feature_names_in_) if hasattr(own, "feature_names_in_") else rows
    if graph.admitted(given) is None:
        raise ValueError("the graph does not take these rows")
    return _compared(
        predict(ConvertedModel(None, own, graph, len(rows)), compared, given),
        predict(own, compared, given),
        compared,
        tolerance,
    )


def _compared(found: Scores, expected: Scores, contract: OutputContract, tolerance: Tolerance) -> Equivalence:
    largest = 0.0
    beyond = np.zeros(len(expected), dtype=np.bool_)
    for name in ("score", "value", "class_scores"):
        reference = getattr(expected, name)
        if reference is None:
            continue
        difference = np.abs(getattr(found, name) - reference)
        # A NaN never agrees.
        far = ~(difference <= slack(reference, tolerance))
        beyond |= far.reshape(len(expected), -1).any(axis=1)
        largest = max(largest, float(np.nan_to_num(difference, nan=np.inf).max()))
    other = np.empty(0, np.intp) if expected.label is None else np.flatnonzero(found.label != expected.label)
    ties = [row for row in other.tolist() if tied(row_of(expected, row, contract), contract, tolerance)]
    beyond[np.setdiff1d(other, ties)] = True
    return Equivalence(len(expected), largest, len(ties), int(beyond.sum()))
