"""`[schema_registry]`: the property names of Confluent's registry client, flattened; secrets from files.

Asking a registry is in `kafka.confluent_registry`, and importing its client is not done here: it is an extra.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from stream_infer.config.problems import HIDDEN, describe_error, nearest
from stream_infer.config.properties import from_file, leaf_properties
from stream_infer.flow.errors import Problem
from stream_infer.kafka.client import Secret, is_secret

SECTION = "schema_registry"
URL = "url"
_SCHEMES = frozenset({"http", "https", "mock"})

_NUMBERS = """
    cache.capacity cache.latest.ttl.sec max.retries retries.max.wait.ms retries.wait.ms timeout
"""
_TEXTS = """
    basic.auth.user.info bearer.auth.client.id bearer.auth.client.secret bearer.auth.credentials.source
    bearer.auth.identity.pool.id bearer.auth.issuer.endpoint.query bearer.auth.issuer.endpoint.url
    bearer.auth.logical.cluster bearer.auth.scope bearer.auth.token proxy ssl.ca.location
    ssl.certificate.location ssl.key.location ssl.key.password url
"""
_NUMBER_NAMES, _TEXT_NAMES = frozenset(_NUMBERS.split()), frozenset(_TEXTS.split())

Value = str | float | Secret


@dataclass(frozen=True, slots=True)
class RegistryProperties:
    """The user's properties of the registry's client."""

    values: Mapping[str, Value]

    @property
    def url(self) -> str:
        """The addresses, as given."""
        return str(self.values[URL])

    def plain(self) -> dict[str, str | float]:
        """Return the properties with their secrets, for the client only."""
        return {name: v.text if isinstance(v, Secret) else v for name, v in self.values.items()}


def flatten_properties(table: object) -> tuple[dict[str, object], list[Problem]]:
    """Return the properties under their dotted names."""
    if not isinstance(table, Mapping):
        shown = describe_error(SECTION, table)
        return {}, [Problem(SECTION, shown, "must be a table", f"write [{SECTION}]")]
    return dict(leaf_properties(table, "")), []


def parse_registry(
    flat: Mapping[str, object], folder: Path
) -> tuple[RegistryProperties | None, Sequence[Problem]]:
    """Turn flattened properties into checked ones; None without any, or without a usable address."""
    values: dict[str, Value] = {}
    problems: list[Problem] = []
    for name, value in flat.items():
        outcome = _value(name, value, folder)
        if isinstance(outcome, Problem):
            problems.append(outcome)
        else:
            values[name] = outcome
    if flat and URL not in flat:
        problems.append(_no_url("is required"))
    return RegistryProperties(values) if URL in values else None, problems


def missing(framing_key: str) -> Problem:
    """Return the problem of a framing that needs a registry where there is none."""
    return _no_url(f'is required, for {framing_key} is "confluent"')


def _no_url(message: str) -> Problem:
    fix = f'add it to [{SECTION}], for example url = "http://localhost:8081"'
    return Problem(f"{SECTION}.{URL}", "", message, fix)


def _value(name: str, value: object, folder: Path) -> Value | Problem:
    key = f"{SECTION}.{name}"
    if name not in _NUMBER_NAMES | _TEXT_NAMES:
        match = nearest(name, _NUMBER_NAMES | _TEXT_NAMES)
        fix = f"did you mean {match}?" if match else "remove it or correct its name"
        return Problem(key, HIDDEN, "is no property of the schema registry's client", fix)
    if isinstance(value, Mapping):
        read = from_file(key, value, folder)
        return (
            read
            if isinstance(read, Problem)
            else Secret(str(read.text if isinstance(read, Secret) else read))
        )
    if name in _NUMBER_NAMES:
        return _number(key, value)
    if name == URL:
        return _url(key, value)
    if not isinstance(value, str) or not value.strip():
        return Problem(key, describe_error(key, value), "must be text", "write it in quotes")
    return Secret(value) if is_secret(name) else value


def _number(key: str, value: object) -> float | Problem:
    try:
        number = (
            float(value) if isinstance(value, (int, float, str)) and not isinstance(value, bool) else -1.0
        )
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        return Problem(
            key, describe_error(key, value), "must be a number, 0 or more", "write it without a unit"
        )
    return number


def _url(key: str, value: object) -> str | Problem:
    addresses = value if isinstance(value, list) else str(value).split(",") if isinstance(value, str) else []
    for problem in _address_problems(key, addresses):
        return problem
    return ",".join(address.strip() for address in addresses)


def _address_problems(key: str, addresses: Sequence[object]) -> Iterator[Problem]:
    example = 'for example "http://localhost:8081"'
    if not addresses:
        yield Problem(key, "", "must be an address", example)
    for address in addresses:
        try:
            parts = urlsplit(address.strip()) if isinstance(address, str) else None
        except ValueError:
            parts = None
        if parts is not None and "@" in parts.netloc:
            yield Problem(key, HIDDEN, "has a password in it", "move it to basic.auth.user.info")
        elif parts is None or parts.scheme not in _SCHEMES or not parts.netloc:
            yield Problem(key, describe_error(key, address), "is no address of a registry", example)
