"""Columns that are rarer than those of `random_models`: other dtypes, cells and fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
    TargetEncoder,
)

from tests.support.random_models import ROWS, hours, integers, numbers, seconds

BIG = 2**53


def texts(frame: pd.DataFrame) -> pd.DataFrame:
    """Return each cell as its text: what depends on the type of a column and on the kind of its nulls."""
    return frame.astype(object).map(repr).astype(object)


def lengths(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the length of each text, -1 of a null."""
    return frame.apply(
        lambda column: column.astype(object).map(len, na_action="ignore").fillna(-1).astype(float)
    )


def odd(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the last digit of whole numbers, which floats do not have beyond 2^53."""
    return frame.map(lambda cell: -1.0 if pd.isna(cell) else float(int(cell) % 10))


def money(frame: pd.DataFrame) -> pd.DataFrame:
    """Return decimals as floats."""
    return frame.map(lambda cell: -1.0 if pd.isna(cell) else float(cell))


def days(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the day of each time as text: what depends on the zone."""
    return frame.apply(lambda column: column.dt.strftime("%Y-%m-%d %H").astype(object)).fillna("none")


def spans(frame: pd.DataFrame) -> pd.DataFrame:
    """Return durations in seconds."""
    return frame.apply(lambda column: column.dt.total_seconds().fillna(-1.0))


@dataclass(frozen=True)
class Odd:
    """A column: the Avro type of its field, how its cells are drawn and sent, and what may be done with them.

    `sensitive` preparations depend on what a file does not keep.
    """

    avro: Any
    cells: Callable[[np.random.Generator], Any]
    sent: Callable[[Any], Any]
    prepared: Sequence[Callable[[], Any]]
    dtypes: Sequence[str]
    sensitive: Sequence[Callable[[], Any]] = ()


def _scaled() -> Any:
    return make_pipeline(FunctionTransformer(numbers), SimpleImputer(), StandardScaler())


def _encoders() -> Sequence[Callable[[], Any]]:
    return [
        lambda: OneHotEncoder(handle_unknown="ignore"),
        OneHotEncoder,
        lambda: OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=3),
        lambda: OrdinalEncoder(
            handle_unknown="use_encoded_value", unknown_value=-1, encoded_missing_value=-2
        ),
        lambda: TargetEncoder(cv=2, random_state=0),
        lambda: make_pipeline(
            SimpleImputer(strategy="constant", fill_value="?"), OneHotEncoder(handle_unknown="ignore")
        ),
    ]


_NUMBERS: Sequence[Callable[[], Any]] = [
    _scaled,
    _scaled,
    lambda: make_pipeline(FunctionTransformer(numbers), KNNImputer(), RobustScaler()),
    lambda: make_pipeline(FunctionTransformer(numbers), SimpleImputer(add_indicator=True)),
    lambda: make_pipeline(
        FunctionTransformer(numbers), SimpleImputer(), KBinsDiscretizer(3, strategy="uniform")
    ),
    lambda: make_pipeline(FunctionTransformer(numbers), SimpleImputer(), SplineTransformer(n_knots=3)),
    lambda: make_pipeline(
        FunctionTransformer(numbers), SimpleImputer(), QuantileTransformer(n_quantiles=10, random_state=0)
    ),
    lambda: FeatureUnion(
        [("a", _scaled()), ("b", make_pipeline(FunctionTransformer(numbers), SimpleImputer()))]
    ),
]
_TEXTS: Sequence[Callable[[], Any]] = [*_encoders(), lambda: FunctionTransformer(lengths)]
_AS_TEXT: Sequence[Callable[[], Any]] = [
    lambda: make_pipeline(FunctionTransformer(texts), OneHotEncoder(handle_unknown="ignore"))
]
_TIMES: Sequence[Callable[[], Any]] = [lambda: FunctionTransformer(seconds)]
_OF_ZONE: Sequence[Callable[[], Any]] = [
    lambda: FunctionTransformer(hours),
    lambda: FunctionTransformer(integers),
    lambda: make_pipeline(FunctionTransformer(days), OneHotEncoder(handle_unknown="ignore")),
]


def _milliseconds(cell: pd.Timestamp) -> int:
    return int(cell.timestamp() * 1_000)


def _some_dates(rng: np.random.Generator) -> Any:
    return pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 3 * 10**7, ROWS), "s")


def _float(values: Sequence[float]) -> Callable[[np.random.Generator], Any]:
    return lambda rng: np.where(rng.random(ROWS) < 0.2, rng.choice(values, ROWS), rng.normal(size=ROWS))


_MILLIS = {"type": "long", "logicalType": "timestamp-millis"}
ODD: Mapping[str, Odd] = {
    "signed zeros": Odd(
        "double",
        _float([0.0, -0.0, 1e-308, 5e-324]),
        float,
        _NUMBERS,
        ["float64", "Float64", "object", "double[pyarrow]"],
        _AS_TEXT,
    ),
    "wide": Odd("double", _float([1e12, -1e12, 123456789.123]), float, _NUMBERS, ["float64", "Float64"]),
    "single": Odd(
        "float",
        lambda rng: rng.normal(size=ROWS).astype(np.float32),
        float,
        _NUMBERS,
        ["float32", "Float32", "float[pyarrow]"],
    ),
    "short": Odd(
        "int",
        lambda rng: rng.integers(0, 100, ROWS),
        int,
        _NUMBERS,
        ["int8", "uint8", "int16", "Int8", "UInt16", "uint32", "int64[pyarrow]", "object"],
        _AS_TEXT,
    ),
    "huge": Odd(
        "long",
        lambda rng: rng.integers(BIG, BIG + 1_000, ROWS),
        int,
        [lambda: FunctionTransformer(odd)],
        ["int64", "uint64", "Int64", "int64[pyarrow]"],
    ),
    "flag": Odd(
        "boolean",
        lambda rng: rng.random(ROWS) < 0.5,
        bool,
        _NUMBERS[:4],
        ["bool", "boolean", "bool[pyarrow]"],
        _AS_TEXT,
    ),
    "empty texts": Odd(
        "string",
        lambda rng: rng.choice(["", " ", "a", "A", "NULL", "None", "nan"], ROWS),
        str,
        _TEXTS,
        ["str", "object", "string", "string[pyarrow]", "category"],
        _AS_TEXT,
    ),
    "texts of numbers": Odd(
        "string",
        lambda rng: rng.choice(["1", "1.0", "01", "1e3", "true"], ROWS),
        str,
        _TEXTS,
        ["str", "object", "string", "category"],
        _AS_TEXT,
    ),
    "words": Odd(
        "string",
        lambda rng: rng.choice(["ä", "b,c", 'q"', "x y", "\u65e5"], ROWS),
        str,
        _TEXTS,
        ["str", "object", "category", "ordered"],
    ),
    "codes": Odd(
        "int", lambda rng: rng.choice([3, 1, 7], ROWS), int, _encoders()[:5], ["category", "int64", "int16"]
    ),
    "levels": Odd(
        "double", lambda rng: rng.choice([0.5, 1.5, 2.5], ROWS), float, _encoders()[:5], ["float64"]
    ),
    "truths": Odd(
        "boolean", lambda rng: rng.random(ROWS) < 0.5, bool, _encoders()[:5], ["category", "bool", "object"]
    ),
    "times": Odd(
        _MILLIS,
        _some_dates,
        _milliseconds,
        _TIMES,
        [
            "datetime64[ns]",
            "datetime64[us]",
            "datetime64[s]",
            "datetime64[ns, UTC]",
            "datetime64[us, Asia/Kathmandu]",
        ],
        _OF_ZONE,
    ),
    "spans": Odd(
        {"type": "int", "logicalType": "time-millis"},
        lambda rng: pd.to_timedelta(rng.integers(0, 86_400, ROWS), "s"),
        lambda cell: int(cell.total_seconds() * 1_000),
        [lambda: FunctionTransformer(spans)],
        ["timedelta64[ns]", "timedelta64[us]", "timedelta64[s]"],
    ),
    "money": Odd(
        {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2},
        lambda rng: rng.uniform(0, 1_000, ROWS).round(2),
        lambda cell: Decimal(f"{cell:.2f}"),
        [lambda: FunctionTransformer(money)],
        ["float64", "Float64"],
    ),
}


@dataclass(frozen=True)
class OddColumn:
    """A column of one frame."""

    name: str
    kind: str
    dtype: str
    nullable: bool
    sensitive: bool

    def field(self) -> dict[str, Any]:
        """Return the field of the event."""
        kind = ODD[self.kind].avro
        return {"name": self.name, "type": ["null", kind] if self.nullable else kind}

    def cells(self, rng: np.random.Generator, index: pd.Index) -> pd.Series:
        """Return the cells of the training data."""
        cells = pd.Series(ODD[self.kind].cells(rng), index=index, name=self.name)
        if self.nullable:
            cells = cells.astype(object).where(rng.random(ROWS) > 0.15, None)
        if self.dtype == "ordered":
            return cells.astype(
                pd.CategoricalDtype(sorted({c for c in cells if c is not None}), ordered=True)
            )
        if self.dtype.startswith("datetime64"):
            times = pd.to_datetime(cells, utc=True)
            return (
                times.astype(self.dtype)
                if "," in self.dtype
                else times.dt.tz_localize(None).astype(self.dtype)
            )
        if self.dtype == "str":
            return cells.astype("str").where(cells.notna(), np.nan)
        if self.dtype.startswith("timedelta64"):
            return pd.to_timedelta(cells).astype(self.dtype)
        return cells.astype(self.dtype)

    def datum(self, cell: Any) -> Any:
        """Return a cell as a producer sends it."""
        return None if pd.isna(cell) else ODD[self.kind].sent(cell)


def _nullable(kind: str, dtype: str) -> bool:
    plain = dtype.startswith(("int", "uint")) and "pyarrow" not in dtype
    return not (plain or dtype == "bool" or kind == "huge")


@st.composite
def odd_columns(draw: st.DrawFn) -> list[OddColumn]:
    """Draw one to five columns."""
    found = []
    for index, kind in enumerate(draw(st.lists(st.sampled_from(sorted(ODD)), min_size=1, max_size=5))):
        dtype = draw(st.sampled_from(ODD[kind].dtypes))
        nullable = _nullable(kind, dtype) and draw(st.booleans())
        sensitive = bool(ODD[kind].sensitive) and draw(st.integers(0, 3)) == 0
        found.append(OddColumn(f"{kind.replace(' ', '_')}_{index}", kind, dtype, nullable, sensitive))
    return found
