"""Writes `reference.json`: the distribution of each feature and of the score in the training data.

Drift is measured against it. The same data gives the same bytes: sorted keys, no clock, no sampling.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stream_infer.avro.schemas import Leaf
from stream_infer.models.manifest import OutputContract
from stream_infer.models.scores import Scores
from stream_infer.packaging.binding import Bound
from stream_infer.packaging.event_builder import raw_instants

FORMAT = 1
QUANTILES = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)
DECILES = tuple(step / 10 for step in range(11))
MAX_CATEGORIES = 100
"""Of a column of strings, the most frequent ones; the rest is counted together."""


def summarise_reference(
    frame: pd.DataFrame,
    bound: Sequence[Bound],
    scores: Scores,
    output: OutputContract,
    performance: Mapping[str, object] | None = None,
) -> bytes:
    """Return the reference of the model's columns in `frame` and of its outputs on them, as JSON.

    `performance` is what the package promises, where the truth of the rows is known.

    Timestamps are in the units of their fields, as the worker reads them.
    """
    summary: dict[str, object] = {
        "format": FORMAT,
        "rows": len(frame),
        "features": {one.name: _column(frame[one.name], one.leaf) for one in bound},
        "outputs": {name: _numbers(values, 0) for name, values in scores.numbers(output).items()},
        "labels": None if scores.label is None else _categories(scores.label.tolist()),
    }
    if performance is not None:
        summary["performance"] = performance
    return json.dumps(summary, sort_keys=True, indent=1, allow_nan=False).encode() + b"\n"


def _column(column: pd.Series, leaf: Leaf) -> Mapping[str, object]:
    present = column.dropna()
    nulls = len(column) - len(present)
    if leaf.kind in {"string", "enum"}:
        return {"kind": "categories", "count": len(column), "nulls": nulls, **_categories(present.tolist())}
    if present.dtype.kind == "M":
        present = raw_instants(present, leaf)
    return _numbers(present.to_numpy(dtype=np.float64), nulls)


def _numbers(values: NDArray[np.float64], nulls: int) -> Mapping[str, object]:
    finite = values[np.isfinite(values)]
    summary: dict[str, object] = {
        "kind": "numbers",
        "count": len(values) + nulls,
        "nulls": nulls,
        "infinite": len(values) - len(finite),
    }
    if not len(finite):
        return summary
    edges = np.unique(np.quantile(finite, DECILES))
    counts, _ = np.histogram(finite, _binned(edges))
    return summary | {
        "mean": float(finite.mean()),
        "stddev": float(finite.std()),
        "min": float(finite.min()),
        "max": float(finite.max()),
        "quantiles": {
            str(q): float(v) for q, v in zip(QUANTILES, np.quantile(finite, QUANTILES), strict=True)
        },
        "bins": {"edges": edges.tolist(), "counts": counts.tolist()},
    }


def _binned(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    # A constant column has one edge; numpy needs two.
    return edges if len(edges) > 1 else np.array([edges[0], np.nextafter(edges[0], np.inf)])


def _categories(values: Sequence[object]) -> Mapping[str, object]:
    counts: dict[str, int] = {}
    for value in values:
        counts[str(value)] = counts.get(str(value), 0) + 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    shown = dict(ranked[:MAX_CATEGORIES])
    return {"categories": shown, "other": len(values) - sum(shown.values())}
