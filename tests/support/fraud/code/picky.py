"""A model in a user's own module: it refuses one amount, has no answer to another, and breaks at a third."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

RAISES_AT = 13.0
NAN_AT = 17.0
BREAKS_AT = 23.0


class PickyClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not typed
    """A logistic regression that raises for an `amount` of 13 and returns NaN for one of 17.

    After an `amount` of 23 it raises for all payments.
    """

    broken = False

    def fit(self, frame: pd.DataFrame, target: NDArray[Any]) -> Self:
        """Fit to the columns of `frame`, whose empty cells are imputed."""
        self.pipeline_ = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression())
        self.pipeline_.fit(_matrix(frame), target)
        self.classes_ = self.pipeline_.classes_
        self.feature_names_in_ = np.asarray(frame.columns, dtype=object)
        self.n_features_in_ = len(frame.columns)
        return self

    def predict_proba(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Return the probabilities of the classes, in the order of `classes_`."""
        amount = frame["amount"].to_numpy()
        self.broken = self.broken or bool((amount == BREAKS_AT).any())
        if self.broken or (amount == RAISES_AT).any():
            raise ValueError("13 is unlucky")
        probabilities: NDArray[np.float64] = self.pipeline_.predict_proba(_matrix(frame))
        probabilities[amount == NAN_AT] = np.nan
        return probabilities

    def predict(self, frame: pd.DataFrame) -> NDArray[Any]:
        """Return the most probable class of each row."""
        labels: NDArray[Any] = self.classes_[self.predict_proba(frame).argmax(axis=1)]
        return labels


def _matrix(frame: pd.DataFrame) -> NDArray[np.float64]:
    """Return the numbers of `frame`: each step of the pipeline would take long to check a frame."""
    matrix: NDArray[np.float64] = frame.to_numpy(dtype=np.float64)
    return matrix
