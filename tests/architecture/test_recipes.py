"""The recipes of the Makefile are those that pages, hooks and the run that checks everything call."""

from __future__ import annotations

import re

import yaml

from tests.architecture import pages
from tests.architecture.tree import ROOT

RECIPES = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))


def test_every_recipe_that_a_page_names_exists() -> None:
    named = {name for page in pages.pages() for name in re.findall(r"`make (\w+)`", page.read_text("utf-8"))}

    assert named
    assert named - RECIPES == set()


def test_hooks_are_local_and_call_recipes() -> None:
    hooks = [hook for repository in HOOKS["repos"] for hook in repository["hooks"]]

    assert {repository["repo"] for repository in HOOKS["repos"]} == {"local"}
    assert {hook["language"] for hook in hooks} == {"system"}
    assert {hook["entry"].removeprefix("make ") for hook in hooks} <= RECIPES


def test_the_run_that_checks_everything_calls_recipes() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    called = {name for line in re.findall(r"^  make (.+)$", script, re.MULTILINE) for name in line.split()}

    assert called == {"setup", "lint", "docs"}
    assert called <= RECIPES
