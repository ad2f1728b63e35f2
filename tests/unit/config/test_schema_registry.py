"""`[schema_registry]`: addresses, credentials that do not print, and names that the client does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_infer.avro.framing import Framing
from stream_infer.config.schema_registry import RegistryProperties
from stream_infer.config.settings import Settings, SettingsResult, load_settings, read_settings

FILE = """\
pipeline = "payments.fraud"
[kafka]
"bootstrap.servers" = "localhost:9092"
[input]
topics = ["a"]
framing = "confluent"
[model]
package = "m"
[schema_registry]
{registry}
"""
URL = 'url = "https://one:8081"'


def written(folder: Path, registry: str) -> Path:
    file = folder / "worker.toml"
    file.write_text(FILE.format(registry=registry), "utf-8")
    return file


def reading(folder: Path, registry: str, **variables: str) -> SettingsResult:
    return read_settings(written(folder, registry), {f"STREAM_INFER_{n}": v for n, v in variables.items()})


def registry_of(settings: Settings) -> RegistryProperties:
    assert settings.schema_registry is not None
    return settings.schema_registry


def test_names_may_be_nested_and_numbers_are_numbers(tmp_path: Path) -> None:
    settings = load_settings(
        written(tmp_path, f'{URL}\ntimeout = 2\n"ssl.ca.location" = "x.pem"\nssl.key.location = "k"'), {}
    )

    assert registry_of(settings).plain() == {
        "url": "https://one:8081",
        "timeout": 2.0,
        "ssl.ca.location": "x.pem",
        "ssl.key.location": "k",
    }


def test_the_output_is_framed_as_the_input_and_the_schema_may_be_left_out(tmp_path: Path) -> None:
    settings = load_settings(written(tmp_path, URL), {})

    assert settings.output.framing is Framing.CONFLUENT
    assert settings.input.schema_path is None


def test_several_addresses_are_a_list_or_separated_by_commas(tmp_path: Path) -> None:
    for text in ('url = ["http://a:1", "http://b:2"]', 'url = "http://a:1, http://b:2"'):
        assert registry_of(load_settings(written(tmp_path, text), {})).url == "http://a:1,http://b:2"


def test_credentials_are_read_from_files_and_never_print(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hunter2\n")
    text = f'{URL}\nbasic.auth.user.info = "me:hunter1"\nbearer.auth.token = {{ file = "token" }}'

    settings = load_settings(written(tmp_path, text), {})

    assert registry_of(settings).plain()["basic.auth.user.info"] == "me:hunter1"
    assert registry_of(settings).plain()["bearer.auth.token"] == "hunter2"
    assert "hunter" not in f"{settings!r} {settings}"


def test_the_environment_wins_with_underscores_for_dots(tmp_path: Path) -> None:
    read_in = reading(
        tmp_path,
        URL,
        SCHEMA_REGISTRY__URL="http://two:1",
        SCHEMA_REGISTRY__BASIC_AUTH_USER_INFO="me:x",
        SCHEMA_REGISTRY__TIMEOUT="1.5",
    )

    assert read_in.problems == ()
    assert read_in.settings is not None
    assert registry_of(read_in.settings).plain() == {
        "url": "http://two:1",
        "basic.auth.user.info": "me:x",
        "timeout": 1.5,
    }


@pytest.mark.parametrize(
    ("text", "key", "says"),
    [
        ("", "schema_registry.url", "input.framing"),
        ("timeout = 1", "schema_registry.url", "is required"),
        ('url = "localhost:8081"', "schema_registry.url", "not the address"),
        ("url = []", "schema_registry.url", "must be an address"),
        ('url = "https://me:hunter2@one"', "schema_registry.url", "contains a password"),
        (f"{URL}\nmax.retry = 1", "schema_registry.max.retry", "not a property"),
        (f'{URL}\ntimeout = "soon"', "schema_registry.timeout", "a number"),
        (f"{URL}\ntimeout = -1", "schema_registry.timeout", "a number"),
        (f"{URL}\nproxy = 1", "schema_registry.proxy", "must be text"),
        (f"{URL}\nbasic.auth.user.info = 5", "schema_registry.basic.auth.user.info", "must be text"),
        (
            f'{URL}\nbearer.auth.token = {{ file = "none" }}',
            "schema_registry.bearer.auth.token",
            "cannot be read",
        ),
    ],
)
def test_a_wrong_property_is_named_without_a_secret(tmp_path: Path, text: str, key: str, says: str) -> None:
    [problem] = reading(tmp_path, text).problems

    assert problem.key == key
    assert says in problem.message
    assert problem.fix
    assert "hunter2" not in f"{problem}"


def test_a_misspelt_name_is_answered_with_the_nearest(tmp_path: Path) -> None:
    [problem] = reading(tmp_path, f"{URL}\ntimout = 1").problems

    assert problem.fix == "did you mean timeout?"
