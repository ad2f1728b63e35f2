"""The environment of a package: made of its own versions alone, in a folder or in an image."""

from __future__ import annotations

import platform
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from sklearn.linear_model import LogisticRegression

from stream_infer.flow.errors import Misconfigured, Refused
from stream_infer.models.package import verify, write_package
from stream_infer.packaging import dockerfile, environment
from stream_infer.packaging.dockerfile import write_build_folder
from stream_infer.packaging.environment import install_package, pip_arguments, requirements_of
from stream_infer.packaging.requirements import Requirements, this_platform
from tests.unit.packaging.test_libraries import SCHEMA, X, lightgbm
from tests.unit.packaging.workshop import Workshop

HASHED = Requirements({"numpy": "2.4.6"}, {"numpy": "a" * 64}, this_platform())


@pytest.fixture
def package(workshop: Workshop) -> Path:
    """Return the package of a model that LightGBM made."""
    workshop.create(lightgbm(), X.head(5), schema=SCHEMA)
    return workshop.package


def altered(package: Path, to: Path, requirements: Requirements | str | None = None, **more: Any) -> Path:
    """Write the package again with other requirements, or with another manifest."""
    verified = verify(package)
    files = dict(verified.files)
    if requirements is not None:
        text = requirements if isinstance(requirements, str) else requirements.text()
        files["requirements.txt"] = text.encode()
    write_package(to, replace(verified.manifest, **more), files)
    return to


def wheel_stub(folder: Path) -> Path:
    """Write what stands for the worker's wheel."""
    wheel = folder / "stream_infer_worker-1.0-py3-none-any.whl"
    wheel.write_bytes(b"")
    return wheel


@pytest.mark.slow
def test_a_package_verifies_in_an_environment_of_exactly_its_wheels(
    workshop: Workshop, tmp_path: Path
) -> None:
    try:
        workshop.create(LogisticRegression().fit(X, X["a"] > 0), X.head(5), schema=SCHEMA, hashes=True)
    except Misconfigured as error:
        pytest.skip(f"no package index: {error}")

    made = install_package(workshop.package, tmp_path / "env")

    assert "verified" in made.verified
    assert made.hashed
    asked = (
        "import numpy, stream_infer, sys; print(numpy.__version__, stream_infer.__file__, sys.flags.isolated)"
    )
    told = subprocess.run(
        [tmp_path / "env/bin/python", "-I", "-c", asked], capture_output=True, text=True, check=True
    ).stdout.split()
    assert told[0] == version("numpy")
    assert Path(told[1]).is_relative_to(tmp_path / "env")


def test_wheels_for_another_platform_are_installed_without_their_hashes(
    package: Path, tmp_path: Path
) -> None:
    here = altered(package, tmp_path / "here", HASHED)
    there = altered(package, tmp_path / "there", replace(HASHED, made_for="CPython 3.11 on Darwin arm64"))

    assert pip_arguments(requirements_of(verify(here), this_platform())) == ("--no-deps", "--require-hashes")
    assert pip_arguments(requirements_of(verify(there), this_platform())) == ("--no-deps",)


def test_pip_completes_the_few_libraries_that_an_earlier_release_recorded(
    package: Path, tmp_path: Path
) -> None:
    early = altered(package, tmp_path / "early", "numpy==2.4.6\n")

    assert pip_arguments(requirements_of(verify(early), this_platform())) == ()


def test_a_target_that_exists_is_left_alone(package: Path, tmp_path: Path) -> None:
    tmp_path.joinpath("env").mkdir()

    with pytest.raises(Misconfigured, match="exists already"):
        install_package(package, tmp_path / "env")


def test_a_python_that_is_not_here_is_named(package: Path, tmp_path: Path) -> None:
    other = altered(package, tmp_path / "other", python="3.99")

    with pytest.raises(Misconfigured, match=r"Python 3\.99, which is not here"):
        install_package(other, tmp_path / "env")
    with pytest.raises(Misconfigured, match=r"made with Python 3\.99"):
        write_build_folder(other, tmp_path / "image")


@pytest.mark.slow
def test_nothing_is_left_of_an_environment_that_was_not_filled(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")

    with pytest.raises(
        Misconfigured, match=r"requirements\.txt: is not installed: .*No matching distribution"
    ):
        install_package(package, tmp_path / "env")
    assert not tmp_path.joinpath("env").exists()


def test_a_damaged_package_is_refused_before_anything_is_made(package: Path, tmp_path: Path) -> None:
    package.joinpath("requirements.txt").write_text("numpy\n")

    for make in (install_package, write_build_folder):
        with pytest.raises(Refused, match="SHA-256"):
            make(package, tmp_path / "made")
    assert not tmp_path.joinpath("made").exists()


def test_the_image_has_the_exact_base_the_hashes_and_the_system_s_libraries(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dockerfile, "write_own_wheel", wheel_stub)
    needs = ("libgomp.so.1", "libodd.so.3")
    made = altered(package, tmp_path / "made.zip", HASHED, system_libraries=needs)

    lines = write_build_folder(made, tmp_path / "image").read_text("utf-8").splitlines()

    assert f"FROM python:{platform.python_version()}-slim-bookworm" in lines
    assert any("apt-get install" in line and "libgomp1" in line for line in lines)
    assert any(line.startswith("#") and "libodd.so.3" in line for line in lines)
    assert any("--no-deps --require-hashes -r requirements.txt" in line for line in lines)
    assert "RUN stream-infer package verify package.zip" in lines
    assert {path.name for path in (tmp_path / "image").iterdir()} == {
        "Dockerfile", "package.zip", "requirements.txt", "stream_infer_worker-1.0-py3-none-any.whl",
    }  # fmt: skip


def test_another_base_and_a_folder_are_taken(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dockerfile, "write_own_wheel", wheel_stub)

    written = write_build_folder(package, tmp_path / "image", "own/python:3.11.9")

    assert "FROM own/python:3.11.9" in written.read_text("utf-8").splitlines()
    assert verify(tmp_path / "image/package").digest == verify(package).digest
    with pytest.raises(Misconfigured, match="exists already"):
        write_build_folder(package, tmp_path / "image")


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not tell what is loaded")
def test_the_library_of_the_system_that_lightgbm_needs_is_recorded(package: Path) -> None:
    assert verify(package).manifest.system_libraries == ("libgomp.so.1",)


def test_another_python_s_path_is_not_let_into_the_new_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("PIP_INDEX_URL", "https://index.example/simple")

    kept = environment.variables()

    assert "PYTHONPATH" not in kept
    assert kept["PIP_INDEX_URL"] == "https://index.example/simple"
