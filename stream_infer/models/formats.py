"""The formats of model files: a file's name in a package says how the model is stored, and what scores it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

Runtime: TypeAlias = Literal["sklearn", "onnx", "xgboost", "lightgbm", "catboost"]


@dataclass(frozen=True, slots=True)
class ModelFormat:
    """A format: the name of its file, what people call it, and the library that scores it.

    Loading a `pickled` one runs code of the file; the others are data.
    """

    file: str
    title: str
    runtime: Runtime
    pickled: bool = False

    @property
    def estimators(self) -> bool:
        """Whether it stores objects of scikit-learn, which another minor release may not read."""
        return self.runtime == "sklearn"


PICKLE = ModelFormat("model.joblib", "pickle", "sklearn", pickled=True)
XGBOOST_JSON = ModelFormat("model.json", "XGBoost JSON", "xgboost")
XGBOOST_UBJ = ModelFormat("model.ubj", "XGBoost UBJ", "xgboost")
LIGHTGBM = ModelFormat("model.txt", "LightGBM text", "lightgbm")
CATBOOST = ModelFormat("model.cbm", "CatBoost cbm", "catboost")
SKOPS = ModelFormat("model.skops", "skops", "sklearn")
ONNX = ModelFormat("model.onnx", "ONNX", "onnx")

_BY_FILE = {one.file: one for one in (PICKLE, XGBOOST_JSON, XGBOOST_UBJ, LIGHTGBM, CATBOOST, SKOPS, ONNX)}


def format_of(file: str) -> ModelFormat:
    """Return the format of a package's model file; one of another name is a pickle."""
    return _BY_FILE.get(file, PICKLE)
