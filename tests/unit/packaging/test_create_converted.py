"""`package create --runtime`: contents of the package, and refusals."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pytest
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from stream_infer.flow.errors import Misconfigured, Refused
from stream_infer.models.package import verify, write_package
from stream_infer.packaging.summary import summarise_package
from stream_infer.packaging.verify import verify_package
from tests.unit.packaging.workshop import Workshop, assert_close, column, frame_of, target, trips

EVENTS = trips()
FRAME = frame_of(EVENTS, ["stops", "started"])


def forest(seed: int = 0) -> RandomForestClassifier:
    return RandomForestClassifier(10, random_state=seed).fit(FRAME, target(EVENTS))


def files(package: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in package.iterdir() if path.is_file()}


def test_a_model_is_not_converted_by_default(workshop: Workshop) -> None:
    report = workshop.create(forest(), FRAME)

    manifest = json.loads((workshop.package / "manifest.json").read_text("utf-8"))
    assert (report.runtime, report.conversion, report.gains) == ("sklearn", None, ())
    assert manifest["entry"] == "model.joblib"
    assert not {"conversion", "unconverted"} & manifest.keys()


@pytest.mark.parametrize("runtime", ["auto", "onnx"])
def test_a_converted_package_has_both_models_and_the_evidence_of_equivalence(
    workshop: Workshop, runtime: str
) -> None:
    report = workshop.create(forest(), FRAME, runtime=runtime, reference=workshop.csv("ref.csv", FRAME))

    verified = verify(workshop.package)
    manifest, conversion = verified.manifest, verified.manifest.conversion
    assert (manifest.runtime, manifest.entry) == ("onnx", "model.onnx")
    assert conversion is not None
    assert conversion == report.conversion
    assert conversion.original == "model.joblib"
    assert conversion.rows == 20_000 + 2 * len(FRAME)
    assert conversion.max_abs_difference <= 1e-12
    assert manifest.libraries["onnxruntime"] == version("onnxruntime")
    assert f"onnxruntime=={version('onnxruntime')}\n" in verified.files["requirements.txt"].decode()
    assert [gain.rows for gain in report.gains] == [1, 10, 100]
    assert ("against scikit-learn", report.converted()[0][1]) in summarise_package(workshop.package).facts()
    assert_close(column(workshop.answers(EVENTS), "score"), forest().predict_proba(FRAME)[:, 1])


def test_the_same_files_give_the_same_converted_package(workshop: Workshop) -> None:
    first = workshop.create(forest(), FRAME, runtime="auto", output=workshop.folder / "first.zip")
    second = workshop.create(forest(), FRAME, runtime="auto", output=workshop.folder / "second.zip")

    assert first.digest == second.digest
    assert first.path.read_bytes() == second.path.read_bytes()


def test_auto_keeps_the_original_of_an_unsupported_model_with_the_reason(workshop: Workshop) -> None:
    model = LogisticRegression().fit(FRAME, target(EVENTS))

    report = workshop.create(model, FRAME, runtime="auto")

    why = "LogisticRegression is none of the ensembles of trees that are converted"
    manifest = verify(workshop.package).manifest
    assert (manifest.runtime, manifest.entry, manifest.unconverted) == ("sklearn", "model.joblib", why)
    assert report.notes == (f"not converted: {why}",)
    assert ("not converted", why) in summarise_package(workshop.package).facts()
    assert "model.onnx" not in files(workshop.package)


def test_a_conversion_with_other_predictions_is_dropped_and_its_difference_reported(
    workshop: Workshop,
) -> None:
    # Large numbers cancel each other: the sum depends on the order of addition.
    values = pd.Series(FRAME["stops"] > 2) * 1e15 + FRAME["started"] / 1e12
    model = GradientBoostingRegressor(n_estimators=5, learning_rate=1.0, random_state=0).fit(FRAME, values)

    workshop.create(model, FRAME, runtime="auto")

    unconverted = verify(workshop.package).manifest.unconverted
    assert unconverted is not None
    assert "rows differ, by up to 0." in unconverted


def test_runtime_onnx_writes_no_package_without_a_conversion(workshop: Workshop) -> None:
    with pytest.raises(Misconfigured) as failed:
        workshop.create(LogisticRegression().fit(FRAME, target(EVENTS)), FRAME, runtime="onnx")

    [problem] = failed.value.problems
    assert (problem.key, problem.value) == ("--runtime", "onnx")
    assert "--runtime auto" in problem.fix
    assert not workshop.package.exists()


def test_an_unknown_runtime_is_reported_with_the_valid_ones(workshop: Workshop) -> None:
    with pytest.raises(Misconfigured) as failed:
        workshop.create(forest(), FRAME, runtime="treelite")

    [problem] = failed.value.problems
    assert (problem.key, problem.value, problem.fix) == (
        "--runtime", "treelite", "use one of: sklearn, auto, onnx",
    )  # fmt: skip


def resealed(workshop: Workshop, name: str, data: bytes) -> Path:
    """Write the package again with another file of that name, and valid digests."""
    verified = verify(workshop.package)
    path = workshop.folder / f"with another {name}"
    write_package(path, verified.manifest, {**verified.files, name: data})
    return path


def refusal(path: Path) -> str:
    with pytest.raises(Refused) as refused:
        verify_package(path)
    return refused.value.code


def test_a_flipped_bit_in_either_model_is_refused(workshop: Workshop) -> None:
    workshop.create(forest(), FRAME, runtime="auto")

    for name in ("model.onnx", "model.joblib"):
        path = workshop.package / name
        data = path.read_bytes()
        path.write_bytes(data[:100] + bytes([data[100] ^ 1]) + data[101:])
        assert refusal(workshop.package) == "digest"
        path.write_bytes(data)
    assert verify_package(workshop.package).rows == len(FRAME)


def test_both_models_are_held_to_the_golden_answers(workshop: Workshop) -> None:
    """The manifest claims a conversion, but graph and original are different models."""
    other = Workshop(workshop.folder / "other")
    other.folder.mkdir()
    other.create(forest(seed=1), FRAME, runtime="auto")
    workshop.create(forest(), FRAME, runtime="auto")
    found = files(other.package)

    for name in ("model.onnx", "model.joblib"):
        assert refusal(resealed(workshop, name, found[name])) == "golden"


def test_a_package_without_its_original_is_refused(workshop: Workshop) -> None:
    workshop.create(forest(), FRAME, runtime="auto")
    (workshop.package / "model.joblib").unlink()

    assert refusal(workshop.package) == "missing_file"
