"""The worker, on a broker, answers as the user's own estimator answers the user's own frame."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import fastavro
import joblib
import numpy as np
import pandas as pd
import pytest
from confluent_kafka import Producer
from sklearn.compose import make_column_transformer
from sklearn.ensemble import (
    GradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from tests.conftest import Topics
from tests.support.broker import Broker
from tests.support.log import committed, read_all
from tests.support.worker_process import Worker, until
from tests.unit.packaging.workshop import TRIP, Row, Workshop, frame_of, target, trips

NUMBERS = ["stops", "started"]
MIXED = ["distance", "stops", "night", "city", "colour", "started"]
PREDICTION = Path(__file__).parents[2] / "schemas" / "Prediction.avsc"


@dataclass(frozen=True, slots=True)
class Own:
    """A user's model, the rows he scored himself, and what it says about them: one list per output field."""

    model: Any
    frame: pd.DataFrame
    outputs: Mapping[str, Sequence[Any]]
    options: Mapping[str, Any]


def read_back(folder: Path, events: Sequence[Row]) -> pd.DataFrame:
    """Return what pandas reads from a CSV of the events: nulls are NaN, times are whole numbers."""
    frame_of(events, MIXED).to_csv(folder / "user.csv", index=False)
    return pd.read_csv(folder / "user.csv")


def bare_estimator(_folder: Path, events: Sequence[Row]) -> Own:
    frame = frame_of(events, ["stops", "night"])
    matrix = frame.to_numpy(dtype=float)
    model = LogisticRegression().fit(matrix, target(events))
    said = {"label": map(str, model.predict(matrix)), "score": model.predict_proba(matrix)[:, 1]}
    return Own(model, frame, {k: list(v) for k, v in said.items()}, {})


def pipeline_on_a_csv(folder: Path, events: Sequence[Row]) -> Own:
    # Trained on other cities than it meets, and on a file in which text is sometimes missing.
    frame = read_back(folder, events)
    columns = make_column_transformer(
        (make_pipeline(SimpleImputer(), StandardScaler()), ["distance", "stops", "started"]),
        (OneHotEncoder(handle_unknown="ignore"), ["city", "colour", "night"]),
    )
    known = frame[frame["city"] != "Jena"]
    model = make_pipeline(columns, LogisticRegression()).fit(known, target(events)[known.index])
    assert frame["city"].isna().any()
    said = {"label": map(str, model.predict(frame)), "score": model.predict_proba(frame)[:, 1]}
    return Own(model, frame, {k: list(v) for k, v in said.items()}, {})


def converted_forest(_folder: Path, events: Sequence[Row]) -> Own:
    frame = frame_of(events, NUMBERS)
    model = RandomForestClassifier(n_estimators=100, random_state=0).fit(frame, target(events))
    said = {"label": map(str, model.predict(frame)), "score": model.predict_proba(frame)[:, 1]}
    return Own(model, frame, {k: list(v) for k, v in said.items()}, {"runtime": "onnx"})


def regressor(_folder: Path, events: Sequence[Row]) -> Own:
    frame = frame_of(events, NUMBERS)
    model = GradientBoostingRegressor(n_estimators=5, random_state=0).fit(frame, target(events) * 2.5)
    return Own(model, frame, {"value": list(model.predict(frame))}, {})


def several_values(_folder: Path, events: Sequence[Row]) -> Own:
    frame = frame_of(events, NUMBERS)
    targets = np.column_stack([target(events) * 2.5, frame["stops"] + 1.0])
    model = RandomForestRegressor(n_estimators=5, random_state=0).fit(frame, targets)
    own = model.predict(frame)
    each = [dict(zip(("wait", "cost"), row, strict=True)) for row in own.tolist()]
    options = {"values": ("wait", "cost"), "primary": "cost"}
    return Own(model, frame, {"value": list(own[:, 1]), "values": each}, options)


def multiclass(_folder: Path, events: Sequence[Row]) -> Own:
    frame = frame_of(events, ["stops", "night"])
    names = np.array(["low", "mid", "top"])[[event["stops"] // 2 for event in events]]
    model = RandomForestClassifier(n_estimators=5, random_state=0).fit(frame, names)
    chances = model.predict_proba(frame)
    said = {"label": list(model.predict(frame)), "score": list(chances.max(axis=1))}
    each = [dict(zip(model.classes_, row, strict=True)) for row in chances]
    return Own(model, frame, {**said, "class_scores": each}, {"class_scores": True})


def outliers(_folder: Path, events: Sequence[Row]) -> Own:
    frame = frame_of(events, NUMBERS)
    model = IsolationForest(n_estimators=10, random_state=0).fit(frame)
    said = {"label": map(str, model.predict(frame)), "score": model.decision_function(frame)}
    return Own(model, frame, {k: list(v) for k, v in said.items()}, {})


def own_function(folder: Path, events: Sequence[Row]) -> Own:
    code = folder / "src"
    code.mkdir()
    (code / "own_scaling.py").write_text("def halve(frame):\n    return frame / 2\n")
    sys.path.insert(0, str(code))
    try:
        import own_scaling  # type: ignore[import-not-found]  # noqa: PLC0415 - exists from here on

        frame = frame_of(events, NUMBERS)
        model = make_pipeline(FunctionTransformer(own_scaling.halve), LinearRegression())
        model.fit(frame, target(events))
        joblib.dump(model, folder / "own.joblib")
        return Own(folder / "own.joblib", frame, {"value": list(model.predict(frame))}, {"code": code})
    finally:
        sys.path.remove(str(code))
        sys.modules.pop("own_scaling", None)


@pytest.mark.parametrize(
    "make",
    [
        bare_estimator,
        pipeline_on_a_csv,
        converted_forest,
        regressor,
        several_values,
        multiclass,
        outliers,
        own_function,
    ],
)
def test_the_worker_answers_as_the_users_own_model(
    make: Callable[[Path, Sequence[Row]], Own],
    tmp_path: Path,
    broker: Broker,
    topics: Topics,
    start_worker: Callable[[Path], Worker],
) -> None:
    events = trips()
    own = make(tmp_path, events)
    workshop = Workshop(tmp_path)
    workshop.create(own.model, own.frame, **own.options)
    source, predictions, letters = topics("trips.events"), topics("trips.predictions"), topics("dlq.trips")
    send(broker, source, events)

    worker = start_worker(write_config(workshop, broker, source, predictions, letters))
    until("all is answered", lambda: answered(broker, source) == len(events), worker)

    found = read_predictions(broker, predictions)
    assert read_all(broker.bootstrap, letters) == []
    assert sorted(found) == sorted(event["trip_id"] for event in events)
    for row, event in enumerate(events):
        for field, wanted in own.outputs.items():
            said = found[event["trip_id"]][field]
            if isinstance(wanted[row], str):
                assert said == wanted[row]
            else:
                assert said == pytest.approx(wanted[row], rel=1e-9, abs=1e-12)


def test_a_category_that_the_encoder_does_not_know_is_a_dead_letter_at_any_share_and_the_worker_serves_on(
    tmp_path: Path, broker: Broker, topics: Topics, start_worker: Callable[[Path], Worker]
) -> None:
    # The default of OneHotEncoder is an error. Two of three events have what it does not know.
    events = trips()
    frame = frame_of(events, ["stops", "colour"])
    known = frame[frame["colour"] == "RED"]
    columns = make_column_transformer((OneHotEncoder(), ["colour"]), remainder="passthrough")
    model = make_pipeline(columns, LinearRegression()).fit(known, known["stops"] * 2.0)
    workshop = Workshop(tmp_path)
    workshop.create(model, known.head(20))
    source, predictions, letters = topics("trips.events"), topics("trips.predictions"), topics("dlq.trips")
    send(broker, source, events)

    worker = start_worker(write_config(workshop, broker, source, predictions, letters))
    until("all is answered", lambda: answered(broker, source) == len(events), worker)
    send(broker, source, [event for event in events if event["colour"] == "RED"])
    until(
        "it serves on",
        lambda: answered(broker, source) == len(events) + len(known),
        worker,
    )

    found = read_predictions(broker, predictions)
    dead = read_all(broker.bootstrap, letters)
    unknown = [event["trip_id"] for event in events if event["colour"] != "RED"]
    assert sorted((one.key or b"").decode() for one in dead) == sorted(unknown)
    assert sorted(found) == sorted(event["trip_id"] for event in events if event["colour"] == "RED")
    for one in dead:
        headers = dict(one.headers)
        assert headers["streaminfer.error.stage"] == b"validate"
        assert headers["streaminfer.error.class"] == b"unseen_category"
        assert "colour" in (headers["__dlq.errors.message"] or b"").decode()


def answered(broker: Broker, source: str) -> int:
    """Return the number of answered events of `source`."""
    group = f"{source.replace('events', 'own')}.score"
    return sum(committed(broker.bootstrap, group, source).values())


def send(broker: Broker, topic: str, events: Sequence[Row]) -> None:
    schema = fastavro.parse_schema(cast("dict[str, Any]", TRIP))
    producer = Producer({"bootstrap.servers": broker.bootstrap})
    for event in events:
        datum = io.BytesIO()
        fastavro.schemaless_writer(datum, schema, event)
        producer.produce(topic, datum.getvalue(), event["trip_id"])
    assert producer.flush(20) == 0


def write_config(workshop: Workshop, broker: Broker, source: str, predictions: str, letters: str) -> Path:
    return workshop.file(
        "worker.toml",
        f"""
pipeline = {json.dumps(source.replace("events", "own"))}
[kafka]
"bootstrap.servers" = {json.dumps(broker.bootstrap)}
[input]
topics = [{json.dumps(source)}]
schema = "event.avsc"
[output]
topic = {json.dumps(predictions)}
[dlq]
topic = {json.dumps(letters)}
[model]
package = "package"
[http]
port = 0
""",
    )


def read_predictions(broker: Broker, topic: str) -> dict[str, dict[str, Any]]:
    schema = fastavro.parse_schema(json.loads(PREDICTION.read_text("utf-8")))
    found = {}
    for record in read_all(broker.bootstrap, topic):
        prediction = fastavro.schemaless_reader(io.BytesIO(record.value or b""), schema, None)
        found[(record.key or b"").decode()] = cast("dict[str, Any]", prediction)
    return found
