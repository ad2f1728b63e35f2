"""Several values of a model: the worker's prediction, `predict` and both protocols give the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from stream_infer.app.serve import load_served
from stream_infer.avro.framing import Framing
from stream_infer.packaging.scorer import Scorer
from stream_infer.steps.scoring.plan import Events
from tests.unit.packaging.workshop import Workshop, frame_of
from tests.unit.serving.conftest import EVENTS
from tests.unit.serving.served import Client, serving
from tests.unit.steps import world

NUMBERS = ["distance", "stops"]


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    frame = frame_of(EVENTS, NUMBERS)
    model = LinearRegression().fit(frame, np.column_stack([frame["distance"] * 2 + 1, frame["stops"] - 3]))
    shop = Workshop(tmp_path_factory.mktemp("several"))
    shop.create(model, frame, values=("cost", "wait"), primary="wait")
    return load_served(Path(shop.package))


@pytest.fixture
def client(several: Scorer) -> Iterator[Client]:
    with serving(lambda: several) as client:
        yield client


def test_worker_predict_and_both_protocols_give_the_same_values(client: Client, several: Scorer) -> None:
    events = EVENTS[:9]
    scoring = world.score(several.model, events=Events(Framing.NONE, [several.schema]))
    batch = world.batch([world.datum(event, several.schema) for event in events])
    own = world.predictions(scoring(batch))

    answers = several.predict(events)
    served = client.post("/v1/predictions", events).document["predictions"]
    inputs = [
        {"name": name, "datatype": kind, "shape": [9], "data": [event[name] for event in events]}
        for name, kind in (("distance", "FP64"), ("stops", "INT32"))
    ]
    model = f"/v2/models/{several.model.manifest.name}"
    tensors = client.post(f"{model}/infer", {"inputs": inputs}).document["outputs"]

    assert [one["values"] for one in answers] == [one["values"] for one in own]
    assert [one["value"] for one in answers] == [one["values"]["wait"] for one in own]
    assert [{name: one[name] for name in answers[0]} for one in served] == answers
    found: dict[str, Any] = {one["name"]: one for one in tensors}
    assert list(found) == ["value", "cost", "wait"]
    for name in ("cost", "wait"):
        assert (found[name]["datatype"], found[name]["shape"]) == ("FP64", [9])
        assert found[name]["data"] == [one["values"][name] for one in own]
    described = client.get(model).document["outputs"]
    assert [one["name"] for one in described] == ["value", "cost", "wait"]


def test_one_value_is_answered_alone_where_it_is_asked_for(client: Client, several: Scorer) -> None:
    inputs = [
        {"name": "distance", "datatype": "FP64", "shape": [1], "data": [2.0]},
        {"name": "stops", "datatype": "INT32", "shape": [1], "data": [4]},
    ]
    model = f"/v2/models/{several.model.manifest.name}"

    answer = client.post(f"{model}/infer", {"inputs": inputs, "outputs": [{"name": "cost"}]}).document

    [cost] = answer["outputs"]
    assert (cost["name"], cost["data"]) == ("cost", [pytest.approx(5.0)])
