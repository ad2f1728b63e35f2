"""Models in the own formats of XGBoost, LightGBM and CatBoost: data, no pickle.

The library is imported only for a package that needs it. XGBoost and CatBoost open their files as estimators;
LightGBM opens a booster, and gets the same methods here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.formats import ModelFormat
from stream_infer.models.optional_library import importing, reading
from stream_infer.models.scores import Floats

_CLASSIFIES = ("binary:", "multi:", "binary", "multiclass", "multiclassova")
_HALF = 0.5


def open_booster(form: ModelFormat, data: bytes) -> Any:  # noqa: ANN401 - any estimator
    """Return the model in `data` with scikit-learn's methods.

    Raises `Refused`: `runtime` when its library is not installed, `load` when that rejects the bytes,
    `output` when the objective of the model does not say what its answers are.
    """
    with reading(form.title):
        return _OPENERS[form.runtime](data)


class LightgbmModel(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A booster of LightGBM with the methods and attributes of an estimator."""

    def __init__(self, booster_: Any) -> None:  # noqa: ANN401 - LightGBM has no types
        self.booster_ = booster_

    @property
    def feature_names_in_(self) -> npt.NDArray[Any]:
        """The names of the columns; `Column_0` and so on where it was trained on an array."""
        return np.array(self.booster_.feature_name(), dtype=object)

    @property
    def n_features_in_(self) -> int:
        """The number of columns."""
        return int(self.booster_.num_feature())

    def _raw(self, frame: Any) -> Floats:  # noqa: ANN401 - what the booster takes
        # One thread: the worker has its own processes.
        return np.asarray(self.booster_.predict(frame, num_threads=1), dtype=np.float64)


class LightgbmClassifier(ClassifierMixin, LightgbmModel):  # type: ignore[misc]  # as above
    """A booster that was trained to classify. Its file has no names of classes: they are 0, 1 and so on."""

    @property
    def classes_(self) -> npt.NDArray[Any]:
        """The classes in the order of the probabilities."""
        return np.arange(max(2, self.booster_.num_model_per_iteration()))

    def predict_proba(self, frame: Any) -> Floats:  # noqa: ANN401 - as above
        """Return one probability per row and class."""
        raw = self._raw(frame)
        return np.column_stack([1.0 - raw, raw]) if raw.ndim == 1 else raw

    def predict(self, frame: Any) -> npt.NDArray[Any]:  # noqa: ANN401 - as above
        """Return the class of the largest probability."""
        return np.asarray(self.classes_[self.predict_proba(frame).argmax(axis=1)])


class LightgbmRegressor(RegressorMixin, LightgbmModel):  # type: ignore[misc]  # as above
    """A booster that was trained to give a number."""

    def predict(self, frame: Any) -> Floats:  # noqa: ANN401 - as above
        """Return one number per row."""
        return self._raw(frame)


def _xgboost(data: bytes) -> Any:  # noqa: ANN401 - an estimator of XGBoost
    with importing("the model is a file of XGBoost", "pip install xgboost"):
        import xgboost  # noqa: PLC0415 - optional, and slow to import

    booster = xgboost.Booster(model_file=bytearray(data))
    objective = json.loads(booster.save_config())["learner"]["objective"]["name"]
    kind = xgboost.XGBClassifier if objective.startswith(_CLASSIFIES) else xgboost.XGBRegressor
    if "scikit_learn" not in booster.attributes():
        # `Booster.predict` takes all trees of a model that `xgboost.train` made; its estimators, the best.
        booster.set_attr(best_iteration=None)
    model = kind(enable_categorical=True)
    model.load_model(booster.save_raw("ubj"))
    return model


def _lightgbm(data: bytes) -> LightgbmModel:
    with importing("the model is a file of LightGBM", "pip install lightgbm"):
        import lightgbm  # noqa: PLC0415 - as above

    text = data.decode()
    found = re.search(r"^objective=(\S+)", text, flags=re.MULTILINE)
    if found is None:
        raise Refused(RefusalCode.OUTPUT, "LightGBM text: it has no objective, so what it answers is unknown")
    if "\nend of trees" not in text:
        # LightGBM ends the process for a file that breaks off.
        raise Refused(RefusalCode.LOAD, "LightGBM text: it breaks off before the end of its trees")
    booster = lightgbm.Booster(model_str=text)
    return (LightgbmClassifier if found[1] in _CLASSIFIES else LightgbmRegressor)(booster)


def _catboost(data: bytes) -> Any:  # noqa: ANN401 - an estimator of CatBoost
    with importing("the model is a file of CatBoost", "pip install catboost"):
        import catboost  # noqa: PLC0415 - as above

    if _CATBOOST_HEAD + int.from_bytes(data[4:_CATBOOST_HEAD], "little") > len(data):
        # CatBoost reads on past the end.
        raise Refused(RefusalCode.LOAD, "CatBoost file: it breaks off before the end of its trees")
    model = catboost.CatBoost()
    model.load_model(blob=data)
    kind = catboost.CatBoostClassifier if len(model.classes_) else catboost.CatBoostRegressor
    model = kind()
    model.load_model(blob=data)
    return model


_CATBOOST_HEAD = 8  # a mark, and the size of the trees
_OPENERS: Mapping[str, Callable[[bytes], Any]] = {
    "xgboost": _xgboost,
    "lightgbm": _lightgbm,
    "catboost": _catboost,
}
