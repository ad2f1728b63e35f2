"""The architecture page is true: its layers are those of the contracts, its threads those of the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from stream_infer.flow.codes import EventType
from tests.architecture.tree import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PACKAGE = ROOT / "stream_infer"


def section(title: str) -> str:
    return re.split(r"\n##+ ", PAGE.partition(f"\n## {title}\n")[2])[0]


def sources() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if "__pycache__" not in path.parts)


def test_its_layers_are_those_that_are_held() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layers = next(one["layers"] for one in contracts["contracts"] if one["id"] == "layers")

    rows = re.findall(r"^\| \d+ \| (.+) \|$", section("Layers"), re.MULTILINE)
    assert [set(re.findall(r"`(\w+)`", row)) for row in rows] == [set(layer.split(" | ")) for layer in layers]


def test_every_package_has_a_line() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}

    assert set(re.findall(r"^\| `(\w+)` \|", section("Layers"), re.MULTILINE)) == packages


def test_every_thread_of_a_worker_has_a_line() -> None:
    named = {
        name
        for path in sources()
        if "demo" not in path.parts
        for name in re.findall(r"Thread\([^)]*name=\"([\w-]+)\"", path.read_text("utf-8"))
    }

    assert named
    assert [name for name in named if f"`{name}`" not in section("Threads and processes")] == []


KERNEL = ("flow", "common", "runtime", "kafka", "rollout", "store", "steps/scoring", "steps/observing")


@pytest.mark.parametrize("folder", KERNEL)
def test_every_file_of_the_kernel_has_a_line(folder: str) -> None:
    listed = PAGE.partition(f"\n### {folder}\n")[2].partition("\n##")[0]
    there = {path.name for path in (PACKAGE / folder).glob("*.py")} - {"__init__.py"}

    assert set(re.findall(r"^\| `(\w+\.py)` \|", listed, re.MULTILINE)) == there, "docs/architecture.md"


def test_every_module_that_it_names_exists() -> None:
    modules = {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")
        for path in sources()
    }
    packages = "|".join(path.parent.name for path in PACKAGE.glob("*/__init__.py"))

    named = re.findall(rf"`((?:{packages})\.[a-z_.]+)(?:\.[A-Z]\w+)?`", PAGE)
    assert named
    assert set(named) - modules - set(EventType) == set()
