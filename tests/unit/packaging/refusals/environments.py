"""Refusals of environments: wheels, virtual environments, images."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from stream_infer.packaging import dockerfile, environment, own_wheel, wheel_hashes
from stream_infer.packaging.dockerfile import write_build_folder
from stream_infer.packaging.environment import install_package
from stream_infer.packaging.requirements import Requirements
from stream_infer.packaging.wheel_hashes import with_hashes
from tests.unit.packaging.refusals.bench import DONE, Bench, Steps, case
from tests.unit.packaging.test_environment import altered, wheel_stub
from tests.unit.packaging.test_requirements import installed

Patch = pytest.MonkeyPatch
_OK = CompletedProcess([], 0, "verified\n", "")


def _answering(patch: Patch, module: Any, *answers: Any) -> None:
    """Let the programs that `module` runs answer so, one after the other; the last one for good."""
    waiting = list(answers)

    def run(*_: Any, **__: Any) -> Any:
        one = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        if isinstance(one, Exception):
            raise one
        return one

    patch.setattr(module.subprocess, "run", run)


@case
def an_environment_that_exists(bench: Bench, patch: Patch) -> Steps:
    bench.make()
    patch.setattr(environment, "write_own_wheel", wheel_stub)
    _answering(patch, environment, _OK)
    (bench.folder / "env").mkdir()
    fix = "give another name, or remove it"
    yield fix, lambda: install_package(bench.package, bench.folder / "env")
    yield DONE, lambda: install_package(bench.package, bench.folder / "other")


@case
def a_python_that_is_not_here(bench: Bench, patch: Patch) -> Steps:
    bench.make()
    patch.setattr(environment, "write_own_wheel", wheel_stub)
    _answering(patch, environment, _OK)
    other = altered(bench.package, bench.folder / "other", python="3.99")
    yield "install Python 3.99", lambda: install_package(other, bench.folder / "env")
    patch.setattr(environment.shutil, "which", lambda _: sys.executable)
    yield DONE, lambda: install_package(other, bench.folder / "env")


@case
def a_wheel_that_is_not_installed(bench: Bench, patch: Patch) -> Steps:
    bench.make()
    patch.setattr(environment, "write_own_wheel", wheel_stub)
    failed = CompletedProcess([], 1, "", "ERROR: No matching distribution found for numpy")
    _answering(patch, environment, _OK, failed)
    yield "correct what it says: the index", lambda: install_package(bench.package, bench.folder / "env")
    _answering(patch, environment, _OK)
    yield DONE, lambda: install_package(bench.package, bench.folder / "env")


@case
def an_image_folder_that_exists(bench: Bench, patch: Patch) -> Steps:
    bench.make()
    patch.setattr(dockerfile, "write_own_wheel", wheel_stub)
    (bench.folder / "image").mkdir()
    yield "give another name", lambda: write_build_folder(bench.package, bench.folder / "image")
    yield DONE, lambda: write_build_folder(bench.package, bench.folder / "other")


@case
def an_image_of_another_python(bench: Bench, patch: Patch) -> Steps:
    bench.make()
    patch.setattr(dockerfile, "write_own_wheel", wheel_stub)
    other = altered(bench.package, bench.folder / "other", python="3.99")
    fix = "give an image of Python 3.99 with its exact tag"
    yield fix, lambda: write_build_folder(other, bench.folder / "image")
    yield DONE, lambda: write_build_folder(other, bench.folder / "image", "own/python:3.99.1")


@case
def a_source_folder_that_is_gone(bench: Bench, patch: Patch) -> Steps:
    source = bench.folder / "source"
    patch.setattr(own_wheel, "_editable", lambda _: source)
    failed = CompletedProcess([], 1, "", "ERROR: Directory is not installable")
    _answering(patch, own_wheel, failed)
    yield f"run pip wheel {source} to see why", lambda: own_wheel.write_own_wheel(bench.folder)
    _answering(patch, own_wheel, _OK)
    yield DONE, lambda: (wheel_stub(bench.folder), own_wheel.write_own_wheel(bench.folder))


@case
def an_index_that_does_not_answer(bench: Bench, patch: Patch) -> Steps:
    wanted = Requirements({"tiny-part": "1.0"})
    fix = "check the index that pip is set to use, or leave --hashes out"
    _answering(patch, wheel_hashes, subprocess.TimeoutExpired("pip", 300))
    yield fix, lambda: with_hashes(wanted)
    _answering(patch, wheel_hashes, CompletedProcess([], 1, "", "ERROR: no such index"))
    yield fix, lambda: with_hashes(wanted)
    yield DONE, bench.make


@case
def another_build_in_the_index(bench: Bench, patch: Patch) -> Steps:
    patch.syspath_prepend(str(bench.folder / "site"))
    installed(bench.folder / "site", tag="cp311-cp311-linux_x86_64")
    found = {
        "metadata": {"name": "tiny-part"},
        "download_info": {
            "url": "file:///tiny_part-1.0-py3-none-any.whl",
            "archive_info": {"hashes": {"sha256": "a" * 64}},
        },
    }
    patch.setattr(wheel_hashes, "_report", lambda _: [found])
    wanted = Requirements({"tiny-part": "1.0"})
    yield "install that one, or leave --hashes out", lambda: with_hashes(wanted)
    _reinstalled(bench.folder / "site")
    yield DONE, lambda: with_hashes(wanted)


def _reinstalled(site: Path) -> None:
    wheel = next(site.glob("*.dist-info")) / "WHEEL"
    wheel.write_text("Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
