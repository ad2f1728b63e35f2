"""The documents, the JSON schema for editors and the code know the same settings."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from stream_infer.config import schema_registry
from stream_infer.config.reference import Setting
from stream_infer.config.settings import SETTINGS, Settings, parse_settings
from stream_infer.kafka.client import OWNED
from tests.architecture import pages
from tests.architecture.tree import ROOT, fenced
from tests.support.json_schema import faults

SCHEMA: dict[str, Any] = json.loads((ROOT / "docs" / "worker.schema.json").read_text("utf-8"))
PAGE = (ROOT / "docs" / "configuration.md").read_text("utf-8")
KEYS = {setting.key for setting in SETTINGS}
OTHER_VARIABLES = {
    "STREAM_INFER_CONFIG",
    "STREAM_INFER_LOG_LEVEL",
    "STREAM_INFER_LOG_FORMAT",
    "STREAM_INFER_TEST_BOOTSTRAP",
    "STREAM_INFER_TEST_CLIENTS",
    "STREAM_INFER_BATCH_KILLS",
    "STREAM_INFER_PARITY_EVENTS",
    "STREAM_INFER_REQUIRE_SPARK",
    "STREAM_INFER_STALLS",
    "STREAM_INFER_TEST_KAFKA",
    "STREAM_INFER_TEST_MODELS",
    "STREAM_INFER_TEST_AXE",
    "STREAM_INFER_PICTURE",
}
DOCUMENTS = [
    *(
        (pages.name(page), block)
        for page in pages.pages()
        for block in fenced(page.read_text("utf-8"), "toml")
    ),
    ("deploy/worker.toml", (ROOT / "deploy" / "worker.toml").read_text("utf-8")),
]
every_page = pytest.mark.parametrize("page", pages.pages(), ids=pages.name)
by_key = pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)


@by_key
def test_the_page_has_every_setting_with_its_variable_and_description(setting: Setting) -> None:
    assert f"| `{setting.name}`<br>`{setting.variable}` |" in PAGE
    assert setting.description in PAGE


@pytest.mark.parametrize("name", [*OWNED, *(key.name for key in schema_registry.KEYS)])
def test_the_page_has_every_property_that_is_refused_or_that_the_registry_takes(name: str) -> None:
    assert f"| `{name}` |" in PAGE


@by_key
def test_the_schema_takes_the_example_and_the_default_of_every_setting(setting: Setting) -> None:
    for value in (setting.example, f"{setting.name} = {setting.default}"):
        if (setting.default and "<" not in setting.default) or value == setting.example:
            document: dict[str, Any] = tomllib.loads(value)
            for name in reversed(setting.section.split(".") if setting.section else []):
                document = {name: document}
            assert list(faults(SCHEMA, document)) == []


@pytest.mark.parametrize(("name", "text"), DOCUMENTS, ids=[name for name, _ in DOCUMENTS])
def test_the_schema_takes_every_configuration_that_is_shown(name: str, text: str) -> None:
    assert list(faults(SCHEMA, tomllib.loads(text))) == [], name


def test_the_configuration_of_the_compose_file_is_accepted() -> None:
    document = tomllib.loads((ROOT / "deploy" / "worker.toml").read_text("utf-8"))

    assert parse_settings(document, {}, folder=Path()).problems == ()


WRONG = {
    "a key at the top": ("pipelines = 1", ".pipelines"),
    "a key of a section": ("[http]\nports = 1", ".http.ports"),
    "a section that is a number": ("http = 1", ".http"),
    "a number out of range": ("[http]\nport = 70000", ".http.port"),
    "no budget": ("[monitoring]\nfalse_alarms = 0", ".monitoring.false_alarms"),
    "a choice": ('[input]\nframing = "json"', ".input.framing"),
    "a name": ('pipeline = "Pay_Fraud"', ".pipeline"),
    "a duration": ('[labels]\nmax_delay = "a week"', ".labels.max_delay"),
    "no topic": ("[input]\ntopics = []", ".input.topics"),
    "a property of the worker": ('[kafka]\n"group.id" = "x"', ".kafka.group.id"),
    "a property of the worker in a scope": ("[kafka.producer]\nacks = 1", ".kafka.producer.acks"),
}


@pytest.mark.parametrize(("text", "path"), WRONG.values(), ids=WRONG.keys())
def test_the_schema_refuses_what_the_worker_refuses(text: str, path: str) -> None:
    document = tomllib.loads(text)

    assert list(faults(SCHEMA, document)) == [path]
    problems = parse_settings(document, {}, folder=Path()).problems
    assert path.removeprefix(".") in {problem.key for problem in problems}


def test_the_schema_has_every_section_and_requires_no_key() -> None:
    nested = {"limits"}
    assert set(SCHEMA["properties"]) == set(Settings.model_fields) - nested
    assert nested <= set(SCHEMA["properties"]["monitoring"]["properties"])
    assert '"required"' not in json.dumps(SCHEMA)


@every_page
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    named = {f"{section}.{key}" for section, key in re.findall(r"`\[(\w+)\] (\w+)[` ]", text)}

    client = {key for key in named if key.startswith(("kafka.", "schema_registry."))}
    assert named - client - KEYS == set()


@every_page
def test_every_variable_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"STREAM_INFER_[A-Z_]+[A-Z][A-Z0-9]*", page.read_text("utf-8")))

    client = {
        name for name in named if name.startswith(("STREAM_INFER_KAFKA__", "STREAM_INFER_SCHEMA_REGISTRY__"))
    }
    assert named - client - OTHER_VARIABLES - {setting.variable for setting in SETTINGS} == set()
