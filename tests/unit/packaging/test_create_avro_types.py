"""Decimals, unions of numbers, dates and times of day are features, from every kind of sample."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import fastavro
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from tests.unit.packaging.workshop import Row, Workshop, assert_close, column

DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}
FIXED = {**DECIMAL, "type": "fixed", "name": "Money", "size": 6}
DATE = {"type": "int", "logicalType": "date"}
TIME = {"type": "long", "logicalType": "time-micros"}


def schema_of(**fields: object) -> dict[str, Any]:
    listed = [{"name": name, "type": kind} for name, kind in fields.items()]
    return {"type": "record", "name": "Fare", "fields": listed}


def sample(
    folder: Path, frame: pd.DataFrame, events: Sequence[Row], schema: Mapping[str, Any], kind: str
) -> Path:
    path = folder / f"golden.{kind}"
    if kind == "avro":
        with path.open("wb") as file:
            fastavro.writer(file, fastavro.parse_schema(dict(schema)), events)
    elif kind == "csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path)
    return path


@pytest.mark.parametrize("field", [DECIMAL, ["null", DECIMAL], FIXED, ["null", "long", "double"], ["double"]])
@pytest.mark.parametrize("kind", ["csv", "parquet", "avro"])
def test_money_is_scored_as_in_training_whatever_its_field(
    workshop: Workshop, field: object, kind: str
) -> None:
    schema = schema_of(fare=field, stops="int")
    fares = pd.DataFrame({"fare": [12.34, 7.0, 0.05, 99.99], "stops": [1, 2, 3, 4]})
    model = LinearRegression().fit(fares, fares["fare"] * 3 + fares["stops"])
    events = [
        {"fare": Decimal(f"{fare:.2f}") if "decimal" in str(field) else fare, "stops": int(stops)}
        for fare, stops in fares.to_numpy()
    ]

    workshop.create(model, sample(workshop.folder, fares, events, schema, kind), schema=schema)

    assert_close(column(workshop.answers(events), "value"), model.predict(fares))


@pytest.mark.parametrize("kind", ["parquet", "avro"])
def test_dates_and_times_of_day_are_taken_from_typed_samples(workshop: Workshop, kind: str) -> None:
    schema = schema_of(day=DATE, took=TIME)
    frame = pd.DataFrame({
        "day": pd.to_datetime(["2026-01-31", "2026-07-01", "2025-02-03", "2024-02-29"]),
        "took": pd.to_timedelta(["00:01:00", "12:30:00", "00:00:00.5", "23:59:59"]),
    })  # fmt: skip
    model = make_pipeline(FunctionTransformer(parts_of_times), LinearRegression()).fit(frame, [1, 2, 3, 5])
    midnight = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)
    events = [
        {"day": day.date(), "took": (midnight + took.to_pytimedelta()).time()}
        for day, took in frame.itertuples(index=False)
    ]

    workshop.create(model, sample(workshop.folder, frame, events, schema, kind), schema=schema)

    assert_close(column(workshop.answers(events), "value"), model.predict(frame))


def parts_of_times(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"day": frame["day"].dt.day_of_year, "took": frame["took"].dt.total_seconds()})
