"""What the pages say can be typed, followed and read as configuration; what they name exists."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream_infer.avro.schemas import parse_schema
from stream_infer.config.settings import parse_settings
from stream_infer.ops.metric_table import TABLE
from tests.architecture import pages
from tests.architecture.tree import ROOT, fenced

PAGES = pages.pages()
every_page = pytest.mark.parametrize("page", PAGES, ids=pages.name)
ORDINARY = {
    ".", "cat", "cd", "curl", "docker", "make", "mkdir", "npm", "pip", "pre-commit", "pytest", "python",
    "python3",
}  # fmt: skip
CHECKED = {*pages.SHELLS, "avro", "json", "python", "toml", "yaml"}
SHOWN = {"text"}
WHOLE: Mapping[str, Any] = {
    "pipeline": "lab.cells",
    "kafka": {"bootstrap.servers": "localhost:9092"},
    "input": {"topics": ["lab.cells.events.v1"], "schema": "event.avsc"},
    "model": {"package": "cells-1.0.0"},
    "monitoring": {"topic": "lab.cells.monitoring.v1"},
}
"""What a part of a worker.toml is laid over, to be read as a whole one."""


def text(page: Path) -> str:
    return page.read_text("utf-8")


def laid_over(part: Mapping[str, Any]) -> dict[str, Any]:
    """Return WHOLE with `part` in it. A fixed package makes room for a store."""
    whole: dict[str, Any] = {**WHOLE, **part}
    for section, below in WHOLE.items():
        if isinstance(below, Mapping):
            whole[section] = {**below, **part.get(section, {})}
    if "store" in whole["model"]:
        del whole["model"]["package"]
    return whole


@every_page
def test_every_link_leads_to_a_file_or_a_heading(page: Path) -> None:
    assert list(pages.broken(page)) == []


@every_page
def test_every_block_has_a_language_that_is_checked_or_only_shown(page: Path) -> None:
    assert set(pages.languages(text(page))) <= CHECKED | SHOWN


@every_page
def test_every_command_exists_with_its_options(page: Path) -> None:
    for words in pages.commands(text(page)):
        program = next((word for word in words if "=" not in word), "")
        if program == "stream-infer":
            assert pages.unknown_options(words) == set(), words
        else:
            assert program in ORDINARY, words


@every_page
def test_every_configuration_is_accepted(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    for block in fenced(text(page), "toml"):
        document = tomllib.loads(block)
        for secret in re.findall(r'file = "([\w.]+)"', block):
            (tmp_path / secret).write_text("secret")
        for module, function in re.findall(r'token_provider = "(\w+):(\w+)"', block):
            (tmp_path / f"{module}.py").write_text(f"def {function}(config): ...")
        reading = parse_settings(
            document if "pipeline" in document else laid_over(document), {}, folder=tmp_path
        )
        assert reading.problems == (), block


@every_page
def test_every_python_block_compiles(page: Path) -> None:
    for block in fenced(text(page), "python"):
        compile(block, str(page), "exec")


@every_page
def test_every_document_can_be_parsed(page: Path) -> None:
    for block in fenced(text(page), "avro"):
        parse_schema(block)
    for block in fenced(text(page), "json"):
        json.loads(block)
    for block in fenced(text(page), "yaml"):
        yaml.safe_load(block)


@every_page
def test_every_metric_that_is_named_exists(page: Path) -> None:
    named = set(re.findall(r"`(stream_infer_[a-z_]*[a-z])", text(page)))

    assert named - {metric.name for metric in TABLE} == set()


@every_page
def test_every_file_that_is_named_exists(page: Path) -> None:
    named = re.findall(
        r"`((?:tests|stream_infer|schemas|deploy|examples)/[\w./-]+?)(?:::(\w+))?`", text(page)
    )

    for path, function in named:
        assert (ROOT / path).exists(), path
        assert not function or f"def {function}(" in (ROOT / path).read_text("utf-8"), function
