"""The performance in training that a package promises: errors of the model on the labelled reference rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from stream_infer.drift.label_values import matching_class
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.scores import Scores

_QUANTILES = np.linspace(0.005, 0.995, 100)


def target_column(target: str | None, reference: pd.DataFrame | None) -> pd.Series | None:
    """Return the truth of the reference rows; None without `--target`. Raises `Misconfigured`."""
    if target is None:
        return None
    if reference is None:
        fix = "give the labelled training data as --reference"
        raise Misconfigured(
            [Problem("--target", target, "names a column of --reference, which is not given", fix)]
        )
    if target not in reference.columns:
        fix = "name the column with the true class or number, or leave --target out"
        raise Misconfigured([Problem("--target", target, "is no column of --reference", fix)])
    return reference[target]


def promised_performance(truth: pd.Series, scores: Scores, classes: Sequence[str]) -> Mapping[str, object]:
    """Return the number of labels, and of errors of a classifier or quantiles of the errors of a regressor.

    Raises `Misconfigured` where a regressor's truth is no number, and for a model of several outputs.
    """
    known = truth.notna().to_numpy()
    true = truth[known]
    if scores.label is not None:
        said = np.asarray(scores.label)[known]
        named = [matching_class(str(one), tuple(classes)) for one in true]
        wrong = sum(label != name for label, name in zip(said, named, strict=True))
        return {"labels": len(true), "errors": int(wrong)}
    if scores.value is None:
        fix = "leave --target out"
        raise Misconfigured(
            [Problem("--target", str(truth.name), "is the truth of one of several outputs", fix)]
        )
    try:
        sizes = np.abs(np.asarray(scores.value)[known] - true.to_numpy(dtype=np.float64))
    except (ValueError, TypeError) as error:
        fix = "name the column with the true numbers"
        raise Misconfigured([Problem("--target", str(truth.name), str(error), fix)]) from error
    return {"labels": len(true), "absolute_errors": np.quantile(sizes, _QUANTILES).tolist()}
