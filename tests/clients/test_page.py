"""The page in a real browser: a person asks the model by keyboard, and no data becomes markup."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

from stream_infer.app.serve import load_served
from stream_infer.packaging.scorer import Scorer
from tests.clients.conftest import EVENTS, Run
from tests.unit.packaging.workshop import Workshop, frame_of, target
from tests.unit.serving.served import serving

MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Scorer:
    """Return a package with a city whose name is markup."""
    events = [{**event, "city": MARKUP if event["city"] == "Kiel" else event["city"]} for event in EVENTS]
    frame = frame_of(events, ["distance", "stops", "city"])
    encoder = make_column_transformer((OneHotEncoder(), ["city"]), remainder="passthrough")
    shop = Workshop(tmp_path_factory.mktemp("marked"))
    model = make_pipeline(encoder, LogisticRegression()).fit(frame, target(events))
    shop.create(model, frame, class_scores=True)
    return load_served(Path(shop.package))


@pytest.mark.skipif(shutil.which("chromedriver") is None, reason="there is no chromedriver")
def test_a_person_asks_the_model_by_keyboard(marked: Scorer, run: Run) -> None:
    event = {**EVENTS[0], "distance": 4.5, "stops": 3, "city": "Bonn"}
    [expected] = marked.predict([event])
    with serving(lambda: marked) as client:
        url = f"http://127.0.0.1:{client.port}"
        found = run("page.py", f"{url}/", json.dumps(["4.5", "3", "Bonn"]))

    manifest = marked.model.manifest
    assert all(one in found["text"] for one in (manifest.name, manifest.version, marked.model.digest))
    assert found["answer"].splitlines()[:3] == ["label", expected["label"], f"score {expected['score']}"]
    assert '"distance": 4.5, "stops": 3' in found["request"]
    assert found["sample"].startswith("label\n")
    assert found["problems"] == ["A value is needed."]
    assert found["focused"] == "true"
    assert MARKUP in found["options"]
    assert found["images"] == 0
    assert set(found["asked"]) == {url}
    assert found["console"] == []
    light_wide, light_narrow, dark_wide, dark_narrow = found["styles"]
    assert all(one["fits"] for one in found["styles"])
    assert light_wide["background"] == light_narrow["background"] != dark_wide["background"]
    assert dark_wide["background"] == dark_narrow["background"]
