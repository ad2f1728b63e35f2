"""`--unseen`: values that the model does not know are dead letters or nulls, as the package says."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from lightgbm import LGBMRegressor
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.drift.reference import parse_reference
from stream_infer.flow.errors import Misconfigured
from stream_infer.models.load import load_model
from stream_infer.models.package import verify
from stream_infer.packaging.summary import summarise_package
from stream_infer.steps.observing.observe import Observe, ObserveSettings
from stream_infer.steps.observing.scored import ScoredRows
from stream_infer.steps.scoring.infer import infer
from tests.unit.packaging.workshop import Workshop, assert_close, column
from tests.unit.steps.world import batch

RNG = np.random.default_rng(3)
SHOPS = pd.DataFrame({"shop": RNG.choice(["a", "b", "c"], 90), "amount": RNG.normal(size=90)})
TARGET = SHOPS["shop"].map({"a": 1.0, "b": 5.0, "c": 9.0}) + SHOPS["amount"]
EVENT = {
    "type": "record",
    "name": "Sale",
    "fields": [{"name": "shop", "type": "string"}, {"name": "amount", "type": "double"}],
}
EVENTS = [{"shop": shop, "amount": 0.5} for shop in ("a", "zzz", "c")]


def encoded(encoder: Any) -> Any:
    columns = make_column_transformer((encoder, ["shop"]), remainder="passthrough")
    return make_pipeline(columns, LinearRegression()).fit(SHOPS, TARGET)


def native() -> Any:
    frame = SHOPS.astype({"shop": "category"})
    return LGBMRegressor(n_estimators=5, min_child_samples=3, verbose=-1).fit(frame, TARGET)


LENIENT = OneHotEncoder(handle_unknown="ignore")
MODELS = {
    "lenient": lambda: encoded(LENIENT),
    "strict": lambda: encoded(OneHotEncoder()),
    "ordinal": lambda: encoded(OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)),
    "native": native,
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("policy", ["reject", "shop=reject"])
def test_unknown_values_are_dead_letters_where_the_policy_rejects_them(
    workshop: Workshop, name: str, policy: str
) -> None:
    model = MODELS[name]()
    workshop.create(model, SHOPS.head(20), schema=EVENT, unseen=(policy,))

    first, unknown, last = workshop.answers(EVENTS)

    assert unknown["error"] == {
        "stage": "validate",
        "class": "unseen_category",
        "message": "feature 'shop' has a value that the model does not know",
    }
    known = pd.DataFrame([EVENTS[0], EVENTS[2]])
    if name == "native":
        known["shop"] = known["shop"].astype(pd.CategoricalDtype(["a", "b", "c"]))
    assert_close(column([first, last], "value"), model.predict(known))


def test_unknown_values_score_as_nulls_where_the_policy_says_so(workshop: Workshop) -> None:
    model = native()
    workshop.create(model, SHOPS.head(20), schema=EVENT, unseen=("null",))

    answers = workshop.answers(EVENTS)

    shops = pd.Categorical(["a", None, "c"], ["a", "b", "c"])
    assert_close(column(answers, "value"), model.predict(pd.DataFrame({"shop": shops, "amount": 0.5})))


def test_unknown_values_are_filled_as_nulls_are(workshop: Workshop) -> None:
    model = encoded(OneHotEncoder())
    workshop.create(model, SHOPS.head(20), schema=EVENT, unseen=("shop=null",), missing=("shop=impute:b",))

    answers = workshop.answers(EVENTS)

    filled = pd.DataFrame({"shop": ["a", "b", "c"], "amount": 0.5})
    assert_close(column(answers, "value"), model.predict(filled))


def test_the_policy_of_one_feature_comes_before_that_of_all(workshop: Workshop) -> None:
    frame = SHOPS.assign(city=SHOPS["shop"] + "!")
    model = make_pipeline(make_column_transformer((LENIENT, ["shop", "city"])), LinearRegression()).fit(
        frame, TARGET
    )
    fields = [{"name": name, "type": "string"} for name in ("shop", "city")]
    workshop.create(
        model,
        frame[["shop", "city"]].head(20),
        schema={**EVENT, "fields": fields},
        unseen=("reject", "city=null"),
    )

    shop, city = workshop.answers([{"shop": "zzz", "city": "a!"}, {"shop": "a", "city": "zzz"}])

    assert "shop" in shop["error"]["message"]
    assert_close(
        [city["value"]], model.predict(pd.DataFrame({"shop": ["a"], "city": [np.nan]}, dtype=object))
    )


def test_the_policy_can_be_seen_in_the_package(workshop: Workshop) -> None:
    workshop.create(native(), SHOPS.head(20), schema=EVENT, unseen=("shop=null",))

    assert [row[-2] for row in summarise_package(workshop.package).features()] == ["null", ""]


def test_without_a_policy_the_manifest_says_nothing_of_it(workshop: Workshop) -> None:
    workshop.create(native(), SHOPS.head(20), schema=EVENT)

    assert b"unseen" not in (workshop.package / "manifest.json").read_bytes()
    assert [row[-2] for row in summarise_package(workshop.package).features()] == ["reject", ""]


@pytest.mark.parametrize(
    ("policies", "said"),
    [
        ((), "it answers them as unknown, as it does for events; --unseen 'shop=reject' refuses them"),
        (("reject",), "they are left out, and such events will be dead letters"),
        (("shop=null",), "they are left out, and such events are scored as nulls"),
    ],
)
def test_values_of_the_sample_that_the_model_does_not_know_are_told(
    workshop: Workshop, policies: tuple[str, ...], said: str
) -> None:
    golden = pd.concat([SHOPS.head(5), pd.DataFrame({"shop": ["zzz", "y"], "amount": 0.5})])

    report = workshop.create(encoded(LENIENT), golden, schema=EVENT, unseen=policies)

    told = f"2 rows of --golden have a 'shop' that the model does not know (y, zzz): {said}"
    assert told in report.notes
    assert report.rows == (5 if policies else 7)


def test_a_feature_whose_values_the_model_does_not_tell_has_no_such_policy(workshop: Workshop) -> None:
    with pytest.raises(Misconfigured, match="does not tell which values of 'amount' it knows"):
        workshop.create(native(), SHOPS.head(20), schema=EVENT, unseen=("amount=reject",))


@pytest.mark.parametrize(("policy", "scored"), [("reject", 8), ("null", 10)])
def test_unknown_values_are_counted_as_unseen_under_each_policy(
    workshop: Workshop, policy: str, scored: int
) -> None:
    reference = workshop.csv("reference.csv", SHOPS)
    workshop.create(native(), SHOPS.head(20), schema=EVENT, unseen=(policy,), reference=reference)
    verified = verify(workshop.package)
    model, known = load_model(verified), parse_reference(verified.files["reference.json"])
    columns = {"shop": pa.array(["a", "b", "c", "zzz", "a"] * 2), "amount": pa.array([0.5] * 10)}

    inferred = infer(model, columns)
    rows = ScoredRows(columns, np.arange(10), inferred.rows, inferred.scores, inferred.rejected)
    encoder = Encoder(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE)
    observe = Observe("p", encoder, lambda _: known, ObserveSettings(1_600, sample_bits=0))
    [frame] = observe.frames(batch([b""] * 10), model, rows)

    [shop] = [one for one in frame.signals if one.name == "shop"]
    assert len(inferred.rows) == scored
    assert (shop.bins[-1], shop.nulls) == (2, 0)
