"""The child that reads a model file first, and asks the model for answers: either may end its process."""

from __future__ import annotations

import contextlib
import io
import sys
from typing import Any

import numpy as np
import pandas as pd

from stream_infer.models.formats import ONNX, format_of
from stream_infer.models.open_file import open_file
from stream_infer.packaging.graph_classes import graph_classes


def try_reading() -> None:
    """Read what `trial_reading` writes to standard input: a line of rows, then the bytes of the file.

    The argument is the name that the file has in a package. What Python raises is told later.
    """
    form = format_of(sys.argv[1])
    rows = pd.read_json(io.StringIO(sys.stdin.buffer.readline().decode()), orient="split")
    data = sys.stdin.buffer.read()
    with contextlib.suppress(Exception):
        model = open_file(form, data, graph_classes(data) if form is ONNX else (), ())
        with contextlib.suppress(Exception):
            model.predict(np.zeros((2, int(model.n_features_in_))))
        model.predict(_columns(model, rows))


def _columns(model: Any, rows: pd.DataFrame) -> Any:  # noqa: ANN401 - any estimator
    names = [name for name in getattr(model, "feature_names_in_", ()) if name in rows.columns]
    if names:
        return rows[names]
    return rows.select_dtypes("number").to_numpy()[:, : int(model.n_features_in_)]


if __name__ == "__main__":
    try_reading()
