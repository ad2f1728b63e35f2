"""How fast converted models answer. Needs no broker, and the extra `onnx`.

Each ensemble as scikit-learn has it and as the graph that `package create --runtime auto` makes of it, asked
in turns about rows that they have not seen, in one process with one thread.
"""

from __future__ import annotations

import argparse
import os

# Before numpy and scikit-learn read them: as a worker has it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import sys
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
)

from benchmarks import report
from benchmarks.material import FEATURES, SEED
from stream_infer.models.converted import ConvertedModel
from stream_infer.models.manifest import OutputContract, Tolerance
from stream_infer.models.onnx_model import open_onnx
from stream_infer.models.predict import Estimator, contract_of, predict
from stream_infer.models.scores import Floats
from stream_infer.packaging.convert import UP_TO_ROWS, Faster, convert

SIZES = (1, 10, 100, 1_000, 2_000, 10_000)
_TRAINING_ROWS = 4_000
_TREES = 100
_ABOUT_S = 0.05
_HEAD = ("model", "rows at once", "scikit-learn, ms", "graph, ms", "times as fast")

MODELS: Mapping[str, Callable[[Any, Any], Any]] = {
    "random forest, depth 10": lambda x, y: RandomForestClassifier(
        _TREES, max_depth=10, random_state=SEED
    ).fit(x, y > 0),
    "random forest, unlimited": lambda x, y: RandomForestClassifier(_TREES, random_state=SEED).fit(x, y > 0),
    "random forest, 3 classes, depth 10": lambda x, y: RandomForestClassifier(
        _TREES, max_depth=10, random_state=SEED
    ).fit(x, np.digitize(y, [-1, 1])),
    "extra trees, numbers, depth 10": lambda x, y: ExtraTreesRegressor(
        _TREES, max_depth=10, random_state=SEED
    ).fit(x, y),
    "gradient boosting": lambda x, y: GradientBoostingClassifier(n_estimators=_TREES, random_state=SEED).fit(
        x, y > 0
    ),
    "histogram gradient boosting": lambda x, y: HistGradientBoostingClassifier(
        max_iter=_TREES, random_state=SEED
    ).fit(x, y > 0),
    "isolation forest": lambda x, _y: IsolationForest(n_estimators=_TREES, random_state=SEED).fit(x),
}


def main() -> None:
    """Measure, and write the table."""
    options = _options()
    rng = np.random.default_rng(SEED)
    training = rng.normal(size=(_TRAINING_ROWS, FEATURES))
    target = training[:, :3].sum(axis=1) + rng.normal(size=_TRAINING_ROWS)
    fresh = rng.normal(size=(max(SIZES), FEATURES))
    rows = [
        line
        for name, fit in MODELS.items()
        for line in _measured(name, fit(training, target), training, fresh, options.rounds)
    ]
    report.finish(
        options.name,
        "Converted models",
        f"{_TREES} trees, {FEATURES} features, {_TRAINING_ROWS:,} training rows; one thread; `predict_proba`,"
        " `predict` or `decision_function` of the same fresh rows, validation included;"
        f" {options.rounds} rounds in turns, median (least-greatest), ratios of the same round. A worker"
        f" gives batches of more than {UP_TO_ROWS:,} rows to scikit-learn: the last line of each model shows"
        " what it forgoes. Every graph was proved equal first; the greatest difference is in brackets.",
        report.table(_HEAD, rows),
        more={"onnxruntime": version("onnxruntime")},
    )


def _options() -> argparse.Namespace:
    return report.parser(__doc__, name="models", rounds=7).parse_args()


def _measured(
    name: str,
    model: Estimator,
    training: Floats,
    fresh: Floats,
    rounds: int,
) -> list[tuple[str, ...]]:
    contract = contract_of(model, training)
    faster = convert(model, [training], contract, Tolerance())
    if not isinstance(faster, Faster):
        sys.exit(f"{name}: {faster}")
    graph = ConvertedModel(None, model, open_onnx(faster.graph, model), max(SIZES))
    title = f"{name} ({faster.conversion.max_abs_difference:.1g})"
    lines = []
    for size in SIZES:
        given = np.ascontiguousarray(fresh[:size])
        times = max(1, int(_ABOUT_S / _took_s(model, contract, given, 1)))
        took = [[_took_s(one, contract, given, times) for one in (model, graph)] for _ in range(rounds)]
        theirs, ours = ([1e3 * pair[side] for pair in took] for side in (0, 1))
        lines.append(
            (
                title,
                f"{size:,}",
                report.spread(theirs, ".3g"),
                report.spread(ours, ".3g"),
                report.ratios(theirs, ours, ".3g"),
            )
        )
    return lines


def _took_s(model: Estimator, contract: OutputContract, given: Floats, times: int) -> float:
    started = time.perf_counter()
    for _ in range(times):
        predict(model, contract, given)
    return (time.perf_counter() - started) / times


if __name__ == "__main__":
    main()
