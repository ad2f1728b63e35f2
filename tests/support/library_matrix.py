"""Libraries against kinds of inputs: a model packaged from a sample, and its answers to other events.

`python -m tests.support.library_matrix` prints the table that docs/packages.md has.
"""

from __future__ import annotations

import datetime as dt
import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import category_encoders
import joblib
import numpy as np
import pandas as pd
from catboost import CatBoostClassifier
from feature_engine.encoding import OneHotEncoder as FeatureEngineEncoder
from feature_engine.wrappers import SklearnTransformerWrapper
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import make_pipeline as make_imbalanced
from lightgbm import LGBMClassifier
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from xgboost import XGBClassifier

from stream_infer.flow.errors import Misconfigured, Refused
from stream_infer.packaging.create import create_package
from stream_infer.packaging.options import CreateOptions
from stream_infer.packaging.scorer import open_package
from tests.support.rehearsals import unrehearsed

ROWS, SAMPLE = 120, 60
_RNG = np.random.default_rng(11)
_NUMBER = pd.Series(_RNG.normal(size=ROWS))
_PLACE = _RNG.integers(0, 4, ROWS)
_TEXTS = np.array(["berlin", "kiel", "jena", "bonn"])[_PLACE]
_NOON = pd.Timestamp("2026-01-31 12:00")

COLUMNS: Mapping[str, tuple[pd.Series, Any]] = {
    "numbers": (_NUMBER, "double"),
    "nulls": (_NUMBER.where(_PLACE > 0), ["null", "double"]),
    "strings": (pd.Series(_TEXTS), "string"),
    "string categories": (pd.Series(_TEXTS, dtype="category"), "string"),
    "integer categories": (pd.Series(_PLACE * 10, dtype="category"), "int"),
    "booleans": (pd.Series(_PLACE > 1), "boolean"),
    "dates": (
        pd.Series(_NOON + pd.to_timedelta(_PLACE, unit="h")).astype("datetime64[us]"),
        {"type": "long", "logicalType": "timestamp-micros"},
    ),
    "text": (pd.Series([f"visit {a} then {b}" for a, b in zip(_TEXTS, _TEXTS[::-1], strict=True)]), "string"),
}
"""Kind of input -> the column and the Avro type of its field."""

_CODED = {"strings", "string categories", "integer categories"}


def _before(kind: str) -> Any:
    """Return the step that makes numbers of the column."""
    step: Any = StandardScaler()
    column: Any = ["value"]
    if kind in _CODED:
        step = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    elif kind == "dates":
        step = FunctionTransformer(pd.DataFrame.astype, kw_args={"dtype": "int64"})
    elif kind == "text":
        step, column = TfidfVectorizer(), "value"
    elif kind in {"booleans", "nulls"}:
        step = "passthrough"
    return make_column_transformer((step, column), remainder="passthrough", sparse_threshold=0)


def _own_categories(kind: str, model: Any) -> Any:
    return model if kind not in {"strings", "dates", "text"} else make_pipeline(_before(kind), model)


def _catboost(kind: str) -> Any:
    coded = ["value"] if kind in _CODED else []
    model = CatBoostClassifier(iterations=8, verbose=0, allow_writing_files=False, cat_features=coded)
    return make_pipeline(_before(kind), model) if kind in {"dates", "text"} else model


def _encoded(kind: str) -> Any:
    first = category_encoders.TargetEncoder(cols=["value"]) if kind in _CODED else _before(kind)
    return make_pipeline(first, HistGradientBoostingClassifier(max_iter=8))


def _engineered(kind: str) -> Any:
    first = FeatureEngineEncoder(variables=["value"], ignore_format=True) if kind in _CODED else _before(kind)
    if kind == "numbers":
        first = SklearnTransformerWrapper(StandardScaler(), variables=["value"])
    return make_pipeline(first, HistGradientBoostingClassifier(max_iter=8))


def _linear(kind: str) -> Any:
    return HistGradientBoostingClassifier(max_iter=8) if kind == "nulls" else LogisticRegression()


LIBRARIES: Mapping[str, Callable[[str], Any]] = {
    "scikit-learn": lambda kind: _own_categories(
        kind, HistGradientBoostingClassifier(max_iter=8, categorical_features="from_dtype")
    ),
    "LightGBM": lambda kind: _own_categories(kind, LGBMClassifier(n_estimators=8, verbose=-1)),
    "XGBoost": lambda kind: _own_categories(kind, XGBClassifier(n_estimators=8, enable_categorical=True)),
    "CatBoost": _catboost,
    "imbalanced-learn": lambda kind: make_imbalanced(
        _before(kind), RandomOverSampler(random_state=0), _linear(kind)
    ),
    "category-encoders": _encoded,
    "feature-engine": _engineered,
}


def outcome(library: str, kind: str, folder: Path) -> str:
    """Return "equal" or "refused"; raise `AssertionError` for an answer that is not the maker's."""
    column, field = COLUMNS[kind]
    frame = pd.DataFrame({"value": column, "other": _RNG.normal(size=ROWS)})
    target = (_PLACE > 1) ^ (np.arange(ROWS) % 9 == 0)
    model = LIBRARIES[library](kind).fit(frame, target.astype(int))
    joblib.dump(model, folder / "model.joblib")
    frame.head(SAMPLE).to_parquet(folder / "golden.parquet")
    fields = [{"name": "value", "type": field}, {"name": "other", "type": "double"}]
    (folder / "event.avsc").write_text(json.dumps({"type": "record", "name": "Event", "fields": fields}))
    options = CreateOptions(
        model=folder / "model.joblib",
        name="matrix",
        version="1",
        schema=folder / "event.avsc",
        golden=folder / "golden.parquet",
        output=folder / "package",
    )
    try:
        create_package(options, unrehearsed)
    except (Misconfigured, Refused):
        return "refused"
    answers = open_package(folder / "package").predict(_events(frame))
    np.testing.assert_allclose(
        [one["score"] for one in answers], model.predict_proba(frame)[:, 1], rtol=1e-6, atol=1e-9
    )
    return "equal"


def _events(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    for row in rows:
        if isinstance(row["value"], dt.datetime):
            row["value"] = row["value"].replace(tzinfo=dt.UTC)
    return rows


def table(found: Mapping[tuple[str, str], str]) -> str:
    """Return the table of the page."""
    head = f"| | {' | '.join(COLUMNS)} |\n{'|---' * (1 + len(COLUMNS))}|\n"
    lines = [[library, *(found[library, kind] for kind in COLUMNS)] for library in LIBRARIES]
    return head + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main() -> None:
    """Print the table of this machine's libraries."""
    found = {}
    for library in LIBRARIES:
        for kind in COLUMNS:
            with tempfile.TemporaryDirectory() as folder:
                found[library, kind] = outcome(library, kind, Path(folder))
    sys.stdout.write(table(found))


if __name__ == "__main__":
    main()
