"""Refusals of types: of columns, of fields, and where the two do not fit."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lightgbm import LGBMRegressor
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from stream_infer.models.known_categories import KnownCategories
from tests.unit.packaging.refusals.bench import (
    DONE,
    FRAME,
    NUMBERS,
    SUM,
    TIME,
    Bench,
    Steps,
    case,
    cases,
    event,
)

Patch = pytest.MonkeyPatch
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 1}
RECORD = {"type": "record", "name": "Inner", "fields": [{"name": "a", "type": "double"}]}


def _ones(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"one": np.ones(len(frame))})


def _integers(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["at"]].astype("int64") / 1e15


def _hours(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"hour": frame["at"].dt.hour})


def _of(step: Any, frame: pd.DataFrame) -> Any:
    return make_pipeline(FunctionTransformer(step), LinearRegression()).fit(frame, SUM.head(len(frame)))


def _encoded(frame: pd.DataFrame) -> Any:
    return make_pipeline(
        make_column_transformer((OneHotEncoder(), ["word"])), LinearRegression()
    ).fit(frame, SUM)  # fmt: skip


@case
def a_field_that_is_no_scalar(bench: Bench, _: Patch) -> Steps:
    listed = {"type": "array", "items": "double"}
    fix = "let the producer add a scalar field, and map it: --map 'a=FIELD'"
    yield fix, lambda: bench.make(schema=event(a=listed))
    yield DONE, lambda: bench.make(schema=event(a=listed, plain="double"), columns=("a=plain",))


@case
def a_field_in_a_record(bench: Bench, _: Patch) -> Steps:
    schema = event(a=RECORD)
    yield "--map 'a=FIELD'", lambda: bench.make(schema=schema)
    yield DONE, lambda: bench.make(schema=schema, columns=("a=a.a",))


@cases(("1", "string", "int"), ("p", "int", "string"))
def values_that_a_field_never_has(bench: Bench, _: Patch, value: str, wrong: str, right: str) -> Steps:
    numbers = value.isdigit()
    words = FRAME[["word"]].replace({"p": value, "q": "2", "r": "3"}) if numbers else FRAME[["word"]]
    frame = words.astype({"word": int}) if numbers else words
    path = bench.folder / "golden.parquet"
    frame.to_parquet(path)
    fix = "make the field's type that of the training data"
    model = _encoded(frame)
    yield fix, lambda: bench.make(model, path, schema=event(word=wrong))
    yield DONE, lambda: bench.make(model, path, schema=event(word=right))


@cases(
    ("a=complex128", "give a dtype as pandas prints it"),
    ("a=int64", "give another dtype: --dtype 'a=...'"),
)
def a_dtype(bench: Bench, _: Patch, dtype: str, fix: str) -> Steps:
    yield fix, lambda: bench.make(dtypes=(dtype,))
    yield DONE, lambda: bench.make(dtypes=("a=float64",))


@case
def a_category_that_the_model_keeps_as_codes(bench: Bench, patch: Patch) -> Steps:
    frame = FRAME[["word"]].astype("category")
    model = LGBMRegressor(n_estimators=2, min_child_samples=2, verbose=-1).fit(frame, SUM)
    codes = {"word": KnownCategories((), native=True)}
    patch.setattr("stream_infer.packaging.column_types.known_categories", lambda *_: codes)
    golden = FRAME[["word"]].head(12)
    yield "give the training data as --reference", lambda: bench.make(model, golden)
    reference = bench.csv("reference.csv", FRAME[["word"]].sort_values("word"))
    yield DONE, lambda: bench.make(model, golden, reference=reference)


@case
def rows_of_categories_that_the_model_does_not_know(bench: Bench, _: Patch) -> Steps:
    frame = FRAME[["word"]].astype("category")
    model = HistGradientBoostingRegressor(max_iter=3, categorical_features="from_dtype").fit(frame, SUM)
    fix = "give rows with the values that the model was trained on"
    yield fix, lambda: bench.make(model, FRAME[["word"]].assign(word="z"))
    yield DONE, lambda: bench.make(model, FRAME[["word"]])


@case
def unknown_values_as_nulls_that_are_rejected(bench: Bench, _: Patch) -> Steps:
    make = partial(bench.make, _encoded(FRAME[["word"]]), FRAME[["word"]].head(12), unseen=("word=null",))
    yield "pass or impute them", lambda: make(missing=("word=reject",))
    yield "fill it: --missing 'word=impute:VALUE'", make
    yield DONE, lambda: make(missing=("word=impute:p",))


@case
def a_column_of_no_type_that_events_have(bench: Bench, _: Patch) -> Steps:
    odd = FRAME[["a"]].astype("complex128").head(12)
    yield "make it a number", lambda: bench.make_in_memory(_of(_ones, odd), odd)
    plain = FRAME[["a"]].head(12)
    yield DONE, lambda: bench.make_in_memory(_of(_ones, plain), plain)


@case
def a_column_with_two_kinds_of_null(bench: Bench, _: Patch) -> Steps:
    words: list[Any] = [None, np.nan, *FRAME["word"].head(10)]
    schema = event(word=["null", "string"])
    odd = pd.DataFrame({"word": pd.Series(words, dtype=object)})
    yield "with one kind of null", lambda: bench.make_in_memory(_of(_ones, odd), odd, schema=schema)
    plain = odd.where(odd.notna(), None).astype(object)
    yield DONE, lambda: bench.make_in_memory(_of(_ones, plain), plain, schema=schema)


@case
def times_in_a_column_of_objects(bench: Bench, _: Patch) -> Steps:
    schema = event(at={"type": "int", "logicalType": "time-millis"})
    odd = pd.DataFrame({"at": pd.Series([1, 2, 3], dtype=object)})
    fix = "the column's that of the field"
    yield fix, lambda: bench.make_in_memory(_of(_ones, odd), odd, schema=schema)
    plain = odd.astype("int64")
    yield DONE, lambda: bench.make_in_memory(_of(_ones, plain), plain, schema=schema)


@cases(
    ("a", "int", "double", FRAME[["a"]], "make the field's type that of the training data"),
    ("b", "int", ["null", "int"], FRAME[["b"]].where(FRAME["b"] > 1), "let the field be null"),
    ("at", "long", TIME, FRAME[["at"]], "make the field's type that of the training data"),
    ("a", DECIMAL, "double", FRAME[["a"]] * 1e3,
     "make the field's type that of the training data"),
    ("a", "int", "long", (FRAME[["b"]] * 1e10).set_axis(["a"], axis=1), "make the field's type that of"),
    ("a", "boolean", "double", FRAME[["a"]], "make the field's type that of the training data"),
)  # fmt: skip
def a_cell_that_a_field_cannot_hold(
    bench: Bench, _: Patch, name: str, wrong: Any, right: Any, frame: pd.DataFrame, fix: str
) -> Steps:
    path = bench.folder / "golden.parquet"
    frame.to_parquet(path)
    model = _of(_ones, frame)
    yield fix, lambda: bench.make(model, path, schema=event(**{name: wrong}))
    yield DONE, lambda: bench.make(model, path, schema=event(**{name: right}))


@case
def a_unit_that_matters(bench: Bench, _: Patch) -> Steps:
    frame = FRAME[["at"]].astype("datetime64[ns]")
    model = _of(_integers, frame)
    fix = "--dtype 'at=datetime64[ns]'"
    yield fix, lambda: bench.make(model, frame)
    yield DONE, lambda: bench.make(model, frame, dtypes=("at=datetime64[ns]",))


@case
def a_zone_that_matters(bench: Bench, _: Patch) -> Steps:
    frame = FRAME[["at"]].apply(lambda one: one.dt.tz_localize("Europe/Berlin"))
    model, text = _of(_hours, frame), frame.map(lambda one: one.isoformat())
    several = "name the zone of the training data: --dtype 'at=datetime64[us, ZONE]'"
    zone = ("at=datetime64[us, Europe/Berlin]",)
    yield several, lambda: bench.make(model, text.head(12))
    yield "name the zone of the training data", lambda: bench.make(model, text.head(1))
    yield DONE, lambda: bench.make(model, text.head(12), dtypes=zone)


@case
def text_that_is_no_date(bench: Bench, _: Patch) -> Steps:
    model = _of(_hours, FRAME[["at"]])
    yield "write all of them in one form", lambda: bench.make(model, FRAME[["at"]].assign(at="soon"))
    yield DONE, lambda: bench.make(model, FRAME[["at"]])


@case
def text_that_is_no_duration(bench: Bench, _: Patch) -> Steps:
    schema = event(at={"type": "int", "logicalType": "time-millis"})
    spans = pd.DataFrame({"at": pd.to_timedelta(np.arange(40), "min")})
    model = _of(_ones, spans)
    yield (
        "write hours, minutes and seconds",
        lambda: bench.make(model, spans.assign(at="soon"), schema=schema),
    )
    yield DONE, lambda: bench.make(model, spans.head(12), schema=schema)


@case
def a_field_that_rounds(bench: Bench, _: Patch) -> Steps:
    model = LinearRegression().fit(NUMBERS, SUM * 1e6)
    fix = "make it a double, or allow the difference with --relative-tolerance"
    golden = NUMBERS.head(12) / 3
    yield fix, lambda: bench.make(model, golden, schema=event(a="float"))
    yield DONE, lambda: bench.make(model, golden, schema=event(a="double"))
