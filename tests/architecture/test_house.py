from __future__ import annotations

import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import stream_infer
from tests.architecture.tree import ROOT, files

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
LATER = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "X" * 3)) + r")\b")
SUPPRESSED = re.compile(r"#\s*noqa(?!: [A-Z]+\d+(, ?[A-Z]+\d+)* - \w)")


def lines() -> Iterator[tuple[str, str]]:
    for path in files():
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
            yield f"{path.relative_to(ROOT)}:{number}", line


def pyproject() -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return project


NEWEST, FLOORS = "constraints.txt", "constraints-floors.txt"


def pins(name: str) -> list[Requirement]:
    text = (ROOT / name).read_text("utf-8")
    return [Requirement(line) for line in text.splitlines() if line and not line.startswith("#")]


def required() -> list[Requirement]:
    project = pyproject()
    extras = project["optional-dependencies"]
    return [Requirement(r) for r in [*project["dependencies"], *chain.from_iterable(extras.values())]]


def test_nothing_is_left_for_later() -> None:
    assert [where for where, line in lines() if LATER.search(line)] == []


def test_every_suppression_names_its_rule_and_its_reason() -> None:
    assert [
        where for where, line in lines() if where.split(":")[0].endswith(".py") and SUPPRESSED.search(line)
    ] == []


def test_commands_print_through_the_one_door_that_cleans_what_others_wrote() -> None:
    doors = {"output.py", "printing.py", "main.py"}

    assert [
        where
        for where, line in lines()
        if where.startswith("stream_infer/cli/")
        and where.split(":")[0].rpartition("/")[2] not in doors
        and re.search(r"typer\.(echo|secho)\(|\bprint\(|sys\.std(out|err)", line)
    ] == []


def test_the_changelog_tells_of_this_version() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")

    assert f"## [{stream_infer.__version__}]" in changelog


@pytest.mark.parametrize("name", [NEWEST, FLOORS])
def test_constraints_are_exact_and_name_no_place(name: str) -> None:
    for pin in pins(name):
        (specifier,) = pin.specifier
        assert specifier.operator == "==", pin
        assert "*" not in specifier.version, pin
        assert pin.url is None, pin
        assert not pin.extras, pin
    assert "://" not in (ROOT / name).read_text("utf-8")


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_has_one_pin_that_satisfies_it(python: str) -> None:
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    pinned: dict[str, list[str]] = {}
    for pin in pins(NEWEST):
        if pin.marker is None or pin.marker.evaluate(environment):
            pinned.setdefault(canonicalize_name(pin.name), []).append(next(iter(pin.specifier)).version)

    assert [name for name, versions in pinned.items() if len(versions) != 1] == []
    for requirement in required():
        (version,) = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), requirement


def test_the_tests_run_with_the_lowest_version_of_every_dependency() -> None:
    lowest = {canonicalize_name(pin.name): next(iter(pin.specifier)).version for pin in pins(FLOORS)}
    project = pyproject()
    needed = [
        Requirement(r) for r in chain(project["dependencies"], project["optional-dependencies"]["test"])
    ]

    for requirement in needed:
        for bound in requirement.specifier:
            assert Version(lowest[canonicalize_name(requirement.name)]) == Version(bound.version), requirement
    assert FLOORS in (ROOT / ".ci/run").read_text("utf-8")


def test_the_supported_pythons_are_those_that_are_pinned() -> None:
    classifiers = pyproject()["classifiers"]

    listed = [
        c.rpartition(" ")[2] for c in classifiers if c.startswith("Programming Language :: Python :: 3.")
    ]
    assert listed == list(PYTHONS)


def test_the_run_that_checks_everything_is_a_valid_script() -> None:
    script = ROOT / ".ci" / "run"

    assert os.access(script, os.X_OK)
    subprocess.run(["bash", "-n", str(script)], check=True)
