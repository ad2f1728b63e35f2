"""The libraries of a model: found by what its pickle names, and checked where it is loaded."""

from __future__ import annotations

import sys
import threading
from importlib import metadata
from importlib.metadata import version
from pathlib import Path
from typing import Any

import category_encoders
import joblib
import numpy as np
import pandas as pd
import pytest
from catboost import CatBoostClassifier
from lightgbm import LGBMClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from xgboost import XGBClassifier

from stream_infer.flow.errors import Misconfigured, Refused
from stream_infer.models.package import verify
from stream_infer.packaging.libraries import ALWAYS, libraries_of
from stream_infer.packaging.user_model import pickled
from stream_infer.packaging.verify import verify_package
from tests.unit.packaging.workshop import Workshop, assert_close, column

X = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 2)), columns=["a", "b"])
SCHEMA = {"type": "record", "name": "E", "fields": [{"name": n, "type": "double"} for n in X.columns]}


def lightgbm() -> LGBMClassifier:
    return LGBMClassifier(n_estimators=2, verbose=-1).fit(X, X["a"] > 0)


def added(model: Any, code: dict[str, bytes] | None = None) -> set[str]:
    return set(libraries_of(model, code or {}).versions) - set(ALWAYS)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        (lightgbm(), "lightgbm"),
        (XGBClassifier(n_estimators=2).fit(X, X["a"] > 0), "xgboost-cpu"),
        (
            CatBoostClassifier(iterations=2, verbose=0, allow_writing_files=False).fit(X, X["a"] > 0),
            "catboost",
        ),
        (make_pipeline(category_encoders.OrdinalEncoder(), LogisticRegression()), "category-encoders"),
        (make_pipeline(FunctionTransformer(pd.DataFrame.abs), LogisticRegression()), "pandas"),
    ],
    ids=["lightgbm", "xgboost", "catboost", "encoder", "function"],
)
def test_the_distribution_of_every_object_and_function_is_recorded(model: Any, name: str) -> None:
    found = libraries_of(model, {})

    assert name in found.versions
    assert found.versions[name] == version(name)
    assert not found.loose


def test_scikit_learn_alone_needs_what_every_worker_has() -> None:
    assert not added(LogisticRegression())


def test_imports_of_own_modules_are_followed_from_file_to_file(tmp_path: Path, workshop: Workshop) -> None:
    code = {
        "code/own/__init__.py": b"",
        "code/own/parts.py": b"from . import deeper\n",
        "code/own/deeper.py": b"def later():\n    from lightgbm import LGBMClassifier\n",
        "code/own/train.py": b"import category_encoders\n",
    }
    model = LogisticRegression()
    model.part = type("Part", (), {"__module__": "own.parts"})

    assert added(model, code) == {"lightgbm"}


def test_a_module_that_is_neither_installed_nor_shipped_is_named(workshop: Workshop) -> None:
    model = make_pipeline(FunctionTransformer(added), LogisticRegression())

    [note] = libraries_of(model, {}).notes()

    assert __name__ in note
    assert "--code" in note


def test_a_model_that_cannot_be_pickled_again_is_a_problem() -> None:
    model = LogisticRegression()
    model.lock = threading.Lock()

    with pytest.raises(Misconfigured, match="cannot be pickled again"):
        libraries_of(model, {})


class Leaving(LogisticRegression):
    """A model whose library ends the process where it is written."""

    def __reduce__(self) -> Any:
        raise SystemExit("no licence")


def test_a_model_whose_library_would_end_the_process_is_a_problem(workshop: Workshop) -> None:
    with pytest.raises(Misconfigured, match="SystemExit: no licence"):
        libraries_of(Leaving(), {})
    with pytest.raises(Misconfigured, match="SystemExit: no licence"):
        pickled(Leaving())


OWN_NETWORK = """
import pickle
from sklearn.linear_model import LinearRegression

class Layer:
    pass

class Network(LinearRegression):
    def __getstate__(self):
        return {**super().__getstate__(), "layers": pickle.dumps(Layer)}
"""


def test_an_own_class_that_is_pickled_within_the_model_is_found_in_its_module(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So skorch writes the networks of PyTorch."""
    modules = workshop.folder / "modules"
    modules.mkdir()
    (modules / "own_network.py").write_text(OWN_NETWORK)
    with monkeypatch.context() as training:
        training.syspath_prepend(modules)
        import own_network  # type: ignore[import-not-found]  # noqa: PLC0415 - exists from here on

        model = own_network.Network().fit(X, X["a"])
        joblib.dump(model, workshop.folder / "model.joblib")
        del sys.modules["own_network"]  # not with monkeypatch, which would restore it

    workshop.create(workshop.folder / "model.joblib", X.head(20), schema=SCHEMA, code=modules)

    assert_close(column(workshop.answers(X.to_dict("records")), "value"), X["a"])


def test_a_package_is_refused_where_its_library_is_missing(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.create(lightgbm(), X.head(5), schema=SCHEMA)
    assert f"lightgbm=={version('lightgbm')}\n" in verify(workshop.package).files["requirements.txt"].decode()

    def absent(name: str) -> str:
        if name == "lightgbm":
            raise metadata.PackageNotFoundError
        return version(name)

    monkeypatch.setattr(metadata, "version", absent)
    with pytest.raises(Refused, match=rf"pip install lightgbm=={version('lightgbm')}") as refused:
        verify_package(workshop.package)
    assert refused.value.code == "library_version"
