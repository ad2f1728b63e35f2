"""Refusals of models: files, modules, methods and answers."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import pytest
import skops.io
from lightgbm import LGBMRegressor
from onnx import TensorProto, helper
from skl2onnx import to_onnx
from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.multioutput import MultiOutputClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier

from stream_infer.packaging.trial_reading import require_readable
from tests.unit.packaging.refusals.bench import (
    BIG,
    DONE,
    NUMBERS,
    SUM,
    Bench,
    Steps,
    case,
    cases,
    event,
    linear,
)

Patch = pytest.MonkeyPatch
SCHEMA = event(a="double")
SINGLE = NUMBERS.to_numpy(dtype=np.float32)


class Untagged:
    """A model without scikit-learn's tags."""

    n_features_in_ = 2
    feature_names_in_ = np.array(["a", "b"], dtype=object)

    def predict(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's name
        return np.asarray(X["a"] * 2 + X["b"])


class Tagged(RegressorMixin, Untagged, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The same as the fix tells."""


class Wide(Tagged):
    """A model of two numbers for each row."""

    def predict(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's name
        return np.column_stack([X["a"], X["b"]])


class Skipping(Tagged):
    """A model that has no answer to the last row."""

    def predict(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's name
        return super().predict(X)[:-1]


class Clusters(RegressorMixin, KMeans):  # type: ignore[misc]  # as above
    """Clusters whose numbers are the answers."""


@contextmanager
def module(bench: Bench, name: str, text: str) -> Iterator[Path]:
    """Write a module and make it importable while the block runs, as in training."""
    folder = bench.folder / "src"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.py").write_text(text)
    sys.path.insert(0, str(folder))
    try:
        yield folder
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(name, None)


def onnx_file(bench: Bench, graph: Any) -> Path:
    path: Path = bench.bytes("model.onnx", graph.SerializeToString())
    return path


def graph(inputs: list[Any], outputs: list[Any], nodes: list[Any]) -> Any:
    """Return an ONNX model."""
    made = helper.make_model(
        helper.make_graph(nodes, "g", inputs, outputs), opset_imports=[helper.make_opsetid("", 17)]
    )
    made.ir_version = 8
    return made


def value(name: str, kind: int, shape: list[Any]) -> Any:
    """Return the description of an input or output."""
    return helper.make_tensor_value_info(name, kind, shape)


@cases(
    (b"\x89HDF\r\n\x1a\n", "convert it to ONNX", "onnx"),
    (b"binf" + bytes(20), "save it as model.ubj", "xgboost"),
    (b"version https://git-lfs.github.com/spec/v1\n", "run git lfs pull", "joblib"),
    (b"<?xml version='1.0'?><PMML/>", "store it with joblib.dump", "joblib"),
    (b"<!DOCTYPE html><html>", "download the file itself", "joblib"),
    (b"PAR1....", "give the model; data is --golden or --reference", "joblib"),
    (b"RDX3\n", "export the model to ONNX", "onnx"),
    (b'{"name":"tree","version":"v4"', "give save_model's text", "lightgbm"),
    (b'[\n  { "nodeid": 0', "give the file that save_model writes", "xgboost"),
    (b"GGUF\x03", "give a file of joblib or pickle, skops or ONNX", "joblib"),
    (b"", "give the whole file", "joblib"),
    (b"PK\x03\x04 and no more", "give the whole file", "skops"),
    (b"CBM1 and no more", "give the whole file, as its library wrote it", "catboost"),
    (b"\x08\x08\x12\x7fabcd", "give the whole file, as its library wrote it", "onnx"),
    (b"\x08\x08\x12\x04abcd", "give the whole file, as its library wrote it", "onnx"),
)
def a_file_of_another_kind(bench: Bench, _: Patch, data: bytes, fix: str, right: str) -> Steps:
    yield fix, lambda: bench.make(bench.bytes("model.bin", data))
    yield DONE, lambda: bench.make(FILES[right](bench), schema=SCHEMA)


@cases(
    (("manifest.json", "manifest.sha256"), "use it as it is: package verify"),
    (("archive/data.pkl",), "train it through skorch"),
    (("config.json", "model.weights.h5"), "convert it to ONNX"),
    (("model.bin",), "unpack it"),
)
def a_zip(bench: Bench, _: Patch, names: tuple[str, ...], fix: str) -> Steps:
    from tests.unit.packaging.test_model_bytes import zipped  # noqa: PLC0415 - one use

    yield fix, lambda: bench.make(bench.bytes("model.bin", zipped(*names)))
    yield DONE, bench.make


@cases(
    ("manifest.sha256", "use it as it is: package verify"),
    ("MLmodel", "give --from mlflow:"),
    ("saved_model.pb", "convert it to ONNX"),
    ("notes.txt", "give the file in it"),
)
def a_folder(bench: Bench, _: Patch, inside: str, fix: str) -> Steps:
    folder = bench.folder / "model"
    folder.mkdir()
    (folder / inside).write_text("")
    yield fix, lambda: bench.make(folder)
    yield DONE, bench.make


@case
def a_file_that_is_not_there(bench: Bench, _: Patch) -> Steps:
    yield "check the path", lambda: bench.make(bench.folder / "absent")
    yield DONE, bench.make


@case
def a_pickle_that_breaks_off(bench: Bench, _: Patch) -> Steps:
    yield "give the whole file that joblib.dump", lambda: bench.make(bench.bytes("model.bin", b"\x80\x04"))
    yield DONE, bench.make


@case
def a_pickle_of_another_object(bench: Bench, _: Patch) -> Steps:
    yield "give a fitted estimator", lambda: bench.make({"weights": [1, 2]})
    yield DONE, bench.make


@case
def a_booster(bench: Bench, _: Patch) -> Steps:
    model = LGBMRegressor(n_estimators=2, min_child_samples=2, verbose=-1).fit(NUMBERS, SUM)
    yield "write it with its save_model", lambda: bench.make(model.booster_)
    path = bench.folder / "model.txt"
    model.booster_.save_model(path)
    yield DONE, lambda: bench.make(path)


@case
def a_function_of_the_script_that_trained(bench: Bench, patch: Patch) -> Steps:
    main = sys.modules["__main__"]
    patch.setattr(main, "doubled", _same_named("__main__", "doubled"), raising=False)
    model = make_pipeline(FunctionTransformer(main.doubled), LinearRegression()).fit(NUMBERS, SUM)
    path = bench.folder / "trained.joblib"
    joblib.dump(model, path)
    patch.delattr(main, "doubled")
    yield "move the function into a module", lambda: bench.make(path)
    with module(bench, "own_steps", "def doubled(frame):\n    return frame * 2\n") as folder:
        import own_steps  # type: ignore[import-not-found]  # noqa: PLC0415 - exists from here on

        model = make_pipeline(FunctionTransformer(own_steps.doubled), LinearRegression()).fit(NUMBERS, SUM)
        joblib.dump(model, path)
    yield "give its folder with --code", lambda: bench.make(path)
    yield DONE, lambda: bench.make(path, code=folder)


def _same_named(module_name: str, name: str) -> Any:
    def doubled(frame: Any) -> Any:
        return frame * 2

    doubled.__module__, doubled.__qualname__, doubled.__name__ = module_name, name, name
    return doubled


@case
def a_name_that_its_module_does_not_have(bench: Bench, _: Patch) -> Steps:
    path = bench.folder / "trained.joblib"
    with module(bench, "own_names", "def doubled(frame):\n    return frame * 2\n"):
        import own_names  # type: ignore[import-not-found]  # noqa: PLC0415 - as above

        joblib.dump(
            make_pipeline(FunctionTransformer(own_names.doubled), LinearRegression()).fit(NUMBERS, SUM), path
        )
    whole = bench.folder / "src"
    other = bench.folder / "other"
    other.mkdir()
    (other / "own_names.py").write_text("")
    fix = "give the folder of the module that has it with --code"
    yield fix, lambda: bench.make(path, code=other)
    yield DONE, lambda: bench.make(path, code=whole)


@case
def a_pickle_that_raises(bench: Bench, _: Patch) -> Steps:
    path = bench.folder / "trained.joblib"
    text = "def made(x):\n    if x:\n        raise RuntimeError('no licence')\n    return {}\n"
    with module(bench, "own_makers", text) as folder:
        import own_makers  # type: ignore[import-not-found]  # noqa: PLC0415 - as above

        class Made:
            def __reduce__(self) -> Any:
                return own_makers.made, (1,)

        joblib.dump(Made(), path)
    yield "try joblib.load on it in this environment", lambda: bench.make(path, code=folder)
    yield DONE, bench.make


@case
def a_model_of_another_scikit_learn(bench: Bench, patch: Patch) -> Steps:
    with patch.context() as older:
        older.setattr("sklearn.base.__version__", "1.0.0")
        path = bench.folder / "older.joblib"
        joblib.dump(linear(), path)
    yield "make the package in the environment that the model was trained in", lambda: bench.make(path)
    yield DONE, bench.make


@case
def a_lambda_in_memory(bench: Bench, _: Patch) -> Steps:
    model = make_pipeline(FunctionTransformer(lambda x: x), LinearRegression()).fit(NUMBERS, SUM)
    fix = "move its functions into a module, import it from there to train"
    yield fix, lambda: bench.make_in_memory(model)
    with module(bench, "own_same", "def same(frame):\n    return frame\n") as folder:
        import own_same  # type: ignore[import-not-found]  # noqa: PLC0415 - as above

        model = make_pipeline(FunctionTransformer(own_same.same), LinearRegression()).fit(NUMBERS, SUM)
        yield DONE, lambda: bench.make_in_memory(model, code=folder)


@case
def a_model_that_is_pickled_only_once(bench: Bench, _: Patch) -> Steps:
    text = (
        "from threading import Lock\nfrom sklearn.linear_model import LinearRegression\n"
        "class Once(LinearRegression):\n"
        "    def __setstate__(self, state):\n"
        "        super().__setstate__(state)\n"
        "        self.lock = Lock() if {locked} else None\n"
    )
    folder = bench.folder / "src"
    path = bench.folder / "once.joblib"
    with module(bench, "own_once", text.format(locked=True)):
        import own_once  # type: ignore[import-not-found]  # noqa: PLC0415 - as above

        joblib.dump(own_once.Once().fit(NUMBERS, SUM), path)
    yield "check that joblib.dump writes it", lambda: bench.make(path, code=folder)
    (folder / "own_once.py").write_text(text.format(locked=False))
    yield DONE, lambda: bench.make(path, code=folder)


@cases(
    (None, "", "give the folder that holds the modules"),
    ("notes.txt", "", "give the folder that holds the modules"),
    ("json.py", "", "give the module another name"),
)
def a_folder_of_modules(bench: Bench, _: Patch, name: str | None, text: str, fix: str) -> Steps:
    code = bench.folder / "wrong"
    if name is not None:
        code.mkdir()
        (code / name).write_text(text)
    path = bench.folder / "trained.joblib"
    with module(bench, "own_plain", "def same(frame):\n    return frame\n") as folder:
        import own_plain  # type: ignore[import-not-found]  # noqa: PLC0415 - as above

        joblib.dump(make_pipeline(FunctionTransformer(own_plain.same), linear()), path)
    yield fix, lambda: bench.make(path, code=code)
    yield DONE, lambda: bench.make(path, code=folder)


@case
def a_module_that_is_no_python(bench: Bench, _: Patch) -> Steps:
    path = bench.folder / "trained.joblib"
    text = "def same(frame):\n    return frame\ndef later():\n    import own_rest\n"
    with module(bench, "own_part", text) as folder:
        import own_part  # type: ignore[import-not-found]  # noqa: PLC0415 - as above

        joblib.dump(make_pipeline(FunctionTransformer(own_part.same), linear()), path)
    (folder / "own_rest.py").write_text("def")
    yield "correct the file", lambda: bench.make(path, code=folder)
    (folder / "own_rest.py").write_text("")
    yield DONE, lambda: bench.make(path, code=folder)


@case
def a_type_that_skops_does_not_trust(bench: Bench, _: Patch) -> Steps:
    path = bench.folder / "model.skops"
    skops.io.dump(LGBMRegressor(n_estimators=2, min_child_samples=2, verbose=-1).fit(NUMBERS, SUM), path)
    unknown = tuple(skops.io.get_untrusted_types(file=path))
    yield " ".join(f"--trust {one}" for one in sorted(unknown)), lambda: bench.make(path)
    yield DONE, lambda: bench.make(path, trusted=unknown)


@cases(("lightgbm", "pip install lightgbm"), ("onnx", "pip install 'stream-infer-worker[onnx]'"))
def a_library_that_is_not_installed(bench: Bench, patch: Patch, name: str, fix: str) -> Steps:
    path = FILES[name](bench)
    with patch.context() as without:
        without.setitem(sys.modules, name, None)
        with pytest.raises(Exception, match="pip install") as caught:
            bench.make(path, schema=SCHEMA)
    assert fix in str(caught.value)
    with patch.context() as without:
        without.setitem(sys.modules, name, None)
        yield "install it here and where the worker runs", lambda: bench.make(path, schema=SCHEMA)
    yield DONE, lambda: bench.make(path, schema=SCHEMA)


@cases(
    ("objective=regression", "", "give its estimator"),
    ("end of trees", "", "give the whole file"),
)
def a_text_of_lightgbm(bench: Bench, _: Patch, part: str, other: str, fix: str) -> Steps:
    path = FILES["lightgbm"](bench)
    wrong = bench.file("wrong.txt", path.read_text().replace(part, other))
    yield fix, lambda: bench.make(wrong)
    yield DONE, lambda: bench.make(path)


_TWO_OUTPUTS = graph(
    [value("x", TensorProto.FLOAT, [None, 2])],
    [value("p", TensorProto.FLOAT, [None, 2]), value("q", TensorProto.FLOAT, [None, 2])],
    [helper.make_node("Identity", ["x"], ["p"]), helper.make_node("Identity", ["x"], ["q"])],
)
_ONE = [helper.make_node("Identity", ["x"], ["p"])]


@cases(
    (_TWO_OUTPUTS,),
    (graph([value("x", TensorProto.FLOAT16, [None, 2])], [value("p", TensorProto.FLOAT, [None, 2])],
           [helper.make_node("Cast", ["x"], ["p"], to=TensorProto.FLOAT)]),),
    (graph([value("x", TensorProto.FLOAT, [None])], [value("p", TensorProto.FLOAT, [None])], _ONE),),
    (graph([value("x", TensorProto.FLOAT, [None, 2]), value("y", TensorProto.FLOAT, [None, None])],
           [value("p", TensorProto.FLOAT, [None, 2])], [helper.make_node("Add", ["x", "y"], ["p"])]),),
)  # fmt: skip
def a_graph_of_another_form(bench: Bench, _: Patch, made: Any) -> Steps:
    yield "export it with", lambda: bench.make(onnx_file(bench, made), features=("a", "b"), schema=SCHEMA)
    yield DONE, lambda: bench.make(FILES["onnx"](bench), features=("a", "b"), schema=SCHEMA)


@case
def a_graph_with_two_lists_of_classes(bench: Bench, _: Patch) -> Steps:
    model = to_onnx(DecisionTreeClassifier().fit(SINGLE, BIG), SINGLE[:1], options={"zipmap": False})
    twice = onnx.ModelProto.FromString(model.SerializeToString())
    other = onnx.ModelProto.FromString(
        to_onnx(DecisionTreeClassifier().fit(SINGLE, SUM > 0), SINGLE[:1], options={"zipmap": False})
        .SerializeToString()
    )  # fmt: skip
    twice.graph.node.extend(other.graph.node)
    yield "export it with", lambda: bench.make(onnx_file(bench, twice), features=("a", "b"), schema=SCHEMA)
    yield DONE, lambda: bench.make(onnx_file(bench, model), features=("a", "b"), schema=SCHEMA)


@case
def a_model_without_tags(bench: Bench, _: Patch) -> Steps:
    yield (
        "derive a class from its own, with ClassifierMixin or RegressorMixin",
        lambda: bench.make(Untagged()),
    )
    yield DONE, lambda: bench.make(Tagged())


@case
def a_model_of_clusters(bench: Bench, _: Patch) -> Steps:
    fix = "derive a class from its own, with ClassifierMixin or RegressorMixin"
    yield fix, lambda: bench.make(KMeans(2, n_init=1, random_state=0).fit(NUMBERS))
    yield DONE, lambda: bench.make(Clusters(2, n_init=1, random_state=0).fit(NUMBERS))


@case
def a_model_of_two_numbers(bench: Bench, _: Patch) -> Steps:
    fix = "name them in their order: --values NAME,NAME"
    yield fix, lambda: bench.make(Wide())
    yield fix, lambda: bench.make(Wide(), values=("x",))
    yield "give each value its own name", lambda: bench.make(Wide(), values=("x", "x"))
    yield "name it otherwise, all of them in order", lambda: bench.make(Wide(), values=("label", "y"))
    yield "use one of: x, y", lambda: bench.make(Wide(), values=("x", "y"), primary="z")
    yield DONE, lambda: bench.make(Wide(), values=("x", "y"), primary="y")


@case
def names_of_one_number(bench: Bench, _: Patch) -> Steps:
    yield "leave --values out", lambda: bench.make(values=("x",))
    yield DONE, bench.make


@case
def a_model_that_skips_a_row(bench: Bench, _: Patch) -> Steps:
    yield "give an estimator that answers one label or one number per row", lambda: bench.make(Skipping())
    yield DONE, lambda: bench.make(Tagged())


@case
def a_model_of_several_lists_of_classes(bench: Bench, _: Patch) -> Steps:
    several = np.column_stack([BIG, BIG[::-1]])
    model = MultiOutputClassifier(LogisticRegression()).fit(NUMBERS, several)
    yield "package a classifier for each label", lambda: bench.make(model)
    yield DONE, lambda: bench.make(model.estimators_[0])


def _joblib(bench: Bench) -> Path:
    path = bench.folder / "good.joblib"
    joblib.dump(linear(), path)
    return path


def _lightgbm(bench: Bench) -> Path:
    path = bench.folder / "good.txt"
    LGBMRegressor(n_estimators=2, min_child_samples=2, verbose=-1).fit(NUMBERS, SUM).booster_.save_model(path)
    return path


def _xgboost(bench: Bench) -> Path:
    from xgboost import XGBRegressor  # noqa: PLC0415 - one use

    path = bench.folder / "good.ubj"
    XGBRegressor(n_estimators=2).fit(NUMBERS, SUM).save_model(path)
    return path


def _catboost(bench: Bench) -> Path:
    from catboost import CatBoostRegressor  # noqa: PLC0415 - one use

    path = bench.folder / "good.cbm"
    model = CatBoostRegressor(iterations=2, verbose=0, allow_writing_files=False)
    model.fit(NUMBERS, SUM).save_model(str(path))
    return path


def _onnx(bench: Bench) -> Path:
    return onnx_file(bench, to_onnx(LinearRegression().fit(SINGLE, SUM), SINGLE[:1]))


def _skops(bench: Bench) -> Path:
    path = bench.folder / "good.skops"
    skops.io.dump(linear(), path)
    return path


FILES = {
    "joblib": _joblib,
    "lightgbm": _lightgbm,
    "xgboost": _xgboost,
    "catboost": _catboost,
    "onnx": _onnx,
    "skops": _skops,
}


@case
def a_file_that_ends_the_process_that_reads_it(bench: Bench, patch: Patch) -> Steps:
    model = LGBMRegressor(n_estimators=2, min_child_samples=2, verbose=-1).fit(NUMBERS, SUM)
    path = bench.bytes("model.txt", model.booster_.model_to_string().encode())
    with pytest.MonkeyPatch.context() as damaged:
        damaged.setattr("stream_infer.packaging.inputs.require_readable", require_readable)
        damaged.setattr("stream_infer.packaging.trial_reading._MODULE", "there_is_no_such_module")
        yield "give the whole file", lambda: bench.make(path)
    yield DONE, lambda: bench.make(path)
