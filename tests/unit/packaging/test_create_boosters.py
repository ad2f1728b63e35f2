"""Models in the own formats of XGBoost, LightGBM and CatBoost, from their file to a worker's answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import catboost
import lightgbm
import numpy as np
import pandas as pd
import pytest
import xgboost

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Misconfigured, Refused
from stream_infer.models.load import load_model
from stream_infer.models.package import verify
from stream_infer.packaging.summary import summarise_package
from tests.unit.packaging.workshop import Workshop, assert_close, column

RNG = np.random.default_rng(3)
FRAME = pd.DataFrame(
    {"amount": RNG.normal(size=300), "age": RNG.integers(18, 80, 300), "shop": RNG.choice(list("abc"), 300)}
)
FRAME.loc[::9, "amount"] = np.nan
NUMBERS = FRAME[["amount", "age"]]
SUM = FRAME["amount"].fillna(0) + FRAME["age"] / 50
BIG = (SUM > 1).astype(int)
SIZE = np.digitize(SUM, [0.7, 1.4])
EVENT = {
    "type": "record",
    "name": "Sale",
    "fields": [
        {"name": "amount", "type": ["null", "double"]},
        {"name": "age", "type": "int"},
        {"name": "shop", "type": "string"},
    ],
}


def events(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return frame.astype(object).where(frame.notna(), None).to_dict("records")


def xgb(kind: str, target: Any, folder: Path, suffix: str) -> tuple[Path, Any]:
    model = getattr(xgboost, kind)(n_estimators=6).fit(NUMBERS, target)
    model.save_model(folder / f"model.{suffix}")
    return folder / f"model.{suffix}", model


def lgb(kind: str, target: Any, folder: Path, _suffix: str) -> tuple[Path, Any]:
    model = getattr(lightgbm, kind)(n_estimators=6, verbose=-1).fit(NUMBERS, target)
    model.booster_.save_model(folder / "model.bin")
    return folder / "model.bin", model


def cat(kind: str, target: Any, folder: Path, _suffix: str) -> tuple[Path, Any]:
    model = getattr(catboost, kind)(iterations=6, verbose=0, allow_writing_files=False).fit(NUMBERS, target)
    model.save_model(folder / "model.any")
    return folder / "model.any", model


CASES = {
    "XGBoost UBJ, two classes": (xgb, "XGBClassifier", BIG, "ubj"),
    "XGBoost JSON, two classes": (xgb, "XGBClassifier", BIG, "json"),
    "XGBoost, three classes": (xgb, "XGBClassifier", SIZE, "ubj"),
    "XGBoost, a number": (xgb, "XGBRegressor", SUM, "json"),
    "LightGBM, two classes": (lgb, "LGBMClassifier", BIG, ""),
    "LightGBM, three classes": (lgb, "LGBMClassifier", SIZE, ""),
    "LightGBM, a number": (lgb, "LGBMRegressor", SUM, ""),
    "CatBoost, two classes of text": (cat, "CatBoostClassifier", BIG.map({0: "no", 1: "yes"}), ""),
    "CatBoost, three classes": (cat, "CatBoostClassifier", SIZE, ""),
    "CatBoost, a number": (cat, "CatBoostRegressor", SUM, ""),
}


@pytest.mark.parametrize("name", CASES)
def test_a_model_file_of_a_booster_answers_as_its_maker(workshop: Workshop, name: str) -> None:
    make, kind, target, suffix = CASES[name]
    path, model = make(kind, target, workshop.folder, suffix)

    workshop.create(path, NUMBERS.head(30), schema=EVENT)

    answers = workshop.answers(events(FRAME))
    if kind.endswith("Regressor"):
        assert_close(column(answers, "value"), model.predict(NUMBERS))
    else:
        assert column(answers, "label") == [str(one) for one in np.ravel(model.predict(NUMBERS))]
        probabilities = model.predict_proba(NUMBERS)
        expected = probabilities[:, 1] if probabilities.shape[1] == 2 else probabilities.max(axis=1)
        assert_close(column(answers, "score"), expected)
    manifest = verify(workshop.package).manifest
    assert not manifest.runs_code
    assert any(name.startswith(manifest.runtime) for name in manifest.libraries)
    assert manifest.runtime == name.replace(",", " ").partition(" ")[0].lower()


@pytest.mark.parametrize("kind", ["XGBoost", "CatBoost"])
def test_quantiles_of_a_booster_file_are_named_values(workshop: Workshop, kind: str) -> None:
    if kind == "XGBoost":
        model = xgboost.XGBRegressor(
            n_estimators=6, objective="reg:quantileerror", quantile_alpha=np.array([0.1, 0.5, 0.9])
        )
    else:
        model = catboost.CatBoostRegressor(
            iterations=6,
            verbose=0,
            allow_writing_files=False,
            loss_function="MultiQuantile:alpha=0.1,0.5,0.9",
        )
    path = workshop.folder / "model.json"
    model.fit(NUMBERS, SUM).save_model(path)

    workshop.create(path, NUMBERS.head(30), schema=EVENT, values=("q10", "q50", "q90"), primary="q50")

    answers, own = workshop.answers(events(FRAME)), model.predict(NUMBERS)
    for at, name in enumerate(("q10", "q50", "q90")):
        assert_close([one[name] for one in column(answers, "values")], own[:, at])
    assert_close(column(answers, "value"), own[:, 1])


def test_a_booster_file_has_the_categories_of_its_training(workshop: Workshop) -> None:
    frame = FRAME.astype({"shop": "category"})
    model = lightgbm.LGBMClassifier(n_estimators=6, verbose=-1).fit(frame, FRAME["shop"] == "b")
    path = workshop.folder / "model.txt"
    model.booster_.save_model(path)
    frame.head(60).to_parquet(workshop.folder / "golden.parquet")

    workshop.create(path, workshop.folder / "golden.parquet", schema=EVENT)

    answers = workshop.answers(events(FRAME))
    assert_close(column(answers, "score"), model.predict_proba(frame)[:, 1])


def test_a_booster_of_train_takes_all_its_trees_and_an_estimator_its_best(workshop: Workshop) -> None:
    data = xgboost.DMatrix(NUMBERS, BIG)
    settings = {"objective": "binary:logistic", "max_depth": 6}
    trained = xgboost.train(
        settings, data, 40, evals=[(xgboost.DMatrix(NUMBERS, 1 - BIG), "other")],
        early_stopping_rounds=5, verbose_eval=False,
    )  # fmt: skip
    assert trained.best_iteration < trained.num_boosted_rounds() - 1
    trained.save_model(workshop.folder / "model.ubj")

    workshop.create(workshop.folder / "model.ubj", NUMBERS.head(30), schema=EVENT)

    assert_close(column(workshop.answers(events(FRAME)), "score"), trained.predict(data))


def test_a_model_without_a_pickle_is_marked_in_the_summary(workshop: Workshop) -> None:
    path, model = xgb("XGBClassifier", BIG, workshop.folder, "ubj")

    workshop.create(path, NUMBERS.head(30), schema=EVENT)
    facts = dict(summarise_package(workshop.package).facts())
    workshop.create(model, NUMBERS.head(30), schema=EVENT, output=workshop.folder / "pickled")
    pickled = dict(summarise_package(workshop.folder / "pickled").facts())

    assert facts["model"] == "XGBoost UBJ (data: no pickle, no code)"
    assert pickled["model"] == "pickle (its load runs code)"


@pytest.mark.parametrize("library", [xgboost, lightgbm], ids=["XGBoost", "LightGBM"])
def test_a_booster_in_a_pickle_is_refused_with_a_way_on(workshop: Workshop, library: Any) -> None:
    if library is xgboost:
        path, model = xgb("XGBRegressor", SUM, workshop.folder, "ubj")
        booster = model.get_booster()
    else:
        path, model = lgb("LGBMRegressor", SUM, workshop.folder, "")
        booster = model.booster_

    with pytest.raises(Misconfigured) as raised:
        workshop.create(booster, NUMBERS.head(30), schema=EVENT)

    [problem] = raised.value.problems
    assert "it holds a Booster of" in problem.message
    assert "save_model" in problem.fix
    workshop.create(path, NUMBERS.head(30), schema=EVENT)
    assert_close(column(workshop.answers(events(FRAME)), "value"), model.predict(NUMBERS))


def test_a_broken_file_of_a_booster_is_named(workshop: Workshop) -> None:
    path, _ = lgb("LGBMRegressor", SUM, workshop.folder, "")
    text = path.read_text()
    path.write_text(text[: len(text) // 2])

    with pytest.raises(Misconfigured) as raised:
        workshop.create(path, NUMBERS.head(30), schema=EVENT)

    [problem] = raised.value.problems
    assert (problem.key, problem.value) == ("MODEL", str(path))
    assert problem.message == "LightGBM text: it breaks off before the end of its trees"


def test_a_worker_without_the_library_names_its_installation(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, _ = lgb("LGBMRegressor", SUM, workshop.folder, "")
    workshop.create(path, NUMBERS.head(30), schema=EVENT)
    verified = verify(workshop.package)
    monkeypatch.setitem(__import__("sys").modules, "lightgbm", None)

    with pytest.raises(Refused) as raised:
        load_model(verified)

    assert raised.value.code is RefusalCode.RUNTIME
    assert "pip install lightgbm" in raised.value.reason
