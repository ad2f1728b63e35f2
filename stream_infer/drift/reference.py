"""`reference.json` of a package: the distribution of each feature and output in the training data.

Reading only. `packaging.reference` writes the file; `zscores` and `distance` compare with it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from stream_infer.drift.error_samples import ErrorSample, sample_of
from stream_infer.drift.frames import FEATURE_CATEGORY, FEATURE_NUMBER, OUTPUT_CATEGORY, OUTPUT_NUMBER

LABEL = "label"
"""The name of the column that counts the labels of a classifier."""


@dataclass(frozen=True, slots=True)
class ReferenceColumn:
    """One feature or output in the reference; `mean` to `edges` are in the units of the column.

    Of numbers, n `edges` bound n - 1 bins. `shares` has n + 1 items that sum to 1: the first is the share
    below the edges, the last the share above (both 0.0: the edges span the reference). Of `categories`, the
    last share is that of all values that are not listed.
    """

    name: str
    kind: str
    rows: int
    nulls: int = 0
    non_finite: int = 0
    mean: float = 0.0
    stddev: float = 0.0
    low: float = 0.0
    high: float = 0.0
    edges: tuple[float, ...] = ()
    categories: tuple[str, ...] = ()
    shares: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Reference:
    """All columns of the training data of a model, by (kind, name)."""

    rows: int
    columns: Mapping[tuple[str, str], ReferenceColumn]
    promise: ErrorSample | None = None
    """The errors of the model in training, where the package promises its performance."""

    def column(self, kind: str, name: str) -> ReferenceColumn | None:
        """Return the column of this kind and name, if the reference has it."""
        return self.columns.get((kind, name))


def parse_reference(data: bytes) -> Reference:
    """Return the reference in `data`; raise `ValueError` when it is not one of format 1."""
    try:
        document = json.loads(data)
        if document["format"] != 1:
            raise ValueError(f"reference.json: format {document['format']}, not 1")
        rows = int(document["rows"])
        columns = [_column(name, one, feature=True) for name, one in document["features"].items()]
        columns += [_column(name, one, feature=False) for name, one in document["outputs"].items()]
        if document["labels"] is not None:
            columns.append(_categories(LABEL, OUTPUT_CATEGORY, {"count": rows, **document["labels"]}))
        performance = document.get("performance")
        promise = None if performance is None else _promise(performance)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"reference.json: {type(error).__name__}: {error}") from error
    return Reference(rows, {(column.kind, column.name): column for column in columns}, promise)


def _column(name: str, one: Mapping[str, Any], *, feature: bool) -> ReferenceColumn:
    if one["kind"] == "categories":
        return _categories(name, FEATURE_CATEGORY, one)
    kind = FEATURE_NUMBER if feature else OUTPUT_NUMBER
    exact = ReferenceColumn(name, kind, int(one["count"]), int(one["nulls"]), int(one["infinite"]))
    if "bins" not in one:  # a column without a single number
        return exact
    edges, counts = _edges(one["bins"]["edges"]), [int(n) for n in one["bins"]["counts"]]
    total = sum(counts)
    return replace(
        exact,
        mean=float(one["mean"]),
        stddev=float(one["stddev"]),
        low=float(one["min"]),
        high=float(one["max"]),
        edges=edges,
        shares=(0.0, *(n / total for n in counts), 0.0),
    )


def _promise(one: Mapping[str, Any]) -> ErrorSample:
    if "absolute_errors" in one:
        return sample_of([float(size) for size in one["absolute_errors"]], sizes=True)
    errors = float(one["errors"])
    return ErrorSample(errors, errors, int(one["labels"]))


def _edges(edges: list[float]) -> tuple[float, ...]:
    # A constant column has one edge; a bin needs two.
    return tuple(edges) if len(edges) > 1 else (edges[0], math.nextafter(edges[0], math.inf))


def _categories(name: str, kind: str, one: Mapping[str, Any]) -> ReferenceColumn:
    counts = {str(category): int(n) for category, n in sorted(one["categories"].items())}
    total = sum(counts.values()) + int(one["other"])
    shares = tuple(n / total for n in (*counts.values(), int(one["other"]))) if total else ()
    return ReferenceColumn(
        name, kind, int(one["count"]), int(one.get("nulls", 0)), categories=tuple(counts), shares=shares
    )
