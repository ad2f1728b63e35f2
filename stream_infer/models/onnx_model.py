"""A model as an ONNX graph with the answers of the scikit-learn estimator that it was made from.

The type of the graph's input says how numbers are rounded: `tensor(float)` for an estimator that rounds to
single precision before it compares, `tensor(double)` otherwise. Everything after that is double precision.
ONNX Runtime is optional and imported only for a package that needs it. `packaging` makes graphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils import get_tags

from stream_infer.models.optional_library import importing, reading
from stream_infer.models.scores import Floats

ENTRY = "rows"
"""The name of a graph's one input, (rows, features). It has one output, (rows, classes) or (rows, 1)."""

# More rows at once than this and ONNX Runtime's trees take longer per row (benchmarks/models.py).
_ROWS_AT_ONCE = 256
_ERRORS_ONLY = 3
_OUTLIERS = "outlier_detector"


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """An inference session and the outputs of its estimator. `classes` are those of a classifier."""

    session: Any
    precision: npt.DTypeLike
    takes_nan: bool
    kind: str
    classes: npt.NDArray[Any] | None

    def admitted(self, given: Any) -> npt.NDArray[np.floating[Any]] | None:  # noqa: ANN401 - what a preprocessing step gives
        """Return `given` as the graph's input, rounded as scikit-learn rounds it, or None.

        None means that scikit-learn must score it: for anything but a dense matrix of numbers, for infinite
        values (also after rounding), and for NaN unless scikit-learn takes NaN.
        """
        try:
            with np.errstate(over="ignore"):
                matrix = np.ascontiguousarray(np.asarray(given, dtype=self.precision))
        except (TypeError, ValueError):
            return None
        if matrix.ndim != 2 or not len(matrix):  # noqa: PLR2004 - rows and columns
            return None
        if not np.isfinite(matrix).all() and (not self.takes_nan or np.isinf(matrix).any()):
            return None
        return matrix

    def predict_proba(self, matrix: npt.NDArray[Any]) -> Floats:
        """Return one probability per row and class."""
        return self._run(matrix)

    def decision_function(self, matrix: npt.NDArray[Any]) -> Floats:
        """Return one value per row."""
        return self._run(matrix).ravel()

    def predict(self, matrix: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the class of the largest probability, the sign of the decision value, or the value."""
        answers = self._run(matrix)
        if self.classes is not None:
            named: npt.NDArray[Any] = self.classes.take(answers.argmax(axis=1))
            return named
        return np.where(answers.ravel() < 0, -1, 1) if self.kind == _OUTLIERS else answers.ravel()

    def _run(self, matrix: npt.NDArray[Any]) -> Floats:
        parts = [
            self.session.run(None, {ENTRY: matrix[start : start + _ROWS_AT_ONCE]})[0]
            for start in range(0, len(matrix), _ROWS_AT_ONCE)
        ]
        return np.concatenate(parts) if len(parts) > 1 else np.asarray(parts[0])


def open_onnx(data: bytes, own: Any) -> OnnxModel:  # noqa: ANN401 - any estimator
    """Return the graph in `data`, which was made from `own`.

    Raises `Refused`: `runtime` when ONNX Runtime is not installed, `load` when it rejects the bytes.
    """
    session = open_session(data)
    with reading("ONNX Runtime"):
        (entry,) = session.get_inputs()
        precision = {"tensor(float)": np.float32, "tensor(double)": np.float64}[entry.type]
        tags = get_tags(own)
    kind = str(tags.estimator_type)
    return OnnxModel(session, precision, tags.input_tags.allow_nan, kind, getattr(own, "classes_", None))


def open_session(data: bytes) -> Any:  # noqa: ANN401 - ONNX Runtime has no types
    """Return an inference session of the graph in `data`. Raises `Refused` as `open_onnx`."""
    fix = "pip install 'stream-infer-worker[onnx]', or package it again with --runtime sklearn"
    with importing("the model runs on ONNX Runtime", fix):
        import onnxruntime  # noqa: PLC0415 - optional, and slow to import
    options = onnxruntime.SessionOptions()
    # One thread: the worker has its own processes. No arena: it grows to the largest batch and stays so.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = _ERRORS_ONLY
    with reading("ONNX Runtime"):
        return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
