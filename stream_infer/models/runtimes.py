"""What answers in the place of scikit-learn, and when: the table of runtimes, and the lane beside the model.

A converted model answers small batches of plain numbers, where scikit-learn's calls cost more than its work.
A larger batch, or one with numbers that the two may treat differently, is scikit-learn's own. So no batch is
slower than before, and what is refused is refused as before. The libraries are optional: each is imported
when a package asks for it. How a model is converted and proved equal is in `packaging`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from stream_infer.flow.errors import Refused
from stream_infer.models import graph, trees
from stream_infer.models.answer import Estimator
from stream_infer.models.container import Frame
from stream_infer.models.manifest import Conversion
from stream_infer.models.scores import Floats


class Fast(Protocol):
    """A converted model. `dtype` is what its inputs are rounded to; `any_number`: also NaN and infinite."""

    @property
    def dtype(self) -> npt.DTypeLike: ...
    @property
    def any_number(self) -> bool: ...
    def predict(self, matrix: Floats) -> npt.NDArray[Any]: ...
    def predict_proba(self, matrix: Floats) -> npt.NDArray[Any]: ...
    def decision_function(self, matrix: Floats) -> npt.NDArray[Any]: ...


@dataclass(frozen=True, slots=True)
class Runtime:
    """A library that runs converted models, the extra that installs it, and how it opens one."""

    library: str
    extra: str
    opened: Callable[[Any, bytes, Any], Fast]


RUNTIMES: Mapping[str, Runtime] = {
    "treelite": Runtime("treelite", "treelite", trees.opened),
    "onnx": Runtime("onnxruntime", "onnx", graph.opened),
}


@dataclass(frozen=True, slots=True)
class Lane:
    """Two forms of one model: `fast` for up to `rows` plain numbers, `own` for everything else."""

    own: Any
    fast: Fast
    rows: int

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The classes as scikit-learn has them."""
        classes: npt.NDArray[Any] = self.own.classes_
        return classes

    def predict(self, frame: Frame) -> npt.NDArray[Any]:
        return self._asked("predict", frame)

    def predict_proba(self, frame: Frame) -> npt.NDArray[Any]:
        return self._asked("predict_proba", frame)

    def decision_function(self, frame: Frame) -> npt.NDArray[Any]:
        return self._asked("decision_function", frame)

    def _asked(self, method: str, frame: Any) -> npt.NDArray[Any]:  # noqa: ANN401 - what a preprocessing step gives
        # A sparse matrix has no length, and is not for this lane.
        matrix = admitted(self.fast, frame) if 0 < frame.shape[0] <= self.rows else None
        answers: npt.NDArray[Any]
        if matrix is None:
            answers = getattr(self.own, method)(frame)
        else:
            answers = getattr(self.fast, method)(matrix)
        return answers


@dataclass(frozen=True, slots=True)
class Chain:
    """The first steps of a pipeline as they are, and a lane in the place of the last."""

    before: Any
    last: Lane

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The classes as scikit-learn has them."""
        return self.last.classes_

    def predict(self, frame: Frame) -> npt.NDArray[Any]:
        return self.last.predict(self.before.transform(frame))

    def predict_proba(self, frame: Frame) -> npt.NDArray[Any]:
        return self.last.predict_proba(self.before.transform(frame))

    def decision_function(self, frame: Frame) -> npt.NDArray[Any]:
        return self.last.decision_function(self.before.transform(frame))


def admitted(fast: Fast, frame: Any) -> Floats | None:  # noqa: ANN401 - what a preprocessing step gives
    """Return `frame` as `fast` takes it, rounded as scikit-learn would; None where it is not for `fast`."""
    try:
        with np.errstate(over="ignore"):
            matrix = np.asarray(frame, dtype=fast.dtype)
    except (TypeError, ValueError):
        return None
    if matrix.ndim != 2 or not (fast.any_number or np.isfinite(matrix).all()):  # noqa: PLR2004 - rows and columns
        return None
    return np.ascontiguousarray(matrix, dtype=np.float64)


def split(estimator: Any) -> tuple[Any, Any]:  # noqa: ANN401 - any estimator
    """Return the steps before the last of a pipeline, or None, and the estimator that answers."""
    while _is_own(estimator) and hasattr(estimator, "best_estimator_"):
        estimator = estimator.best_estimator_
    if not (_is_own(estimator) and hasattr(estimator, "steps")):
        return None, estimator
    before = estimator[:-1] if len(estimator.steps) > 1 else None
    return before, estimator.steps[-1][1]


def _is_own(estimator: object) -> bool:
    # A pipeline of somebody else's may do more between its steps.
    return type(estimator).__module__.startswith("sklearn.")


def accelerated(estimator: Estimator, fast: Fast, conversion: Conversion) -> Lane | Chain:
    """Return scikit-learn's `estimator` with `fast` beside the part that `conversion` covers."""
    if conversion.covers == "model":
        return Lane(estimator, fast, conversion.up_to_rows)
    before, last = split(estimator)
    lane = Lane(last, fast, conversion.up_to_rows)
    return lane if before is None else Chain(before, lane)


def converted_part(estimator: Estimator, conversion: Conversion) -> Any:  # noqa: ANN401 - any estimator
    """Return the part of `estimator` that `conversion` covers."""
    return estimator if conversion.covers == "model" else split(estimator)[1]


def opened(name: str, data: bytes, own: Any) -> Fast:  # noqa: ANN401 - any estimator
    """Return the converted model in `data`, made from `own`, as runtime `name` runs it.

    Raises `Refused`: `runtime` when its library is not installed, `load` when it does not take the bytes.
    """
    runtime = RUNTIMES[name]
    try:
        library = import_module(runtime.library)
    except ImportError as error:
        fix = f"pip install 'stream-infer-worker[{runtime.extra}]'"
        raise Refused("runtime", f"the model runs on {runtime.library}, which is not here: {fix}") from error
    try:
        return runtime.opened(library, data, own)
    except Exception as error:
        raise Refused("load", f"{runtime.library}: {type(error).__name__}: {error}") from error
