"""The reference of settings: each is described, has an example that is accepted, and shows its default."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from stream_infer.config import schema_registry
from stream_infer.config.reference import Setting
from stream_infer.config.settings import SETTINGS, Settings, parse_settings

BASE = """\
pipeline = "payments.fraud"
[kafka]
"bootstrap.servers" = "localhost:9092"
[input]
topics = ["payments.transactions.events.v1"]
schema = "schemas/transaction.avsc"
[model]
package = "models/fraud-1.2.0"
[monitoring]
topic = "lab.monitoring.v1"
[labels]
topic = "lab.labels.v1"
[schema_registry]
url = "http://localhost:8081"
"""
UNITS = {"_ms": "milliseconds", "_bytes": "bytes", "_records": "records", "_days": "days"}
FIXED = [setting for setting in SETTINGS if setting.default and "<" not in setting.default]
by_key = pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.key)


def laid_over(section: str, line: str) -> dict[str, object]:
    """Return BASE with one more line in a section."""
    document = tomllib.loads(BASE)
    table: dict[str, Any] = document
    for name in section.split(".") if section else []:
        table = table.setdefault(name, {})
    table.update(tomllib.loads(line))
    if section == "model" and "store" in table:
        del table["package"]
    return document


@by_key
def test_every_setting_is_described(setting: Setting) -> None:
    assert re.fullmatch(r"[A-Z].+[.]", setting.description)


@by_key
def test_every_example_is_accepted_and_differs_from_the_default(setting: Setting) -> None:
    reading = parse_settings(laid_over(setting.section, setting.example), {}, folder=Path())

    assert reading.problems == ()
    assert setting.example != f"{setting.name} = {setting.default}"


@by_key
def test_a_number_has_its_unit_where_its_name_has_one(setting: Setting) -> None:
    unit = next((unit for suffix, unit in UNITS.items() if setting.name.endswith(suffix)), None)

    assert unit is None or setting.unit == unit


@pytest.mark.parametrize("setting", FIXED, ids=lambda setting: setting.key)
def test_the_default_that_is_shown_is_the_default(setting: Setting) -> None:
    written = laid_over(setting.section, f"{setting.name} = {setting.default}")

    without = parse_settings(tomllib.loads(BASE), {}, folder=Path()).settings
    assert parse_settings(written, {}, folder=Path()).settings == without


@by_key
def test_a_default_that_depends_on_other_settings_names_them(setting: Setting) -> None:
    names = re.findall("<(.+)>", setting.default or "")

    assert set(names) <= {one.key for one in SETTINGS} | {"host name"}


def test_every_section_is_described() -> None:
    assert all((field.description or "").endswith(".") for field in Settings.model_fields.values())


@pytest.mark.parametrize("key", schema_registry.KEYS, ids=lambda key: key.name)
def test_every_property_of_the_registry_has_an_example_that_is_accepted(
    key: schema_registry.RegistryKey, tmp_path: Path
) -> None:
    (tmp_path / "registry.secret").write_text("secret")

    document = laid_over("schema_registry", f'"{key.name}" = {key.example}')

    assert parse_settings(document, {}, folder=tmp_path).problems == ()
    assert key.description.endswith(".")
