"""A session that trains LightGBM on dates, categories and nulls, in the form of README, to predictions."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.tree import ROOT, fenced
from tests.support.broker import Broker
from tests.support.clients import topics_removed
from tests.support.typist import typist

pytest.importorskip("lightgbm")

OWN = (ROOT / "README.md").read_text("utf-8").partition("\n## Your own model\n")[2].partition("\n## ")[0]
TRAIN = """
import json
import lightgbm
import pandas as pd
import stream_infer
from river import datasets
from sklearn.compose import make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

frame = pd.DataFrame([{**month, "passengers": number} for month, number in datasets.AirlinePassengers()])
seasons = {1: "winter", 2: "spring", 3: "summer", 4: "autumn"}
frame["season"] = frame["month"].dt.quarter.map(seasons).astype("category")
frame["year_before"] = frame["passengers"].shift(12)
features, target = frame[["month", "season", "year_before"]], frame["passengers"]

instants = FunctionTransformer(pd.DataFrame.astype, kw_args={"dtype": "int64"})
columns = make_column_transformer(
    (instants, ["month"]), remainder="passthrough", verbose_feature_names_out=False
).set_output(transform="pandas")
model = make_pipeline(columns, lightgbm.LGBMRegressor(min_child_samples=5, verbose=-1)).fit(features, target)

features.head(30).to_csv("events.csv", index=False)
fields = [
    {"name": "month", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "season", "type": "string"},
    {"name": "year_before", "type": ["null", "double"]},
]
json.dump({"type": "record", "name": "Month", "fields": fields}, open("event.avsc", "w"))
stream_infer.package(
    model, features.head(50), name="airline", version="1.0.0", schema="event.avsc", output="airline-1.0.0",
    reference=features,
)
print(*model.predict(features.head(30)))
"""


def test_what_a_session_trained_is_served_as_it_answered_there(tmp_path: Path, broker: Broker) -> None:
    [config] = fenced(OWN, "toml")
    *commands, _ = fenced(OWN, "bash")
    with typist(tmp_path, broker.bootstrap) as session, topics_removed(broker.bootstrap, "lab.airline."):
        own = [float(one) for one in session.run(TRAIN).split()[-30:]]
        (tmp_path / "worker.toml").write_text(config.replace("cells", "airline"), "utf-8")
        for block in commands:
            session.type(block)
        sent = session.type("stream-infer send -c worker.toml events.csv --show 30")
        session.leave()

    assert "sent 30, answered 30: 30 predictions, 0 dead letters" in sent
    values = [float(one) for one in re.findall(r"  value (\S+)  ", sent)]
    assert sorted(values) == pytest.approx(sorted(own), rel=1e-2)
