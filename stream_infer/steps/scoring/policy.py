"""Policies for values that are missing, NaN, infinite, out of range or unknown, feature by feature.

Estimators treat such values differently (one raises for the whole batch, another accepts them silently), so
the package decides, not the estimator. `models.frame_builder` gives a null the form that the model needs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stream_infer.flow.codes import DeadLetterClass
from stream_infer.flow.records import Rejected, Stage
from stream_infer.models.frame_builder import misfits
from stream_infer.models.manifest import Feature, Manifest, Policy
from stream_infer.models.unseen import unseen_rows

Columns = Mapping[str, pa.Array]
Mask = NDArray[np.bool_]

EVERYTHING: Columns = {}
"""The model knows every value of every feature."""

EXACT_LIMIT = 2**53
"""Beyond it a float64 does not hold every whole number."""


@dataclass(frozen=True, slots=True)
class PolicyResult:
    """The features of the rows that pass; `rows[i]` is the row of the given columns that became row `i`."""

    columns: Columns
    rows: NDArray[np.intp]
    rejected: Sequence[Rejected]


@dataclass(frozen=True, slots=True)
class _Fault:
    error_class: DeadLetterClass
    mask: Mask
    policy: Policy
    message: str


def apply_policies(columns: Columns, manifest: Manifest, accepted: Columns = EVERYTHING) -> PolicyResult:
    """Impute, pass or reject exceptional values; a row is rejected once, for the first reason.

    `accepted` has the values of those features whose other values the model does not know: they are null by
    policy, or rejected.
    """
    given = {feature.source: _given(columns, feature, accepted) for feature in manifest.features}
    imputed = dict(given)
    rejected: dict[int, Rejected] = {}
    for feature in manifest.features:
        for fault in _faults(given[feature.source], feature):
            if fault.policy is Policy.IMPUTE:
                column = imputed[feature.source]
                if _turns_float(column, feature):
                    _reject(rejected, _inexact_rows(column), *_inexact(feature.name))
                imputed[feature.source] = _impute(column, fault.mask, feature)
            elif fault.policy is Policy.REJECT:
                _reject(rejected, np.flatnonzero(fault.mask), fault.error_class, fault.message)
    for name, rows in misfits(imputed, manifest).items():
        _reject(rejected, rows, *_misfit(name, manifest))
    for feature in manifest.features:
        if feature.name in accepted:
            unseen = unseen_rows(imputed[feature.source], accepted[feature.name])
            _reject(rejected, unseen, *_unseen(feature.name))
    return _split(imputed, rejected)


def _given(columns: Columns, feature: Feature, accepted: Columns) -> pa.Array:
    """Return the column of `feature`, with nulls in place of unknown values if that is its policy."""
    column = columns[feature.source]
    if feature.unseen != "null" or feature.name not in accepted:
        return column
    unseen = np.zeros(len(column), dtype=np.bool_)
    unseen[unseen_rows(column, accepted[feature.name])] = True
    return pc.if_else(pa.array(unseen), pa.scalar(None, column.type), column) if unseen.any() else column


def _split(columns: Columns, rejected: Mapping[int, Rejected]) -> PolicyResult:
    count = len(next(iter(columns.values())))
    if not rejected:
        return PolicyResult(columns, np.arange(count, dtype=np.intp), ())
    keep = np.ones(count, dtype=np.bool_)
    keep[list(rejected)] = False
    mask = pa.array(keep)
    kept = {path: column.filter(mask) for path, column in columns.items()}
    return PolicyResult(kept, np.flatnonzero(keep), [rejected[row] for row in sorted(rejected)])


def _reject(
    rejected: dict[int, Rejected], rows: NDArray[np.integer], error_class: DeadLetterClass, message: str
) -> None:
    for row in rows.tolist():
        rejected.setdefault(row, Rejected(row, Stage.VALIDATE, error_class, message))


def _faults(column: pa.Array, feature: Feature) -> list[_Fault]:
    """Return the faults of a column; a single pass finds out that there are none."""
    faults, name = [], f"feature '{feature.name}'"
    if column.null_count:
        missing = column.is_null().to_numpy(zero_copy_only=False)
        policy = _missing(feature)
        faults.append(
            _Fault(DeadLetterClass.MISSING, missing, policy, f"feature '{feature.name}' is missing")
        )
    if pa.types.is_floating(column.type):
        # Arrow's own numbers for nulls would be NaN; a null is missing, not NaN.
        values = (column.fill_null(0) if column.null_count else column).to_numpy()
        if not np.isfinite(values).all():
            faults += [
                _Fault(
                    DeadLetterClass.NAN,
                    np.isnan(values),
                    feature.nan,
                    f"{name} is not a number",
                ),
                _Fault(
                    DeadLetterClass.INFINITE,
                    np.isinf(values),
                    feature.infinite,
                    f"{name} is infinite",
                ),
            ]
    return [fault for fault in faults if fault.mask.any()]


def _missing(feature: Feature) -> Policy:
    # The model never saw a null in this column, so a null of the writer's cannot pass.
    if feature.missing is Policy.PASS and not feature.nullable and feature.unseen != "null":
        return Policy.REJECT
    return feature.missing


def _impute(column: pa.Array, mask: Mask, feature: Feature) -> pa.Array:
    if _turns_float(column, feature):
        column = column.cast(pa.float64(), safe=False)
    return pc.if_else(pa.array(mask), pa.scalar(feature.impute, column.type), column)


def _turns_float(column: pa.Array, feature: Feature) -> bool:
    """Return whether imputing makes whole numbers floats, as a mean does in the frame of the training."""
    value = feature.impute
    return pa.types.is_integer(column.type) and isinstance(value, float) and not value.is_integer()


def _inexact_rows(column: pa.Array) -> NDArray[np.intp]:
    values = column.fill_null(0).to_numpy()
    return np.flatnonzero((values > EXACT_LIMIT) | (values < -EXACT_LIMIT))


def _inexact(name: str) -> tuple[DeadLetterClass, str]:
    return DeadLetterClass.OUT_OF_PRECISION, f"feature '{name}' is beyond 2^53, where a float is not exact"


def _unseen(name: str) -> tuple[DeadLetterClass, str]:
    return DeadLetterClass.UNSEEN_CATEGORY, f"feature '{name}' has a value that the model does not know"


def _misfit(name: str, manifest: Manifest) -> tuple[DeadLetterClass, str]:
    column = next(column for column in manifest.container.columns if column.name == name)
    if column.dtype.startswith("float"):
        return _inexact(name)
    message = f"feature '{name}' is out of the range of {column.dtype}, the model's column"
    return DeadLetterClass.OUT_OF_RANGE, message
