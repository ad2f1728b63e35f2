"""Random models and frames as people have them, and how their maker's answers compare with a package's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    OrdinalEncoder,
    StandardScaler,
    TargetEncoder,
)
from sklearn.utils import all_estimators

ROWS = 120
UNITS = {"timestamp-millis": 1_000, "timestamp-micros": 1_000_000, "date": 1 / 86_400}
SHADES = ("RED", "GREEN", "BLUE")
# Meta-estimators, those for several outputs or one column or counts only, and the slow.
_LEFT_OUT = frozenset({
    "CCA", "CategoricalNB", "ClassifierChain", "ComplementNB", "FixedThresholdClassifier", "GammaRegressor",
    "GaussianProcessClassifier", "GaussianProcessRegressor", "IsotonicRegression", "LabelPropagation",
    "LabelSpreading", "MLPClassifier", "MLPRegressor", "MultiOutputClassifier", "MultiOutputRegressor",
    "MultiTaskElasticNet", "MultiTaskElasticNetCV", "MultiTaskLasso", "MultiTaskLassoCV", "MultinomialNB",
    "NuSVC", "OneVsOneClassifier", "OneVsRestClassifier", "OutputCodeClassifier", "PLSCanonical",
    "PLSRegression", "PoissonRegressor", "QuantileRegressor", "RadiusNeighborsClassifier",
    "RadiusNeighborsRegressor", "RegressorChain", "SelfTrainingClassifier", "StackingClassifier",
    "StackingRegressor", "TheilSenRegressor", "TunedThresholdClassifierCV", "TweedieRegressor",
    "VotingClassifier", "VotingRegressor",
})  # fmt: skip
ESTIMATORS: Mapping[str, type] = {
    name: kind
    for name, kind in all_estimators(type_filter=["classifier", "regressor"])
    if name not in _LEFT_OUT
}
_FEW: Mapping[str, Any] = {"n_estimators": 5, "max_iter": 50, "random_state": 0, "n_jobs": 1, "cv": 2}


def hours(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the hour of each time: what depends on the zone."""
    return frame.apply(lambda column: column.dt.hour.fillna(-1))


def seconds(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the time since a day, in a unit that does not depend on that of the column."""
    return frame.apply(lambda column: _since(column).dt.total_seconds().fillna(-1.0))


def integers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return times as their integers: what depends on the unit of the column."""
    return frame.apply(lambda column: column.astype("int64").astype("float64") / 1e15)


def numbers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return any numbers and booleans as floats."""
    return frame.astype("float64")


def _since(column: pd.Series) -> pd.Series:
    return column - pd.Timestamp("2026-01-01", tz=column.dt.tz)


@dataclass(frozen=True)
class Column:
    """A column: its kind, the Avro type of its field, whether it has nulls, and the dtype in training."""

    name: str
    kind: str
    avro: str
    nullable: bool
    dtype: str

    def field(self) -> dict[str, Any]:
        """Return the field of the event."""
        kind: Any = self.avro
        if self.kind in _TIMES:
            kind = {"type": "int" if self.avro == "date" else "long", "logicalType": self.avro}
        elif self.avro == "enum":
            kind = {"type": "enum", "name": f"Of_{self.name}", "symbols": list(SHADES)}
        return {"name": self.name, "type": ["null", kind] if self.nullable else kind}

    def cells(self, rng: np.random.Generator) -> pd.Series:
        """Return the cells of the training data."""
        cells = pd.Series(_VALUES[self.kind](rng), name=self.name)
        if self.nullable:
            cells = cells.astype(object).mask(rng.random(ROWS) < 0.15)
        if self.dtype == "object with None":
            return cells.astype(object).where(cells.notna(), None)
        if self.dtype == "ordered":
            return cells.astype(pd.CategoricalDtype(["low", "mid", "top"], ordered=True))
        if self.kind in _TIMES:
            return _dates(cells, self.dtype)
        if self.dtype == "str":  # pandas 2 makes the text "nan" of a null
            return cells.astype("str").where(cells.notna(), np.nan)
        return cells.astype(self.dtype)

    def datum(self, cell: Any) -> Any:
        """Return a cell as a producer sends it."""
        if pd.isna(cell):
            return None if self.nullable else float("nan")
        if self.kind in _TIMES:
            return round(pd.Timestamp(cell).timestamp() * UNITS[self.avro])
        return _PYTHON[self.avro](cell)


def _dates(cells: pd.Series, dtype: str) -> pd.Series:
    times = pd.to_datetime(cells, utc=True)
    return times.astype(dtype) if "," in dtype else times.dt.tz_localize(None).astype(dtype)


_VALUES: Mapping[str, Callable[[np.random.Generator], Any]] = {
    "double": lambda rng: rng.normal(size=ROWS) * 10,
    "float": lambda rng: rng.normal(size=ROWS).astype(np.float32),
    "whole": lambda rng: rng.integers(-3, 9, ROWS),
    "flag": lambda rng: rng.random(ROWS) < 0.5,
    "text": lambda rng: rng.choice(["gold", "basic", "007", "a, b", "é"], ROWS),
    "code": lambda rng: rng.choice(["01234", "90210", "00501"], ROWS),
    "word": lambda rng: rng.choice(list("pqrs"), ROWS),
    "number": lambda rng: rng.choice([10, 20, 30, 40], ROWS),
    "truth": lambda rng: rng.random(ROWS) < 0.5,
    "grade": lambda rng: rng.choice(["low", "mid", "top"], ROWS),
    "shade": lambda rng: rng.choice(SHADES, ROWS),
    "holes": lambda rng: np.where(rng.random(ROWS) < 0.1, np.nan, rng.normal(size=ROWS)),
    "day": lambda rng: pd.to_datetime(rng.integers(20_000, 21_000, ROWS), unit="D", utc=True),
    "date": lambda rng: (
        pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 3 * 10**7, ROWS), "s")
    ),
}
_PYTHON: Mapping[str, Callable[[Any], Any]] = {
    "double": float, "float": float, "int": int, "long": int, "boolean": bool, "string": str, "enum": str,
}  # fmt: skip
_AVRO: Mapping[str, Sequence[str]] = {
    "double": ["double"],
    "float": ["float"],
    "whole": ["int", "long"],
    "flag": ["boolean"],
    "text": ["string"],
    "code": ["string"],
    "word": ["string"],
    "number": ["int", "long"],
    "truth": ["boolean"],
    "grade": ["string"],
    "shade": ["enum"],
    "holes": ["double", "float"],
    "day": ["date"],
    "date": ["timestamp-millis", "timestamp-micros"],
}
_DTYPES: Mapping[str, Sequence[str]] = {
    "double": ["float64"],
    "float": ["float32"],
    "whole": ["int64", "Int64", "int32"],
    "flag": ["bool", "boolean"],
    "text": ["str", "object", "string"],
    "code": ["str", "object"],
    "word": ["category"],
    "number": ["category"],
    "truth": ["category"],
    "grade": ["ordered"],
    "shade": ["str", "object", "category"],
    "holes": ["float64"],
    "day": ["datetime64[ns]", "datetime64[s]"],
    "date": [
        "datetime64[ns]",
        "datetime64[us]",
        "datetime64[ms]",
        "datetime64[us, UTC]",
        "datetime64[ns, Europe/Berlin]",
    ],
}
_NULLABLE_DTYPES = {
    **_DTYPES,
    "whole": ["float64", "Int64"],
    "flag": ["object", "boolean"],
    "text": ["str", "object", "object with None", "string"],
    "code": ["str", "object with None"],
}
_NUMBERS = ("double", "float", "whole", "flag", "holes")
_CATEGORIES = ("word", "number", "truth", "grade")
_TEXTS = ("text", "code", "shade")
_TIMES = ("date", "day")


@st.composite
def columns(draw: st.DrawFn, kinds: Sequence[str], *, nulls: bool = True) -> list[Column]:
    """Draw one to five columns."""
    found = []
    for index, kind in enumerate(draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=5))):
        nullable = nulls and draw(st.booleans())
        dtypes = (_NULLABLE_DTYPES if nullable else _DTYPES)[kind]
        avro = draw(st.sampled_from(_AVRO[kind]))
        found.append(Column(f"{kind}_{index}", kind, avro, nullable, draw(st.sampled_from(dtypes))))
    return found


@dataclass(frozen=True)
class Trained:
    """A fitted model, the frame that it was trained on, and its columns."""

    model: Any
    frame: pd.DataFrame
    columns: Sequence[Column]
    array: bool

    def schema(self) -> dict[str, Any]:
        """Return the schema of the events."""
        fields = [{"name": "id", "type": "string"}, *(one.field() for one in self.columns)]
        return {"type": "record", "name": "Event", "fields": fields}

    def events(self, rows: pd.DataFrame) -> list[dict[str, Any]]:
        """Return rows as a producer sends them."""
        return [
            {"id": "x", **{one.name: one.datum(row[one.name]) for one in self.columns}}
            for row in rows.to_dict("records")
        ]

    def options(self) -> dict[str, Any]:
        """Return the options of `package create` that the model needs."""
        return {"features": tuple(self.frame.columns)} if self.array else {}

    def through(self, sample: Sample) -> Sample:
        """Return `sample`, or one of a form in which these rows can be given."""
        return sample

    def own(self, rows: pd.DataFrame) -> list[tuple[str | None, Any]]:
        """Return label and number of each row, as the maker gets them."""
        given = rows.to_numpy(dtype=np.float64) if self.array else rows
        predicted = np.ravel(self.model.predict(given))
        if not hasattr(self.model, "classes_"):
            return [(None, float(value)) for value in predicted]
        labels = [str(one) for one in predicted]
        if not hasattr(self.model, "predict_proba"):
            return [(label, None) for label in labels]
        raw = np.asarray(self.model.predict_proba(given))
        places = [1] * len(raw) if raw.shape[1] == 2 else raw.argmax(axis=1)
        return [(label, float(row[place])) for label, row, place in zip(labels, raw, places, strict=True)]


def _final(name: str) -> Any:
    kind = ESTIMATORS[name]
    known = kind().get_params()
    return kind(**{key: value for key, value in _FEW.items() if key in known})


def _prepared(draw: st.DrawFn, column: Column) -> Any:
    if column.kind in _TIMES:
        return FunctionTransformer(draw(st.sampled_from([seconds, seconds, seconds, hours, integers])))
    if column.kind in _NUMBERS:
        return make_pipeline(FunctionTransformer(numbers), SimpleImputer(), StandardScaler())
    encoder = draw(
        st.sampled_from([
            OneHotEncoder(handle_unknown="ignore"),
            OneHotEncoder(),
            OneHotEncoder(handle_unknown="infrequent_if_exist", min_frequency=5),
            OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2),
            TargetEncoder(cv=2, random_state=0),
        ])
    )  # fmt: skip
    plain = column.dtype in {"str", "object", "category"} and column.kind not in {"number", "truth"}
    if column.nullable and plain and draw(st.booleans()):
        return make_pipeline(SimpleImputer(strategy="most_frequent"), encoder)
    return encoder


def _boosters(target: str) -> dict[str, Callable[[], Any]]:
    classes = target == "classes"
    histograms = HistGradientBoostingClassifier if classes else HistGradientBoostingRegressor
    found: dict[str, Callable[[], Any]] = {"histograms": lambda: histograms(max_iter=8)}
    if find_spec("lightgbm"):
        import lightgbm  # noqa: PLC0415 - optional

        light = lightgbm.LGBMClassifier if classes else lightgbm.LGBMRegressor
        found["lightgbm"] = lambda: light(n_estimators=6, verbose=-1, min_child_samples=5, n_jobs=1)
    if find_spec("xgboost"):
        import xgboost  # noqa: PLC0415 - optional

        extreme = xgboost.XGBClassifier if classes else xgboost.XGBRegressor
        found["xgboost"] = lambda: extreme(n_estimators=6, enable_categorical=True, n_jobs=1)
    return found


@st.composite
def trained(draw: st.DrawFn) -> Trained | None:
    """Draw a frame and a model that is fitted on it; None where it cannot be."""
    family = draw(st.sampled_from(["encoded", "encoded", "native", "array"]))
    kinds = {
        "encoded": [*_NUMBERS, *_TEXTS, *_CATEGORIES, *_TIMES],
        "native": [*_NUMBERS, *_CATEGORIES],
        "array": ["double", "whole"],
    }[family]
    chosen = draw(columns(kinds, nulls=family != "array"))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    frame = pd.DataFrame({one.name: one.cells(rng) for one in chosen})
    first = frame.iloc[:, 0]
    signal = pd.Series(pd.factorize(first)[0]) % 3 + rng.normal(size=ROWS) * 0.3
    name = draw(st.sampled_from(sorted(ESTIMATORS)))
    classes = issubclass(ESTIMATORS[name], _classifier()) if family != "native" else draw(st.booleans())
    target = np.where(signal > 1, "yes", "no") if classes else signal.to_numpy()
    if family == "native":
        boosters = _boosters("classes" if classes else "numbers")
        model = boosters[draw(st.sampled_from(sorted(boosters)))]()
        target = (signal > 1).to_numpy(dtype=int) if classes else target
    elif family == "array":
        model = make_pipeline(StandardScaler(), _final(name))
    else:
        parts = [(one.name, _prepared(draw, one), [one.name]) for one in chosen]
        model = make_pipeline(ColumnTransformer(parts, sparse_threshold=0), _final(name))
    try:
        model.fit(frame.to_numpy(dtype=np.float64) if family == "array" else frame, target)
        Trained(model, frame, chosen, family == "array").own(frame)
    except (ValueError, TypeError, NotImplementedError):
        return None
    return Trained(model, frame, chosen, family == "array")


def _classifier() -> type:
    from sklearn.base import ClassifierMixin  # noqa: PLC0415 - one use

    return ClassifierMixin


@dataclass(frozen=True)
class Sample:
    """How the maker hands over rows: `form` of the file or "memory", rows, and the form of a reference."""

    form: str
    rows: int
    reference: str | None
    shuffled: bool

    def given(self, frame: pd.DataFrame, folder: Path, *, array: bool) -> dict[str, Any]:
        """Return the options `golden` and `reference`, with the files that they name."""
        golden = frame.head(self.rows)
        if self.shuffled and not array and self.form != "memory":
            golden = golden[golden.columns[::-1]]
        options: dict[str, Any] = {"golden": _written(golden, folder / "golden", self.form)}
        if self.reference is not None:
            options["reference"] = _written(frame, folder / "reference", self.reference)
        return options


def _written(frame: pd.DataFrame, path: Path, form: str) -> Path | pd.DataFrame:
    if form == "memory":
        return frame
    file = path.with_suffix(f".{form}")
    frame.to_csv(file, index=False) if form == "csv" else frame.to_parquet(file)
    return file


SAMPLES = st.builds(
    Sample,
    st.sampled_from(["csv", "csv", "parquet", "parquet", "memory"]),
    st.sampled_from([4, 12, 40]),
    st.sampled_from([None, None, None, "csv", "parquet"]),
    st.booleans(),
)
