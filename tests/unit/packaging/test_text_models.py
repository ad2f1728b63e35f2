"""The usual text model: a vectorizer that was fitted on one column, not on a frame."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.feature_extraction.text import CountVectorizer, HashingVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union

from stream_infer.flow.errors import Misconfigured
from stream_infer.packaging.in_memory import package
from stream_infer.packaging.scorer import open_package
from stream_infer.packaging.summary import summarise_package
from tests.unit.packaging.workshop import Workshop, assert_close, column

EVENT = {
    "type": "record",
    "name": "Message",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "text", "type": ["null", "string"], "default": None},
    ],
}
TEXTS = pd.Series(
    ["refund please", "great thanks", "bad refund", "thanks a lot", "refund now", "great shop"] * 5,
    name="text",
)
TARGET = [1, 0, 1, 0, 1, 0] * 5
ASKED = ["refund", "thanks", "great", ""]


def _pipeline(vectorizer: Any) -> Any:
    return make_pipeline(vectorizer, LogisticRegression())


MODELS = {
    "tf-idf": _pipeline(TfidfVectorizer()),
    "counts": _pipeline(CountVectorizer(ngram_range=(1, 2))),
    "hashes": _pipeline(HashingVectorizer(n_features=64)),
    "a union": _pipeline(make_union(TfidfVectorizer(), CountVectorizer(analyzer="char"))),
    "a search": GridSearchCV(_pipeline(TfidfVectorizer()), {"logisticregression__C": [1.0, 2.0]}, cv=2),
    "calibrated": CalibratedClassifierCV(_pipeline(TfidfVectorizer()), cv=2),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("rows", [1, 5])
def test_a_text_model_scores_events_as_its_maker_does(workshop: Workshop, name: str, rows: int) -> None:
    model = MODELS[name].fit(TEXTS, TARGET)

    workshop.create(model, TEXTS.to_frame().head(rows), schema=EVENT)

    answers = workshop.answers([{"id": "a", "text": text} for text in ASKED])
    assert_close(column(answers, "score"), model.predict_proba(ASKED)[:, 1])
    assert ("input", "1 features in a pandas series") in summarise_package(workshop.package).facts()


def test_a_message_without_text_is_a_dead_letter(workshop: Workshop) -> None:
    workshop.create(MODELS["tf-idf"].fit(TEXTS, TARGET), TEXTS.to_frame(), schema=EVENT)

    [answer] = workshop.answers([{"id": "a", "text": None}])

    assert answer["error"]["class"] == "missing"


def test_of_several_columns_the_option_names_the_text(workshop: Workshop) -> None:
    model = MODELS["tf-idf"].fit(TEXTS, TARGET)
    sample = TEXTS.to_frame().assign(id="a")

    with pytest.raises(Misconfigured, match="the model takes 1 features and there are 2 columns") as refused:
        workshop.create(model, sample, schema=EVENT)
    workshop.create(model, sample, schema=EVENT, features=("text",))

    assert "--features" in refused.value.problems[0].fix


def test_a_series_is_packaged_where_the_model_was_trained(workshop: Workshop) -> None:
    model = MODELS["tf-idf"].fit(TEXTS, TARGET)

    package(model, TEXTS, name="m", version="1", schema=EVENT, output=workshop.package)

    answers = open_package(workshop.package).predict([{"id": "a", "text": text} for text in ASKED])
    assert_close(column(answers, "score"), model.predict_proba(ASKED)[:, 1])
