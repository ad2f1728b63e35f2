"""The columns that a fitted estimator was trained on, as far as it tells.

scikit-learn's `feature_names_in_` and `n_features_in_`, and what other libraries have in their place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sklearn.utils import get_tags

from stream_infer.models.boosters import LightgbmModel
from stream_infer.models.onnx_file import OnnxFile


@dataclass(frozen=True, slots=True)
class TrainedColumns:
    """Names of columns in their order, and their number.

    No names: the estimator was fitted on an array. No number: the estimator does not tell.
    `series`: it was fitted on one column of text, as text vectorizers are. `blanks_replaced`: the library put
    an underscore for each blank of a name, and takes columns by position. `texts`: some columns are text.
    """

    names: tuple[str, ...] = ()
    count: int | None = None
    blanks_replaced: bool = False
    series: bool = False
    texts: bool = False

    @property
    def on_array(self) -> bool:
        """Tell whether the estimator was fitted without names, so that its order is not known."""
        return not self.names and self.count is not None and not self.series


def trained_columns(estimator: Any) -> TrainedColumns:  # noqa: ANN401 - any estimator
    """Return the columns of `estimator`: its own account, else that of its best estimator or first step."""
    names = tuple(str(name) for name in getattr(estimator, "feature_names_in_", ()))
    count = getattr(estimator, "n_features_in_", None) or None  # a CatBoost model that was stored says 0
    inner = _first_part(estimator)
    if inner is not None and not names and count is None:
        return trained_columns(inner)
    if not names and count is None and _reads_text(estimator):
        return TrainedColumns(count=1, series=True)
    if _is_of("lightgbm", estimator) or isinstance(estimator, LightgbmModel):
        given = names != tuple(f"Column_{index}" for index in range(len(names)))
        return TrainedColumns(names if given else (), count, blanks_replaced=True)
    if _is_of("catboost", estimator):
        return _of_catboost(estimator)
    return TrainedColumns(names, count, texts=isinstance(estimator, OnnxFile) and estimator.takes_text)


def _of_catboost(estimator: Any) -> TrainedColumns:  # noqa: ANN401 - any estimator of CatBoost
    names = tuple(str(name) for name in estimator.feature_names_ or ())
    given = names != tuple(str(index) for index in range(len(names)))
    texts = (*estimator.get_cat_feature_indices(), *estimator.get_text_feature_indices())
    # An array with categories is one of objects: a frame holds the same values, and CatBoost takes it.
    return TrainedColumns(names if given else (), None if texts else len(names))


def _first_part(estimator: Any) -> Any:  # noqa: ANN401 - any estimator
    if hasattr(estimator, "best_estimator_"):
        return estimator.best_estimator_
    if hasattr(estimator, "calibrated_classifiers_"):
        return estimator.calibrated_classifiers_[0].estimator
    parts = getattr(estimator, "steps", None) or getattr(estimator, "transformer_list", None)
    return parts[0][1] if parts else None


def _reads_text(estimator: Any) -> bool:  # noqa: ANN401 - any estimator
    """Return whether `estimator` takes a sequence of texts, which a frame of one column is not."""
    if not hasattr(estimator, "__sklearn_tags__"):
        return False
    tags = get_tags(estimator).input_tags
    return bool(tags.string and not tags.two_d_array)


def _is_of(library: str, estimator: object) -> bool:
    return any(kind.__module__.partition(".")[0] == library for kind in type(estimator).__mro__)
