"""A manifest is read strictly, written in one way, and does not contradict itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import pytest

from stream_infer.flow.errors import Refused
from stream_infer.models.manifest import FileEntry, InputColumn, Manifest, ModelInput, OutputContract, Policy
from tests.unit.models.builders import CONVERTED, feature, manifest

PANDAS = {
    "container": ModelInput(
        "pandas", (InputColumn("x", "int64"), InputColumn("y", "category", "nan", ("a", "b")))
    ),
    "features": (
        feature("x", "long", missing=Policy.IMPUTE, impute=2**60, minimum=0.5),
        feature("y", "enum"),
    ),
    "output": OutputContract("classifier", ("0", "1"), 0.25, class_scores=True, score="probability"),
    "files": {"model.joblib": FileEntry("0" * 64, 3)},
}

PROOF = asdict(CONVERTED["conversion"])


@pytest.mark.parametrize("changes", [{}, PANDAS, CONVERTED, {"unconverted": "it is a line"}])
def test_a_manifest_survives_a_round_trip(changes: dict[str, Any]) -> None:
    written = manifest(**changes)

    read = Manifest.parse(written.canonical())

    assert read == written
    assert read.canonical() == written.canonical()
    assert read.digest == written.digest


def test_a_manifest_without_conversion_has_the_bytes_of_earlier_releases() -> None:
    assert not {"conversion", "unconverted"} & json.loads(manifest().canonical()).keys()


def test_the_canonical_form_is_sorted_ascii_without_spaces() -> None:
    text = manifest(schema_name="Ereignis-Ä").canonical()

    assert text == json.dumps(json.loads(text), sort_keys=True, separators=(",", ":")).encode("ascii")


@pytest.mark.parametrize("impute", [1, 1.0, True, "1", None])
def test_an_imputed_value_keeps_its_type(impute: Any) -> None:
    written = manifest(features=(feature("x", impute=impute),))

    assert type(Manifest.parse(written.canonical()).features[0].impute) is type(impute)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (lambda d: d.update(surprise=1), "surprise"),
        (lambda d: d["features"][0].update(surprise=1), "features.0.surprise"),
        (lambda d: d.pop("name"), "name"),
        (lambda d: d.update(name="../evil"), "name"),
        (lambda d: d["features"][0].update(nullable=1), "features.0.nullable"),
        (lambda d: d["features"][0].update(missing="ignore"), "features.0.missing"),
        (lambda d: d["features"][0].update(minimum=float("nan")), "features.0.minimum"),
        (lambda d: d["features"][0].update(missing="impute"), "features.0.impute"),
        (lambda d: d["features"].append(d["features"][0]), "features"),
        (lambda d: d.update(features=[]), "features"),
        (lambda d: d["container"].update(columns=[]), "container.columns"),
        (lambda d: d["container"]["columns"][0].update(null=None), "features.0.missing"),
        (lambda d: d.update(libraries={}), "libraries"),
        (lambda d: d.update(files={"m": {"sha256": "0" * 64, "size": -1}}), "files"),
        (lambda d: d.update(files={"m": {"sha256": "X" * 64, "size": 1}}), "files.m.sha256"),
        (lambda d: d["output"].update(classes=["a"]), "output.classes"),
        (lambda d: d["output"].update(threshold=0.5), "output.threshold"),
        (lambda d: d["output"].update(class_scores=True), "output.class_scores"),
        (lambda d: d["output"].update(label_from="proba"), "output.label_from"),
        (lambda d: d["output"].update(label_from="decision"), "output.label_from"),
        (lambda d: d.update(runtime="onnx"), "conversion"),
        (lambda d: d.update(conversion=PROOF), "conversion"),
        (lambda d: d.update(conversion=PROOF, runtime="onnx"), "conversion.original"),
        (lambda d: d.update(conversion=PROOF, runtime="onnx", entry="m", unconverted="why"), "unconverted"),
        (lambda d: d.update(runtime="treelite"), "runtime"),
    ],
)
def test_an_invalid_manifest_is_refused_with_its_invalid_key(
    change: Callable[[dict[str, Any]], Any], key: str
) -> None:
    document = json.loads(manifest().canonical())
    change(document)

    with pytest.raises(Refused) as refusal:
        Manifest.parse(json.dumps(document).encode())

    assert refusal.value.code == "manifest"
    assert refusal.value.reason.startswith(key + ":")


def test_a_later_format_version_is_refused_with_its_own_code() -> None:
    document = {**json.loads(manifest().canonical()), "format": 2}

    with pytest.raises(Refused) as refusal:
        Manifest.parse(json.dumps(document).encode())

    assert refusal.value.code == "format"


@pytest.mark.parametrize("data", [b"", b"{", b"[" * 100_000, b"1e999", b"\xff", b"null", b'"x"'])
def test_bytes_that_are_not_a_manifest_are_refused(data: bytes) -> None:
    with pytest.raises(Refused) as refusal:
        Manifest.parse(data)

    assert refusal.value.code == "manifest"


def test_nan_and_infinity_are_refused_when_writing() -> None:
    with pytest.raises(Refused) as refusal:
        manifest(features=(feature("x", maximum=float("inf")),)).canonical()

    assert refusal.value.code == "manifest"
