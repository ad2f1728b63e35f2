"""A model folder of MLflow as options of `package create`: model file, input example, modules, requirements.

The folder's files are read; MLflow itself is not needed. The format of the model file is told by its bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.packaging.options import CreateOptions, listed

PREFIX = "mlflow:"
_FLAVOURS = ("sklearn", "xgboost", "lightgbm", "catboost", "onnx")
_DTYPES = {
    "boolean": "bool",
    "integer": "int32",
    "long": "int64",
    "float": "float32",
    "double": "float64",
    "string": "str",
    "datetime": "datetime64[ns]",
}
_PIN = re.compile(r"\s*([A-Za-z0-9._-]+)\s*==\s*([^\s;,]+)")
_MLFLOW = "mlflow"


def from_mlflow(source: str, options: CreateOptions) -> CreateOptions:
    """Return `options` with the folder's model file, modules and, where none is given, input example.

    `source` is `mlflow:FOLDER`. Raises `Misconfigured` for another source or another kind of folder, for a
    flavour that is not taken, and without an input example where `--golden` is not given either.
    """
    if not source.startswith(PREFIX):
        raise _problem("--from", source, "is not mlflow:FOLDER", "give the folder that has the file MLmodel")
    folder = Path(source.removeprefix(PREFIX))
    described = _described(folder)
    flavours = described.get("flavors") or {}
    name = next((one for one in _FLAVOURS if one in flavours), None)
    if name is None:
        what = f"has the flavours {listed(flavours)}, and none of {listed(_FLAVOURS)}"
        fix = "log the model itself (mlflow.sklearn.log_model, ...), not a Python function"
        raise _problem("--from", source, what, fix)
    flavour = flavours[name]
    file, modules = flavour.get("pickled_model") or flavour.get("data"), flavour.get("code")
    columns = _columns(described)
    model = folder / str(file)
    return replace(
        options,
        model=model / "model.onnx" if model.is_dir() else model,
        code=options.code or (folder / modules if modules else None),
        golden=_example(folder, described, columns) if options.golden is None else options.golden,
        notes=(*options.notes, *_other_versions(folder)),
    )


def _described(folder: Path) -> Mapping[str, Any]:
    try:
        import yaml  # noqa: PLC0415 - only MLflow's folders need it
    except ImportError as error:
        what = "is described in YAML, and PyYAML is not installed here"
        raise _problem("--from", str(folder), what, "pip install pyyaml") from error
    try:
        found = yaml.safe_load((folder / "MLmodel").read_text("utf-8"))
    except OSError as error:
        what = f"has no readable file MLmodel ({error.strerror})"
        raise _problem("--from", str(folder), what, "give the folder that mlflow logged or saved") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _problem(
            "--from", str(folder), f"MLmodel is not YAML: {error}", "log the model again"
        ) from error
    return found if isinstance(found, dict) else {}


def _columns(described: Mapping[str, Any]) -> Mapping[str, str]:
    """Return name -> type of the columns of the signature; none of a signature of tensors."""
    inputs = json.loads((described.get("signature") or {}).get("inputs") or "[]")
    return {one["name"]: one["type"] for one in inputs if "name" in one and one["type"] in _DTYPES}


def _example(folder: Path, described: Mapping[str, Any], columns: Mapping[str, str]) -> pd.DataFrame:
    """Return the input example, in the types of the signature."""
    path = (described.get("saved_input_example_info") or {}).get("artifact_path")
    if path is None:
        fix = "give --golden, or log the model with input_example"
        raise _problem("--golden", str(folder), "is not given, and the folder has no input example", fix)
    found = json.loads((folder / path).read_text("utf-8"))
    found = found.get("dataframe_split", found) if isinstance(found, dict) else found
    if isinstance(found, dict) and "data" in found:
        frame = pd.DataFrame(found["data"], columns=found.get("columns"))
    elif isinstance(found, dict) and "inputs" in found:
        frame = pd.DataFrame(found["inputs"])
    else:
        what = f"{path} is an input example of another form"
        raise _problem("--from", str(folder), what, "give the rows with --golden")
    if not all(isinstance(name, str) for name in frame.columns):
        frame.columns = list(columns) if len(columns) == frame.shape[1] else frame.columns.map(str)
    known = {name: _DTYPES[kind] for name, kind in columns.items() if name in frame.columns}
    whole = {name: kind for name, kind in known.items() if not frame[name].isna().any()}
    return frame.astype(whole)


def _other_versions(folder: Path) -> Iterator[str]:
    """Yield a note for each requirement of the folder that has another version here."""
    try:
        lines = (folder / "requirements.txt").read_text("utf-8").splitlines()
    except OSError:
        return
    for found in filter(None, map(_PIN.match, lines)):
        name, wanted = found.groups()
        if name.lower() != _MLFLOW and (here := _installed(name)) != wanted:
            yield f"the folder asks for {name} {wanted}; here is {here or 'none'}"


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _problem(key: str, value: str, what: str, fix: str) -> Misconfigured:
    return Misconfigured([Problem(key, value, what, fix)])
