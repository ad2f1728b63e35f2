"""An ONNX file as its maker gave it, with the methods of an estimator.

Inputs are one input of a single column for each feature, found by its name, or tensors of several columns,
which take the features in their order. The answers are a label and probabilities, one output of numbers, or
several of one number each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.onnx_model import open_session
from stream_infer.models.scores import Floats

_DTYPES: Mapping[str, npt.DTypeLike] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}
_LABELS = frozenset({"tensor(int64)", "tensor(string)", "tensor(int32)", "tensor(bool)"})
_NUMBERS = frozenset({"tensor(float)", "tensor(double)"})
_MAPS = "seq(map("
_TEXT = "tensor(string)"
_TABLE = 2
_ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class _Outputs:
    """The names of a graph's outputs: a label and probabilities, or numbers."""

    label: str | None
    scores: tuple[str, ...]


class OnnxFile(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A graph and its inputs; the two kinds of answers are in the classes below."""

    def __init__(self, data: bytes, classes: Sequence[str]) -> None:
        self.data, self.classes = data, classes
        self._session = open_session(data)
        self._inputs = {one.name: one for one in self._session.get_inputs()}
        for name, one in self._inputs.items():
            _check_input(name, one, alone=len(self._inputs) == 1)
        self._outputs = _outputs(self._session)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return type(self), (self.data, self.classes)

    @property
    def feature_names_in_(self) -> npt.NDArray[Any]:
        """The names of the inputs, if each is a feature."""
        if not self._by_name:
            raise AttributeError("the graph takes several features in one input, without their names")
        return np.array(list(self._inputs), dtype=object)

    @property
    def n_features_in_(self) -> int:
        """The number of features."""
        widths = [_width(one) or 0 for one in self._inputs.values()]
        if 0 in widths:
            raise AttributeError("the graph does not tell how many features it takes")
        return sum(widths)

    @property
    def takes_text(self) -> bool:
        """Whether one of the inputs is text: no array of numbers has all of the features."""
        return any(one.type == _TEXT for one in self._inputs.values())

    @property
    def _by_name(self) -> bool:
        return all(_width(one) == 1 for one in self._inputs.values())

    def _run(self, outputs: Sequence[str], frame: Any) -> list[Any]:  # noqa: ANN401 - a frame or an array
        """Return an array, or a list of maps, for each output."""
        found: list[Any] = self._session.run(list(outputs), self._fed(frame))
        return found

    def _fed(self, frame: Any) -> dict[str, npt.NDArray[Any]]:  # noqa: ANN401 - a frame or an array
        if len(self._inputs) == 1:
            [(name, one)] = self._inputs.items()
            return {name: _tensor(frame, one)}
        if self._by_name:
            return {name: _tensor(frame[[name]], one) for name, one in self._inputs.items()}
        fed, start = {}, 0
        for name, one in self._inputs.items():
            stop = start + (_width(one) or 0)
            part = frame.iloc[:, start:stop] if isinstance(frame, pd.DataFrame) else frame[:, start:stop]
            fed[name], start = _tensor(part, one), stop
        return fed


class OnnxClassifier(ClassifierMixin, OnnxFile):  # type: ignore[misc]  # as above
    """A graph that gives labels and probabilities."""

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The names of the classes in the order of the probabilities."""
        return np.array(self.classes, dtype=object)

    def predict(self, frame: Any) -> npt.NDArray[Any]:  # noqa: ANN401 - a frame or an array
        """Return the graph's own label of each row."""
        label = np.ravel(self._run([str(self._outputs.label)], frame)[0])
        return np.array([str(one) for one in label], dtype=object)

    def predict_proba(self, frame: Any) -> Floats:  # noqa: ANN401 - as above
        """Return one probability per row and class."""
        [found] = self._run(self._outputs.scores, frame)
        if isinstance(found, list):
            found = [[one[key] for key in one] for one in found]
        table = np.asarray(found, dtype=np.float64)
        # Sums in single precision end a little beyond 0 and 1.
        within = np.clip(table, 0.0, 1.0)
        return np.where(np.abs(table - within) < _ROUNDING, within, table)


class OnnxRegressor(RegressorMixin, OnnxFile):  # type: ignore[misc]  # as above
    """A graph that gives numbers."""

    def predict(self, frame: Any) -> Floats | pd.DataFrame:  # noqa: ANN401 - as above
        """Return the numbers of each row; those of several outputs in columns with their names."""
        found = self._run(self._outputs.scores, frame)
        if len(found) == 1:
            return np.asarray(found[0], dtype=np.float64)
        columns = (np.asarray(one, dtype=np.float64).reshape(len(frame)) for one in found)
        return pd.DataFrame(dict(zip(self._outputs.scores, columns, strict=True)))


def open_onnx_file(data: bytes, classes: Sequence[str]) -> OnnxFile:
    """Return the model in `data`; `classes` are the names of the classes, if it is a classifier.

    Raises `Refused`: `runtime` when ONNX Runtime is not installed, `load` when it rejects the bytes,
    `container` and `output` when the graph has inputs or outputs of another kind.
    """
    return OnnxClassifier(data, classes) if classes else OnnxRegressor(data, classes)


def _outputs(session: Any) -> _Outputs:  # noqa: ANN401 - ONNX Runtime has no types
    found = session.get_outputs()
    labels = [one.name for one in found if one.type in _LABELS]
    scores = [one.name for one in found if one.type in _NUMBERS or one.type.startswith(_MAPS)]
    if len(scores) == 1 and len(labels) <= 1:
        return _Outputs(labels[0] if labels else None, tuple(scores))
    if scores and not labels and all(one.type in _NUMBERS and _is_column(one) for one in found):
        return _Outputs(None, tuple(scores))
    shown = ", ".join(f"{one.name} {one.type}" for one in found)
    raise _refused(
        RefusalCode.OUTPUT,
        f"the outputs are {shown}, not a label with its probabilities, one output of numbers, or several of"
        " one column each",
    )


def _is_column(one: Any) -> bool:  # noqa: ANN401 - as above
    return len(one.shape) == 1 or (len(one.shape) == _TABLE and _width(one) in {1, None})


def _check_input(name: str, one: Any, *, alone: bool) -> None:  # noqa: ANN401 - as above
    if one.type not in _DTYPES:
        what = f"is {one.type}, and a feature is {', '.join(sorted(_DTYPES))}"
    elif len(one.shape) != _TABLE:
        what = f"has shape {one.shape}, not rows and columns"
    elif not alone and not _width(one):
        what = f"has shape {one.shape}: of several inputs, each has its number of columns"
    else:
        return
    raise _refused(RefusalCode.CONTAINER, f"input '{name}' {what}")


def _width(one: Any) -> int | None:  # noqa: ANN401 - as above
    return one.shape[1] if isinstance(one.shape[1], int) else None


def _tensor(given: Any, one: Any) -> npt.NDArray[Any]:  # noqa: ANN401 - as above
    """Return the columns as the input takes them. Raises `ValueError` for a null that it cannot have."""
    dtype = _DTYPES[one.type]
    if dtype in {np.float32, np.float64}:
        return np.asarray(
            given.to_numpy(dtype=dtype, na_value=np.nan) if isinstance(given, pd.DataFrame) else given, dtype
        )
    if pd.isna(given).any(axis=None):
        raise ValueError(f"input '{one.name}' is {one.type}, which has no null")
    values = np.asarray(given)
    return values.astype(str).astype(object) if dtype is np.object_ else values.astype(dtype)


def _refused(code: RefusalCode, reason: str) -> Refused:
    return Refused(code, f"ONNX: {reason}")
