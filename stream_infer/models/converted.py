"""A converted model beside its original.

The graph scores batches of plain numbers up to the size where scikit-learn is as fast. scikit-learn scores
everything else, and raises as before. Only the last step of a pipeline is converted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from stream_infer.models.frame_builder import Frame
from stream_infer.models.onnx_model import OnnxModel


@dataclass(frozen=True, slots=True)
class ConvertedModel:
    """`before` are the steps of a pipeline before its last, or None; `graph` was made from `own`, the last.

    `graph` scores batches of up to `up_to_rows` rows.
    """

    before: Any
    own: Any
    graph: OnnxModel
    up_to_rows: int

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The classes as scikit-learn has them."""
        classes: npt.NDArray[Any] = self.own.classes_
        return classes

    def predict(self, frame: Frame) -> npt.NDArray[Any]:
        """Return one answer per row."""
        return self._asked("predict", frame)

    def predict_proba(self, frame: Frame) -> npt.NDArray[Any]:
        """Return one probability per row and class."""
        return self._asked("predict_proba", frame)

    def decision_function(self, frame: Frame) -> npt.NDArray[Any]:
        """Return one value per row."""
        return self._asked("decision_function", frame)

    def _asked(self, method: str, frame: Frame) -> npt.NDArray[Any]:
        given = frame if self.before is None else self.before.transform(frame)
        # A sparse matrix has no length.
        matrix = self.graph.admitted(given) if given.shape[0] <= self.up_to_rows else None
        answers: npt.NDArray[Any] = (
            getattr(self.own, method)(given) if matrix is None else getattr(self.graph, method)(matrix)
        )
        return answers


def split_last_step(estimator: Any) -> tuple[Any, Any]:  # noqa: ANN401 - any estimator
    """Return the steps before the last of a pipeline, or None, and the final estimator."""
    while _is_scikit_learns(estimator) and hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    if not (_is_scikit_learns(estimator) and hasattr(estimator, "steps")):
        return None, estimator
    before = estimator[:-1] if len(estimator.steps) > 1 else None
    return before, estimator.steps[-1][1]


def _is_scikit_learns(estimator: object) -> bool:
    # A pipeline class of another library may do more between its steps.
    return type(estimator).__module__.startswith("sklearn.")
