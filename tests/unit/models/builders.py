"""Packages and columns for the tests of `stream_infer.models`, made from a user's frame and model."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import joblib
import pyarrow as pa
import sklearn

from stream_infer.models.frame_builder import describe_input
from stream_infer.models.load import Model, load_model
from stream_infer.models.manifest import (
    Conversion,
    Feature,
    InputColumn,
    Manifest,
    ModelInput,
    OutputContract,
    Policy,
)
from stream_infer.models.package import verify, write_package
from stream_infer.models.predict import contract_of
from stream_infer.packaging import ensembles, onnx_graph

ARROW_TYPES = {
    "int": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "boolean": pa.bool_(),
    "string": pa.string(),
    "enum": pa.string(),
}
CONVERTED: Mapping[str, Any] = {
    "runtime": "onnx",
    "entry": "model.onnx",
    "conversion": Conversion(
        "model.joblib", up_to_rows=10, rows=60, max_abs_difference=0.0, label_mismatches=0
    ),
}
SUPPORTING = {"golden.avro": b"Obj\x01", "input.avsc": b"{}", "requirements.txt": b"scikit-learn\n"}


def feature(name: str, kind: str = "double", **changes: Any) -> Feature:
    settings: dict[str, Any] = {
        "source": f"event.{name}",
        "type": kind,
        "nullable": True,
        "missing": Policy.PASS,
        "nan": Policy.PASS,
        "infinite": Policy.REJECT,
    }
    return Feature(name=name, **{**settings, **changes})


def manifest(**changes: Any) -> Manifest:
    settings: dict[str, Any] = {
        "name": "fraud",
        "version": "1.2.0",
        "python": "3.11",
        "libraries": {"scikit-learn": sklearn.__version__},
        "container": ModelInput("ndarray", (InputColumn("x", "float64", "nan"),)),
        "features": (feature("x"),),
        "output": OutputContract("regressor"),
        "schema_name": "io.example.Event",
    }
    return Manifest(**{**settings, **changes})


def pickled(value: Any) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(value, buffer)
    return buffer.getvalue()


def files(model: bytes = b"\x80\x04N.", **more: bytes) -> dict[str, bytes]:
    return {**SUPPORTING, "model.joblib": model, **more}


def graph_of(estimator: Any) -> bytes:
    """Return the graph that `estimator`, an ensemble of trees, is converted to."""
    ensemble = ensembles.read_ensemble(estimator)
    assert isinstance(ensemble, ensembles.Ensemble)
    return onnx_graph.write_onnx(ensemble)


def framed(frame: Any, kinds: Mapping[str, str], logical: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return container and features of `frame`; a column that cannot hold nulls rejects them."""
    container = describe_input(frame, kinds)
    features = tuple(
        feature(
            column.name,
            kinds[column.name],
            logical=(logical or {}).get(column.name),
            missing=Policy.REJECT if column.null is None else Policy.PASS,
        )
        for column in container.columns
    )
    return {"container": container, "features": features}


def columns(kinds: Mapping[str, str], rows: Mapping[str, list[Any]]) -> dict[str, pa.Array]:
    """Return the events' columns as the decoder gives them, for features made by `feature`."""
    return {f"event.{name}": pa.array(rows[name], ARROW_TYPES[kind]) for name, kind in kinds.items()}


def packaged(
    path: Path,
    estimator: Any,
    frame: Any,
    kinds: Mapping[str, str],
    code: Mapping[str, str] | None = None,
    **changes: Any,
) -> Model:
    """Return the model of a package that was made, written to `path`, verified and loaded."""
    output = changes.pop("output", None) or contract_of(estimator, frame)
    parts = {**framed(frame, kinds, changes.pop("logical", None)), "output": output, **changes}
    contents = files(pickled(estimator)) | {f"code/{k}": v.encode() for k, v in (code or {}).items()}
    write_package(path, manifest(**parts), contents)
    return load_model(verify(path))
