"""The versions of libraries: what is promised, and what is refused by name."""

from __future__ import annotations

from importlib import metadata

import pytest

from stream_infer.models.formats import CATBOOST, LIGHTGBM, ONNX, PICKLE, SKOPS, XGBOOST_JSON
from stream_infer.models.versions import installed_version, library_differences


def difference(name: str, made_with: str, found: str | None) -> tuple[str, bool] | None:
    return next(iter(library_differences({name: made_with}, {name: found}.get)), None)


@pytest.mark.parametrize(
    ("name", "made_with", "found", "promised"),
    [
        ("scikit-learn", "1.6.0", "1.6.1", True),
        ("scikit-learn", "1.6.1", "1.9.1", False),
        ("scikit-learn", "1.9.1", "1.6.1", False),
        ("pandas", "2.2.3", "3.1.1", True),
        ("pandas", "3.1.1", "2.2.3", False),
        ("pandas", "3.1.1", "3.0.0", True),
        ("numpy", "2.0.0", "2.4.6", True),
        ("numpy", "2.4.6", "1.26.4", False),
        ("lightgbm", "4.7.0", "3.3.5", False),
        ("own", "today", "tomorrow", False),
    ],
)
def test_a_later_release_reads_earlier_pickles_but_that_of_scikit_learn(
    name: str, made_with: str, found: str, *, promised: bool
) -> None:
    told = difference(name, made_with, found)

    assert told is not None
    assert told[1] is promised
    assert told[0].startswith(f"made with {name} {made_with}, this is {found}")
    assert ("package install" in told[0]) is not promised


def test_a_file_without_objects_of_scikit_learn_does_not_depend_on_its_minor_release() -> None:
    data = {
        version: next(
            library_differences({"scikit-learn": "1.6.0"}, {"scikit-learn": version}.get, estimators=False)
        )
        for version in ("1.9.1", "0.24.2")
    }

    assert {version: one.promised for version, one in data.items()} == {"1.9.1": True, "0.24.2": False}
    assert PICKLE.estimators
    assert SKOPS.estimators
    assert not any(one.estimators for one in (XGBOOST_JSON, LIGHTGBM, CATBOOST, ONNX))


def test_the_same_version_is_no_difference() -> None:
    assert difference("numpy", "2.4.6", "2.4.6") is None


def test_a_missing_library_is_named_with_the_command_that_installs_it() -> None:
    assert difference("lightgbm", "4.7.0", None) == (
        "made with lightgbm 4.7.0, which is not installed: pip install lightgbm==4.7.0",
        False,
    )


def test_another_distribution_of_the_same_modules_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def version(name: str) -> str:
        if name != "xgboost":
            raise metadata.PackageNotFoundError
        return "3.2.0"

    monkeypatch.setattr(metadata, "version", version)

    assert installed_version("xgboost-cpu") == "3.2.0"
    assert installed_version("lightgbm") is None
