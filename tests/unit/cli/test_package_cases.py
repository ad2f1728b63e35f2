"""What people give to `package create` on the command line: it answers as its maker does, or says why not."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostClassifier
from lightgbm import LGBMClassifier
from sklearn.compose import ColumnTransformer, make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder
from sklearn.tree import DecisionTreeRegressor
from xgboost import XGBClassifier

from stream_infer.cli.main import main
from stream_infer.packaging.requirements import parse_requirements
from stream_infer.packaging.scorer import open_package
from tests.support.rehearsals import unrehearsed

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(11)
MILLIS = {"type": "long", "logicalType": "timestamp-millis"}


class Maker:
    """A folder of somebody who has a model, an event schema and a sample, and types `package create`."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.folder, self._capsys, self._patch = folder, capsys, patch
        patch.chdir(folder)
        patch.setenv("COLUMNS", "1000")
        patch.setattr("stream_infer.cli.packages.forkserver", lambda: contextlib.nullcontext(unrehearsed))

    def model(self, model: Any) -> None:
        joblib.dump(model, "model.joblib")

    def schema(self, **types: Any) -> None:
        fields = [{"name": name, "type": kind} for name, kind in types.items()]
        Path("event.avsc").write_text(json.dumps({"type": "record", "name": "Event", "fields": fields}))

    def sample(self, frame: pd.DataFrame, form: str) -> str:
        name = f"golden.{form}"
        frame.to_csv(name, index=False) if form == "csv" else frame.to_parquet(name)
        return name

    def create(self, golden: str, *more: str) -> tuple[int, str]:
        """Return the exit code of the command and all that it printed."""
        given = ["--name", "m", "--version", "1", "--schema", "event.avsc", "--golden", golden, "-o", "pkg"]
        self._patch.setattr(sys, "argv", ["stream-infer", "package", "create", "model.joblib", *given, *more])
        code = 0
        try:
            main()
        except SystemExit as left:
            code = int(left.code or 0)
        said = self._capsys.readouterr()
        return code, said.out + said.err

    def scores(self, events: Sequence[Mapping[str, Any]], output: str = "score") -> list[Any]:
        """Return one output of the package for each event."""
        return [answer.get(output) for answer in open_package("pkg").predict(events)]


@pytest.fixture
def maker(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Maker:
    return Maker(tmp_path, capsys, monkeypatch)


BOOSTERS: Mapping[str, Callable[[], Any]] = {
    "histograms": lambda: HistGradientBoostingClassifier(max_iter=5, categorical_features="from_dtype"),
    "lightgbm": lambda: LGBMClassifier(n_estimators=20, verbose=-1, min_child_samples=5, n_jobs=1),
    "xgboost": lambda: XGBClassifier(n_estimators=20, enable_categorical=True, n_jobs=1),
}


def sales(shops: Sequence[Any]) -> tuple[pd.DataFrame, pd.Series]:
    """Return sales whose shop decides, and the truth of each."""
    cells = RNG.choice(np.array(shops), 400)
    frame = pd.DataFrame({"shop": pd.Categorical(cells), "amount": RNG.normal(size=400)})
    return frame, ((cells == shops[2]) | (frame["amount"] > 1)).astype(int)


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize("name", BOOSTERS)
def test_an_integer_category_scores_as_in_training(maker: Maker, name: str, form: str) -> None:
    frame, truth = sales([10, 20, 30, 40])
    model = BOOSTERS[name]().fit(frame, truth)
    maker.model(model)
    maker.schema(shop="int", amount="double")
    golden = maker.sample(frame.head(8), form)

    code, said = maker.create(golden)
    if code != 0:  # XGBoost before 3.1 keeps codes only
        assert "give the training data as --reference" in said
        frame.to_parquet("reference.parquet")
        code, said = maker.create(golden, "--reference", "reference.parquet")

    assert code == 0, said
    probe = pd.DataFrame({"shop": [10, 20, 30, 40], "amount": 0.0}).astype({"shop": frame["shop"].dtype})
    np.testing.assert_allclose(
        maker.scores([{"shop": shop, "amount": 0.0} for shop in (10, 20, 30, 40)]),
        model.predict_proba(probe)[:, 1],
        rtol=1e-6,
    )


@pytest.mark.parametrize("name", ["histograms", "lightgbm"])
def test_a_sample_with_some_of_the_categories_loses_none(maker: Maker, name: str) -> None:
    frame, truth = sales(list("abcd"))
    model = BOOSTERS[name]().fit(frame, truth)
    maker.model(model)
    maker.schema(shop="string", amount="double")
    few = frame[frame["shop"].isin(["a", "b"])].head(6)
    golden = maker.sample(few.assign(shop=few["shop"].astype(str).astype("category")), "parquet")

    code, said = maker.create(golden)

    assert code == 0, said
    probe = pd.DataFrame({"shop": ["c"], "amount": [0.0]}).astype({"shop": frame["shop"].dtype})
    found = maker.scores([{"shop": "c", "amount": 0.0}])
    np.testing.assert_allclose(found, model.predict_proba(probe)[:, 1])


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_none_that_is_a_category_scores_as_in_training(maker: Maker, form: str) -> None:
    plans = pd.Series(RNG.choice(["gold", "basic", None], 200), dtype=object)
    frame = pd.DataFrame({"plan": plans, "amount": RNG.normal(size=200)})
    encoded = make_column_transformer(
        (OneHotEncoder(handle_unknown="ignore"), ["plan"]), remainder="passthrough"
    )
    model = make_pipeline(encoded, LogisticRegression(C=100)).fit(frame, plans.isna())
    maker.model(model)
    maker.schema(plan=["null", "string"], amount="double")

    code, said = maker.create(maker.sample(frame.head(12), form))

    assert code == 0, said
    probe = pd.DataFrame({"plan": pd.Series([None], dtype=object), "amount": [0.1]})
    found = maker.scores([{"plan": None, "amount": 0.1}])
    np.testing.assert_allclose(found, model.predict_proba(probe)[:, 1])


def test_dates_as_integers_keep_the_unit_of_training_or_ask_for_it(maker: Maker) -> None:
    (maker.folder / "modules").mkdir()
    (maker.folder / "modules" / "daypart.py").write_text(
        "def epoch(frame):\n    return frame[['at']].astype('int64').to_numpy() // 10**9\n"
    )
    at = pd.date_range("2026-01-01", "2026-01-20", periods=200).floor("s")
    frame = pd.DataFrame({"at": at.astype("datetime64[ns]")})
    with pytest.MonkeyPatch.context() as training:
        training.syspath_prepend(maker.folder / "modules")
        import daypart  # type: ignore[import-not-found]  # noqa: PLC0415 - exists from here on

        model = make_pipeline(FunctionTransformer(daypart.epoch), DecisionTreeRegressor(random_state=0))
        model.fit(frame, np.arange(200.0))
        own = model.predict(frame.iloc[[150]])
        maker.model(model)
        del sys.modules["daypart"]
    maker.schema(at=MILLIS)
    code, said = maker.create(maker.sample(frame.head(10), "csv"), "--code", "modules")
    assert code != 0
    assert "--dtype 'at=datetime64[ns]'" in said

    code, said = maker.create(maker.sample(frame.head(10), "parquet"), "--code", "modules")

    assert code == 0, said
    found = maker.scores([{"at": int(at[150].timestamp() * 1_000)}], "value")
    np.testing.assert_allclose(found, own)


@pytest.mark.parametrize("rows", [1, 5])
def test_a_text_pipeline_is_packaged_from_any_number_of_rows(maker: Maker, rows: int) -> None:
    words = ["refund please", "great thanks", "bad refund", "thanks a lot", "refund now", "great shop"] * 10
    frame = pd.DataFrame({"text": words})
    model = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(frame["text"], [1, 0, 1, 0, 1, 0] * 10)
    maker.model(model)
    maker.schema(text="string")

    code, said = maker.create(maker.sample(frame.head(rows), "csv"))

    assert code == 0, said
    texts = ["refund", "thanks", "great"]
    found = maker.scores([{"text": text} for text in texts])
    np.testing.assert_allclose(found, model.predict_proba(texts)[:, 1])


def test_a_sample_in_another_order_than_the_array_of_training_is_refused_with_both_orders(
    maker: Maker,
) -> None:
    frame = pd.DataFrame({"amount": RNG.uniform(1, 100, 50), "visits": RNG.integers(0, 9, 50) * 1.0})
    model = LinearRegression().fit(frame.to_numpy(), frame["amount"] * 10 + frame["visits"])
    maker.model(model)
    maker.schema(amount="double", visits="double")
    golden = maker.sample(frame[["visits", "amount"]].head(5), "csv")

    code, said = maker.create(golden)
    assert code != 0
    assert "visits, amount" in said
    assert "--features" in said

    code, said = maker.create(golden, "--features", "amount,visits")
    assert code == 0, said
    np.testing.assert_allclose(maker.scores([{"amount": 50.0, "visits": 2.0}], "value"), [502.0])


def test_an_unseen_country_is_a_dead_letter_and_the_others_are_answered(maker: Maker) -> None:
    frame = pd.DataFrame({"country": RNG.choice(["DE", "FR", "IT"], 200), "amount": RNG.normal(size=200)})
    encoded = make_column_transformer((OneHotEncoder(), ["country"]), remainder="passthrough")
    maker.model(make_pipeline(encoded, LogisticRegression()).fit(frame, frame["country"] == "DE"))
    maker.schema(country="string", amount="double")
    assert maker.create(maker.sample(frame.head(10), "csv"))[0] == 0

    events = [{"country": "ES" if row % 5 == 0 else "DE", "amount": 0.5} for row in range(100)]
    errors = [error for error in maker.scores(events, "error") if error is not None]

    assert len(errors) == 20
    assert all("'country'" in error["message"] and error["stage"] == "validate" for error in errors)


ZIPPED = pd.DataFrame({"zip": RNG.choice(["01234", "90210", "00501"], 90)})


def test_leading_zeros_of_a_csv_stay(maker: Maker) -> None:
    encoded = make_column_transformer((OneHotEncoder(handle_unknown="ignore"), ["zip"]))
    model = make_pipeline(encoded, LogisticRegression()).fit(ZIPPED, ZIPPED["zip"] == "01234")
    maker.model(model)
    maker.schema(zip="string")

    assert maker.create(maker.sample(ZIPPED.head(5), "csv"))[0] == 0

    zips = ["01234", "90210", "00501"]
    expected = model.predict_proba(pd.DataFrame({"zip": zips}))[:, 1]
    np.testing.assert_allclose(maker.scores([{"zip": one} for one in zips]), expected)


LINE = pd.DataFrame({"amount": np.arange(20.0) * 500})
WRITTEN: Mapping[str, tuple[bytes, str, Sequence[str]]] = {
    "thousands": (b'amount\n"1,234.5"\n"2,000.25"\n', "--csv-thousands", ["--csv-thousands", ","]),
    "currency": (b"amount\n$1234.5\n", "'amount'", ()),
    "semicolons": (
        b"amount;visits\n1234,5;3\n",
        "--csv-separator",
        ["--csv-separator", ";", "--csv-decimal", ","],
    ),
    "trailing comma": (b"amount,visits\n1234.5,3,\n2000,1,\n", "row 1", ()),
    "latin-1": (
        "amount,ort\n1234.5,Köln\n".encode("latin-1"),
        "--csv-encoding",
        ["--csv-encoding", "latin-1"],
    ),
    "byte order mark": (b"\xef\xbb\xbfamount\n1234.5\n", "", ()),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_a_csv_of_another_layout_is_read_right_or_refused_by_name(maker: Maker, name: str) -> None:
    text, named, options = WRITTEN[name]
    maker.model(LinearRegression().fit(LINE, LINE["amount"] * 2))
    maker.schema(amount="double", ort="string")
    Path("golden.csv").write_bytes(text)

    code, said = maker.create("golden.csv")
    if named:
        assert code != 0
        assert named in said
    if options:
        code, said = maker.create("golden.csv", *options)
    if options or not named:
        assert code == 0, said
        np.testing.assert_allclose(maker.scores([{"amount": 1234.5, "ort": "x"}], "value"), [2469.0])


def test_the_library_of_a_model_is_recorded(maker: Maker) -> None:
    frame = pd.DataFrame({"a": RNG.normal(size=300), "b": RNG.normal(size=300)})
    maker.model(LGBMClassifier(n_estimators=5, verbose=-1).fit(frame, frame["a"] > 0))
    maker.schema(a="double", b="double")

    assert maker.create(maker.sample(frame.head(5), "csv"))[0] == 0

    required = parse_requirements(Path("pkg/requirements.txt").read_text())
    assert "lightgbm" in required.versions
    assert "lightgbm" in json.loads(Path("pkg/manifest.json").read_text())["libraries"]


def test_a_bare_catboost_model_is_packaged(maker: Maker) -> None:
    frame = pd.DataFrame({"shop": RNG.choice(list("abc"), 300), "amount": RNG.normal(size=300)})
    model = CatBoostClassifier(
        iterations=20, verbose=0, cat_features=["shop"], allow_writing_files=False, thread_count=1
    )
    model.fit(frame, frame["shop"] == "b")
    maker.model(model)
    maker.schema(shop="string", amount="double")

    code, said = maker.create(maker.sample(frame.head(10), "csv"))

    assert code == 0, said
    found = maker.scores(frame.head(20).to_dict("records"))
    np.testing.assert_allclose(found, model.predict_proba(frame.head(20))[:, 1])


def test_columns_that_the_pipeline_drops_are_not_asked_of_events(maker: Maker) -> None:
    frame = pd.DataFrame({"a": RNG.normal(size=80), "b": RNG.normal(size=80)})
    whole = frame.assign(customer="c1", target=(frame["a"] > 0).astype(int))
    chosen = ColumnTransformer([("n", "passthrough", ["a", "b"])])
    model = make_pipeline(chosen, LogisticRegression()).fit(whole, whole["target"])
    maker.model(model)
    maker.schema(a="double", b="double")

    code, said = maker.create(maker.sample(frame.head(5), "csv"))

    assert code == 0, said
    assert "customer, target" in said
    found = maker.scores(frame.head(5).to_dict("records"))
    np.testing.assert_allclose(found, model.predict_proba(whole.head(5))[:, 1])


DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 2}


@pytest.mark.parametrize("kind", [DECIMAL, ["null", "long", "double"], ["double"]])
def test_money_is_taken_from_decimals_and_unions(maker: Maker, kind: Any) -> None:
    frame = pd.DataFrame({"amount": RNG.uniform(1, 100, 60).round(2), "visits": RNG.integers(0, 9, 60)})
    maker.model(LinearRegression().fit(frame, frame["amount"] + frame["visits"]))
    maker.schema(amount=kind, visits="int")

    code, said = maker.create(maker.sample(frame.head(5), "csv"))

    assert code == 0, said
    amount = Decimal("12.34") if kind is DECIMAL else 12.34
    np.testing.assert_allclose(maker.scores([{"amount": amount, "visits": 2}], "value"), [14.34])
