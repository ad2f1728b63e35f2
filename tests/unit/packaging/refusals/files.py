"""Refusals of model folders of MLflow."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream_infer.packaging.create import create_package
from stream_infer.packaging.mlflow_folder import from_mlflow
from tests.support.rehearsals import unrehearsed
from tests.unit.packaging.refusals.bench import DONE, Bench, Steps, case, cases
from tests.unit.packaging.test_mlflow_folder import FRAME, options, saved

Patch = pytest.MonkeyPatch


def _made(bench: Bench, source: str, **more: Any) -> Callable[[], object]:
    return lambda: create_package(from_mlflow(source, options(bench, **more)), unrehearsed)


def _altered(folder: Path, **parts: Any) -> None:
    described = yaml.safe_load((folder / "MLmodel").read_text())
    (folder / "MLmodel").write_text(yaml.safe_dump({**described, **parts}))


@case
def a_source_that_is_no_folder_of_mlflow(bench: Bench, _: Patch) -> Steps:
    folder = bench.folder / "logged"
    yield "give the folder that has the file MLmodel", _made(bench, "models:/visits/1")
    yield "give the folder that mlflow logged or saved", _made(bench, f"mlflow:{bench.folder}")
    saved(folder)
    yield DONE, _made(bench, f"mlflow:{folder}")


@cases(("flavors", {"python_function": {}}, "log the model itself (mlflow.sklearn.log_model, ...)"))
def a_flavour_that_is_not_taken(bench: Bench, _: Patch, key: str, other: Any, fix: str) -> Steps:
    folder, whole = bench.folder / "logged", bench.folder / "whole"
    saved(folder)
    saved(whole)
    _altered(folder, **{key: other})
    yield fix, _made(bench, f"mlflow:{folder}")
    yield DONE, _made(bench, f"mlflow:{whole}")


@case
def a_description_that_is_no_yaml(bench: Bench, _: Patch) -> Steps:
    folder, again = bench.folder / "logged", bench.folder / "again"
    saved(folder)
    (folder / "MLmodel").write_text("a: [")
    yield "log the model again", _made(bench, f"mlflow:{folder}")
    saved(again)
    yield DONE, _made(bench, f"mlflow:{again}")


@case
def a_folder_without_an_example(bench: Bench, _: Patch) -> Steps:
    folder = bench.folder / "logged"
    saved(folder)
    _altered(folder, saved_input_example_info=None)
    yield "give --golden", _made(bench, f"mlflow:{folder}")
    yield DONE, _made(bench, f"mlflow:{folder}", golden=bench.csv("golden.csv", FRAME.head(9)))


@case
def an_example_of_another_form(bench: Bench, _: Patch) -> Steps:
    folder = bench.folder / "logged"
    saved(folder, example={"rows": []})
    yield "give the rows with --golden", _made(bench, f"mlflow:{folder}")
    yield DONE, _made(bench, f"mlflow:{folder}", golden=bench.csv("golden.csv", FRAME.head(9)))


@case
def yaml_that_is_not_installed(bench: Bench, patch: Patch) -> Steps:
    folder = bench.folder / "logged"
    saved(folder)
    with patch.context() as without:
        without.setitem(sys.modules, "yaml", None)
        yield "pip install pyyaml", _made(bench, f"mlflow:{folder}")
    yield DONE, _made(bench, f"mlflow:{folder}")
