"""Packages for model stores. Their models are never loaded."""

from __future__ import annotations

from pathlib import Path

from stream_infer.models.manifest import Feature, InputColumn, Manifest, ModelInput, OutputContract, Policy
from stream_infer.models.package import write_package
from stream_infer.store.model_store import ModelStore, Request

ME = Request("me", "because")


def package(path: Path, version: str = "1.0", model: bytes = b"model") -> str:
    """Write a package and return its digest."""
    feature = Feature(
        "x", "x", "double", nullable=False,
        missing=Policy.REJECT, nan=Policy.REJECT, infinite=Policy.REJECT,
    )  # fmt: skip
    manifest = Manifest(
        name="fraud",
        version=version,
        python="3.11",
        libraries={"scikit-learn": "1.9.1"},
        container=ModelInput("ndarray", (InputColumn("x", "float64"),)),
        features=(feature,),
        output=OutputContract("regressor"),
        schema_name="test.Event",
    )
    names = ("golden.avro", "input.avsc", "requirements.txt")
    return write_package(path, manifest, {**dict.fromkeys(names, b""), "model.joblib": model}).digest


def store(folder: Path, pipeline: str = "payments.fraud") -> ModelStore:
    folder.mkdir(exist_ok=True)
    return ModelStore(folder, pipeline, now_ms=lambda: 1_800_000_000_000)
