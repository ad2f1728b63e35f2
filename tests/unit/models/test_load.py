"""A loaded model predicts as the user's estimator on the user's frame."""

from __future__ import annotations

import importlib
import io
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from catboost import CatBoostClassifier
from pandas.testing import assert_frame_equal
from sklearn.compose import ColumnTransformer
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import IsolationForest, RandomForestClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC

from stream_infer.flow.errors import Refused
from stream_infer.models.code import Code, abandon_turn
from stream_infer.models.frame_builder import build_frame
from stream_infer.models.load import Model, force_one_job, load_model
from stream_infer.models.manifest import OutputContract
from stream_infer.models.package import verify, write_package
from stream_infer.models.scores import check_scores
from tests.unit.models.builders import columns, files, framed, manifest, packaged, pickled

CSV = """amount,count,known,seen,currency,at
1.5,1,true,true,EUR,2026-01-01 10:00:00
,2,false,,USD,2026-01-02 11:30:00
-3.5,3,true,false,,2026-01-03 00:00:00
9.25,4,true,,EUR,
2.0,5,false,true,,2026-01-05 00:00:00
0.5,6,true,false,USD,2026-01-06 00:00:00
"""
TARGET = ["no", "yes", "yes", "no", "yes", "no"]
KINDS = {
    "amount": "double",
    "count": "int",
    "known": "boolean",
    "seen": "boolean",
    "currency": "enum",
    "at": "long",
}
AT_MS = {"at": "timestamp-millis"}
EVENTS: dict[str, list[Any]] = {
    "amount": [1.5, None, -3.5, 9.25, 2.0, 0.5],
    "count": [1, 2, 3, 4, 5, 6],
    "known": [True, False, True, True, False, True],
    "seen": [True, None, False, None, True, False],
    "currency": ["EUR", "USD", None, "EUR", None, "USD"],
    "at": [1767261600000, 1767353400000, 1767398400000, None, 1767571200000, 1767657600000],
}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder of the user's modules, importable as during training."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


def trained_away(home: Path, source: str, function: str, module: str = "own_steps") -> bytes:
    """Return the pickle of a model with the user's function, and remove the function's module."""
    (home / f"{module}.py").write_text(source)
    importlib.invalidate_caches()
    imported = importlib.import_module(module)
    estimator = make_pipeline(FunctionTransformer(getattr(imported, function)), LinearRegression())
    model = pickled(estimator.fit([[1.0], [2.0]], [1.0, 2.0]))
    del sys.modules[module]
    (home / f"{module}.py").unlink()
    importlib.invalidate_caches()
    return model


def loaded(path: Path, model: bytes, code: Mapping[str, str]) -> Model:
    contents = files(model) | {f"code/{name}.py": text.encode() for name, text in code.items()}
    write_package(path, manifest(), contents)
    return load_model(verify(path))


def test_an_estimator_on_numbers_predicts_as_before_packaging(tmp_path: Path) -> None:
    x, y = make_classification(200, 5, random_state=1)
    own = LogisticRegression().fit(x, y)
    kinds = {f"f{i}": "double" for i in range(5)}
    model = packaged(tmp_path / "p.zip", own, x, kinds)

    frame = build_frame(columns(kinds, {n: x[:, i].tolist() for i, n in enumerate(kinds)}), model.manifest)
    scores = model.predict(frame)

    np.testing.assert_array_equal(frame, x)
    np.testing.assert_array_equal(scores.score, own.predict_proba(x)[:, 1])
    assert scores.label is not None
    assert scores.label.tolist() == [str(one) for one in own.predict(x)]
    assert check_scores(scores, model.manifest.output, 200) == []
    assert model.manifest.output.label_from == "proba"


def test_a_pipeline_predicts_as_on_the_users_csv_frame(tmp_path: Path) -> None:
    own = pd.read_csv(io.StringIO(CSV), parse_dates=["at"])
    numbers = make_pipeline(SimpleImputer(), StandardScaler())
    texts = make_pipeline(
        SimpleImputer(strategy="constant", fill_value="?"), OneHotEncoder(handle_unknown="ignore")
    )
    estimator = make_pipeline(
        ColumnTransformer([
            ("numbers", numbers, ["amount", "count"]),
            ("texts", texts, ["currency"]),
            ("raw", OneHotEncoder(handle_unknown="ignore"), ["currency", "known", "seen"]),
            ("time", FunctionTransformer(np.isnat, validate=False), ["at"]),
        ]),
        LogisticRegression(C=7.0),
    ).fit(own, TARGET)  # fmt: skip
    model = packaged(tmp_path / "p", estimator, own, KINDS, logical=AT_MS)

    frame = build_frame(columns(KINDS, EVENTS), model.manifest)
    scores = model.predict(frame)

    assert_frame_equal(frame, own)
    np.testing.assert_array_equal(scores.score, estimator.predict_proba(own)[:, 1])
    assert scores.label is not None
    assert scores.label.tolist() == estimator.predict(own).tolist()


def test_an_unseen_category_gets_the_prediction_of_the_users_frame(tmp_path: Path) -> None:
    trained = pd.DataFrame({"c": ["a", "b", None, "a"]})
    estimator = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    estimator.fit(trained, [0, 1, 1, 0])
    model = packaged(tmp_path / "p", estimator, trained, {"c": "string"})
    unseen = pd.DataFrame({"c": ["zzz", None, "b"]})

    scores = model.predict(build_frame(columns({"c": "string"}, {"c": ["zzz", None, "b"]}), model.manifest))

    np.testing.assert_array_equal(scores.score, estimator.predict_proba(unseen)[:, 1])


def test_the_null_of_a_text_column_changes_predictions_so_the_manifest_keeps_it() -> None:
    own = pd.DataFrame({"c": pd.Series(["a", None, "b", None], dtype=object)})
    encoder = OneHotEncoder(handle_unknown="ignore").fit(own)
    with_nan = own.where(own.notna(), np.nan).astype(object)

    rebuilt = build_frame(
        columns({"c": "string"}, {"c": ["a", None, "b", None]}),
        manifest(**framed(own, {"c": "string"})),
    )

    assert (encoder.transform(with_nan) != encoder.transform(own)).nnz > 0
    assert (encoder.transform(rebuilt) != encoder.transform(own)).nnz == 0


def test_a_regressor_predicts_values(tmp_path: Path) -> None:
    x, y = make_regression(50, 3, random_state=1)
    own = LinearRegression().fit(x, y)
    model = packaged(tmp_path / "p", own, x, {"a": "double", "b": "double", "c": "double"})

    scores = model.predict(x)

    np.testing.assert_array_equal(scores.value, own.predict(x))
    assert scores.label is None
    assert check_scores(scores, model.manifest.output, 50) == []


def test_a_multiclass_score_is_the_probability_of_the_label(tmp_path: Path) -> None:
    x, y = make_classification(200, 5, n_informative=4, n_redundant=0, n_classes=3, random_state=1)
    own = RandomForestClassifier(5, random_state=1).fit(x, y * 10)
    model = packaged(tmp_path / "p", own, x, {f"f{i}": "double" for i in range(5)})

    scores = model.predict(x)

    assert model.manifest.output.classes == ("0", "10", "20")
    np.testing.assert_array_equal(scores.score, own.predict_proba(x).max(axis=1))
    assert scores.label is not None
    assert scores.label.tolist() == [str(one) for one in own.predict(x)]


def test_an_outlier_model_gives_its_predict_and_decision_function(tmp_path: Path) -> None:
    x, _ = make_classification(100, 4, random_state=1)
    own = IsolationForest(n_estimators=10, random_state=1).fit(x)
    model = packaged(tmp_path / "p", own, x, {f"f{i}": "double" for i in range(4)})

    scores = model.predict(x)

    np.testing.assert_array_equal(scores.score, own.decision_function(x))
    assert scores.label is not None
    assert scores.label.tolist() == [str(one) for one in own.predict(x)]
    assert set(scores.label) == {"-1", "1"}
    assert check_scores(scores, model.manifest.output, 100) == []


def test_the_users_function_is_loaded_from_the_package(home: Path) -> None:
    source = "def double(x):\n    return [[2 * v for v in row] for row in x]\n"
    model = trained_away(home, source, "double")

    with pytest.raises(ModuleNotFoundError):
        joblib.load(io.BytesIO(model))
    answered = loaded(home / "p", model, {"own_steps": source}).predict(np.array([[3.0]]))

    assert answered.value == pytest.approx([3.0])
    assert "own_steps" not in sys.modules


def test_two_packages_may_use_one_module_name_for_different_code(home: Path) -> None:
    source = "def step(x):\n    return x\n"
    model = trained_away(home, source, "step")

    first = loaded(home / "first", model, {"own_steps": source})
    second = loaded(home / "second", model, {"own_steps": "def step(x):\n    return 10 * x\n"})

    at_3 = np.array([[3.0]])
    assert [m.predict(at_3).value.tolist() for m in (first, second, first)] == [  # type: ignore[union-attr]
        pytest.approx([3.0]),
        pytest.approx([30.0]),
        pytest.approx([3.0]),
    ]


def test_a_package_module_does_not_replace_a_module_of_the_process(home: Path) -> None:
    source = "def step(x):\n    return x\n"
    model = trained_away(home, source, "step")
    (home / "own_steps.py").write_text("mine = True\n")
    importlib.invalidate_caches()
    mine = importlib.import_module("own_steps")

    answered = loaded(home / "p", model, {"own_steps": source}).predict(np.array([[3.0]]))

    assert answered.value == pytest.approx([3.0])
    assert sys.modules["own_steps"] is mine


def test_package_modules_import_each_other_at_load_at_call_and_relatively(home: Path) -> None:
    flat = "import own_folder.inner\ndef step(x):\n    import own_kit.late\n    return own_kit.late.of(x)\n"
    late = "from . import factor\nfrom .early import C\ndef of(x):\n    return C(factor).x * x\n"
    dataclass = "from dataclasses import dataclass\n@dataclass\nclass C:\n    x: int\n"
    model = trained_away(home, "def step(x):\n    return x\n", "step")

    def package(name: str, factor: int) -> Model:
        code = {
            "own_steps": flat + "import own_kit.early\nfrom own_kit import factor\n",
            "own_kit/__init__": "from .early import factor\n",
            "own_kit/early": f"{dataclass}factor = {factor}\n",
            "own_kit/late": late,
            "own_folder/inner": "",
        }
        return loaded(home / name, model, code)

    first, second = package("first", 2), package("second", 5)

    at_3 = np.array([[3.0]])
    assert first.predict(at_3).value == pytest.approx([6.0])
    assert second.predict(at_3).value == pytest.approx([15.0])
    assert not [name for name in sys.modules if name.startswith("own_")]


def test_a_package_is_loaded_while_another_thread_imports() -> None:
    code = Code({"code/own_steps.py": b""}, "sha256:0")
    stop = threading.Event()

    def imports() -> None:
        while not stop.is_set():
            for number in range(50):
                sys.modules[f"elsewhere_{number}"] = sys
            for number in range(50):
                del sys.modules[f"elsewhere_{number}"]

    before = sys.getswitchinterval()
    thread = threading.Thread(target=imports)
    thread.start()
    try:
        sys.setswitchinterval(1e-6)
        for _ in range(300):
            with code.importable():
                pass
    finally:
        sys.setswitchinterval(before)
        stop.set()
        thread.join()


def test_a_load_that_hangs_loses_its_turn_to_packages_with_the_same_module_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    gate: Any = ModuleType("gate_of_the_test")
    gate.wait = lambda: (begun.set(), go_on.wait(60))
    monkeypatch.setitem(sys.modules, gate.__name__, gate)
    waits = b"import gate_of_the_test\ngate_of_the_test.wait()\n"
    hanging, good = (Code({"code/own_steps.py": source}, "sha256:0") for source in (waits, b""))
    ended: list[object] = []

    def import_under(code: Code) -> Any:
        with code.importable():
            return importlib.import_module("own_steps")

    def load() -> None:
        # The module is no longer in sys.modules when its import ends.
        with suppress(KeyError, ImportError):
            import_under(hanging)
        ended.append(None)

    thread = threading.Thread(target=load)
    thread.start()
    try:
        assert begun.wait(60)
        abandon_turn(threading.get_ident())  # another thread: nothing is taken away
        assert "own_steps" in sys.modules
        abandon_turn(thread.ident or 0)
        assert "own_steps" not in sys.modules
        assert import_under(good).__file__ == "<package sha256:0>/code/own_steps.py"
        assert not ended
    finally:
        go_on.set()
        thread.join(60)
    assert ended
    assert "own_steps" not in sys.modules
    assert not [one for one in sys.meta_path if isinstance(one, Code)]


@pytest.mark.parametrize("name", ["json", "numpy", "stream_infer"])
def test_a_module_name_that_the_worker_uses_is_refused(home: Path, name: str) -> None:
    with pytest.raises(Refused) as refused:
        loaded(home / "p", pickled(LinearRegression()), {name: ""})

    assert refused.value.code == "code"


def test_a_traceback_shows_the_file_in_the_package(home: Path) -> None:
    model = trained_away(home, "def step(x):\n    return x\n", "step")
    broken = loaded(home / "p", model, {"own_steps": "def step(x):\n    raise ValueError('row')\n"})

    with pytest.raises(ValueError, match="row") as raised:
        broken.predict(np.array([[3.0]]))

    assert str(raised.traceback[-1].path).endswith("/code/own_steps.py")


@pytest.mark.slow
def test_every_part_of_a_loaded_model_has_n_jobs_1(tmp_path: Path) -> None:
    x, y = make_classification(40, 4, random_state=1)
    inner = ColumnTransformer([("scale", StandardScaler(), [0])])
    outer = ColumnTransformer([("inner", inner, [0, 1])])
    pipeline = Pipeline([("columns", outer), ("forest", RandomForestClassifier(3))])
    own = GridSearchCV(pipeline, {"forest__max_depth": [2]}, cv=2).fit(x, y)
    # Set after the fit: the fitted parts are clones of the parameters.
    for part in fitted_parts(own):
        part.n_jobs = 2

    model = packaged(tmp_path / "p", own, x, {f"f{i}": "double" for i in range(4)})

    assert [part.n_jobs for part in fitted_parts(own)] == [2, 2, 2, 2]
    assert [part.n_jobs for part in fitted_parts(model.estimator)] == [1, 1, 1, 1]


def fitted_parts(search: Any) -> list[Any]:
    outer, forest = (search.best_estimator_.named_steps[name] for name in ("columns", "forest"))
    return [search, outer, outer.named_transformers_["inner"], forest]


class Watched(CatBoostClassifier):
    """CatBoost that notes in how many threads it was asked to answer."""

    def predict(self, *given: Any, thread_count: int = -1, **more: Any) -> Any:
        THREADS.append(thread_count)
        return super().predict(*given, thread_count=thread_count, **more)

    def predict_proba(self, X: Any, thread_count: int = -1, **more: Any) -> Any:  # noqa: N803 - as scikit-learn
        THREADS.append(thread_count)
        return super().predict_proba(X, thread_count=thread_count, **more)


THREADS: list[int] = []


def test_catboost_answers_in_one_thread_wherever_it_is_in_a_model() -> None:
    x, y = make_classification(40, 4, random_state=1)
    boosted = Watched(iterations=2, verbose=0, allow_writing_files=False)
    model = Pipeline([("scale", StandardScaler()), ("boosted", boosted)]).fit(x, y)
    before = model.predict_proba(x)
    THREADS.clear()

    force_one_job(model)

    np.testing.assert_array_equal(model.predict_proba(x), before)
    assert model.predict(x).shape == (40,)
    assert THREADS == [1, 1]


def test_a_model_of_another_scikit_learn_release_is_refused(tmp_path: Path) -> None:
    made_with = manifest(libraries={"scikit-learn": "1.2.3"})
    write_package(tmp_path / "p", made_with, files(pickled(LinearRegression())))

    with pytest.raises(Refused) as refused:
        load_model(verify(tmp_path / "p"))

    assert refused.value.code == "library_version"


def test_another_patch_release_and_other_libraries_are_accepted(tmp_path: Path) -> None:
    minor = ".".join(sklearn.__version__.split(".")[:2])
    made_with = manifest(libraries={"scikit-learn": f"{minor}.99", "numpy": "1.0.0"})
    write_package(tmp_path / "p", made_with, files(pickled(LinearRegression())))

    assert isinstance(load_model(verify(tmp_path / "p")).estimator, LinearRegression)


def test_a_pickle_of_another_version_than_the_manifest_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sklearn.base.__version__", "0.1.0")
    old = pickled(LinearRegression())
    monkeypatch.undo()
    write_package(tmp_path / "p", manifest(), files(old))

    with pytest.raises(Refused) as refused:
        load_model(verify(tmp_path / "p"))

    assert refused.value.code == "library_version"


class Leaves:
    def __reduce__(self) -> tuple[object, ...]:
        return (sys.exit, (3,))


@pytest.mark.parametrize(
    ("model", "code"),
    [
        (b"", "load"),
        (b"not a pickle", "load"),
        (b"cno_such_module\nname\n.", "load"),
        (b"c__main__\nno_such_function\n.", "load"),
        (pickled(Leaves()), "load"),
        (pickled("a string"), "output"),
        (pickled(StandardScaler()), "output"),
    ],
)
def test_a_model_that_does_not_load_is_refused(tmp_path: Path, model: bytes, code: str) -> None:
    write_package(tmp_path / "p", manifest(), files(model))

    with pytest.raises(Refused) as refused:
        load_model(verify(tmp_path / "p"))

    assert refused.value.code == code


@pytest.mark.parametrize(
    ("trained", "promised"),
    [
        (LogisticRegression(), OutputContract("classifier", ("no", "yes"), score="probability")),
        (LogisticRegression(), OutputContract("classifier", ("0",), score="probability")),
        (LinearSVC(), OutputContract("classifier", ("0", "1"), score="probability")),
        (KNeighborsClassifier(), OutputContract("classifier", ("0", "1"), score="decision")),
        (LinearRegression(), OutputContract("classifier", ("0", "1"))),
    ],
)
def test_a_model_without_the_outputs_of_its_contract_is_refused(
    tmp_path: Path, trained: Any, promised: OutputContract
) -> None:
    x, y = make_classification(20, 4, random_state=1)

    with pytest.raises(Refused) as refused:
        packaged(tmp_path / "p", trained.fit(x, y), x, {f"f{i}": "double" for i in range(4)}, output=promised)

    assert refused.value.code == "output"


def test_an_unsupported_frame_is_refused_before_unpickling(tmp_path: Path) -> None:
    own = pd.DataFrame({"x": ["a"]}, dtype="string")
    described = manifest(**{**framed(own, {"x": "string"}), "features": manifest().features})
    write_package(tmp_path / "p", described, files(b"not a pickle"))

    with pytest.raises(Refused) as refused:
        load_model(verify(tmp_path / "p"))

    assert refused.value.code == "container"
