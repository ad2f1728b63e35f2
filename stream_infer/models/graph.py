"""A model as an ONNX graph, answering as the scikit-learn estimator that it was made from.

One thread and no arena that grows: the worker has its own processes. The session is made from bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from stream_infer.models.scores import Floats
from stream_infer.models.trees import is_trees

_DOUBLE = "tensor(double)"
_ERRORS_ONLY = 3


@dataclass(frozen=True, slots=True)
class Graph:
    """A session and the names of the one input and the one output that are used."""

    own: Any
    session: Any
    entry: str
    exit: str
    precision: npt.DTypeLike
    dtype: npt.DTypeLike
    any_number: ClassVar[bool] = False

    def predict_proba(self, matrix: Floats) -> Floats:
        # In float32 a sum of probabilities may pass one by more than a probability may.
        return np.clip(self._run(matrix), 0.0, 1.0)

    def predict(self, matrix: Floats) -> npt.NDArray[Any]:
        if not hasattr(self.own, "classes_"):
            return self._run(matrix).ravel()
        named: npt.NDArray[Any] = self.own.classes_.take(self.predict_proba(matrix).argmax(axis=1))
        return named

    def decision_function(self, matrix: Floats) -> Floats:
        raise NotImplementedError("only probabilities and values are converted")

    def _run(self, matrix: Floats) -> Floats:
        given = matrix.astype(self.precision, copy=False)
        (answers,) = self.session.run([self.exit], {self.entry: given})
        return np.asarray(answers, dtype=np.float64)


def opened(onnxruntime: Any, data: bytes, own: Any) -> Graph:  # noqa: ANN401 - an optional library; any estimator
    """Return the graph in `data`, which was made from `own`: scikit-learn's, for its names."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = _ERRORS_ONLY
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    (entry,) = session.get_inputs()
    # A classifier says labels first and probabilities last; the labels come from the probabilities here.
    last = session.get_outputs()[-1].name
    precision = np.float64 if entry.type == _DOUBLE else np.float32
    return Graph(own, session, entry.name, last, precision, np.float32 if is_trees(own) else precision)
