"""`[schema_registry]`: properties of Confluent's registry client under dotted names. Secrets come from files.

`kafka.confluent_registry` asks a registry. Its client, an extra, is not imported here.
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


@dataclass(frozen=True, slots=True)
class RegistryKey:
    """One property of the registry's client. `example` is in TOML; `number` where values are numbers."""

    name: str
    description: str
    example: str
    number: bool = False


_FROM_FILE = '{ file = "registry.secret" }'
KEYS: tuple[RegistryKey, ...] = (
    RegistryKey(URL, "Addresses of the registry, separated by commas. Required.", '"http://localhost:8081"'),
    RegistryKey(
        "timeout",
        "Most time that a request may take as a whole, in seconds; 5 unless set.",
        "2.5",
        number=True,
    ),
    RegistryKey("max.retries", "Retries of a failed request; 0 unless set.", "2", number=True),
    RegistryKey("retries.wait.ms", "Wait before the first retry, in milliseconds.", "500", number=True),
    RegistryKey("retries.max.wait.ms", "Longest wait before a retry, in milliseconds.", "5000", number=True),
    RegistryKey("cache.capacity", "Most schemas in the cache of the client.", "1000", number=True),
    RegistryKey(
        "cache.latest.ttl.sec",
        "How long the newest schema of a subject is cached, in seconds.",
        "60",
        number=True,
    ),
    RegistryKey("proxy", "Address of an HTTP proxy.", '"http://localhost:8030"'),
    RegistryKey("basic.auth.user.info", "User and password, as `user:password`.", _FROM_FILE),
    RegistryKey(
        "bearer.auth.credentials.source",
        "Source of the bearer token: OAUTHBEARER or STATIC_TOKEN.",
        '"OAUTHBEARER"',
    ),
    RegistryKey("bearer.auth.token", "Bearer token, for STATIC_TOKEN.", _FROM_FILE),
    RegistryKey("bearer.auth.client.id", "OAuth client id.", '"stream-infer"'),
    RegistryKey("bearer.auth.client.secret", "OAuth client secret.", _FROM_FILE),
    RegistryKey("bearer.auth.scope", "OAuth scope.", '"schema-registry"'),
    RegistryKey(
        "bearer.auth.issuer.endpoint.url",
        "Address that gives OAuth tokens.",
        '"https://login.example/oauth2/token"',
    ),
    RegistryKey("bearer.auth.issuer.endpoint.query", "Query of that address.", '"api-version=2"'),
    RegistryKey("bearer.auth.logical.cluster", "Logical cluster of Confluent Cloud.", '"lsrc-12345"'),
    RegistryKey("bearer.auth.identity.pool.id", "Identity pool of Confluent Cloud.", '"pool-12345"'),
    RegistryKey("ssl.ca.location", "File or folder of the certificates to trust, PEM.", '"/etc/ssl/ca.pem"'),
    RegistryKey("ssl.certificate.location", "Certificate of this client, PEM.", '"/etc/ssl/client.pem"'),
    RegistryKey("ssl.key.location", "Private key of this client, PEM.", '"/etc/ssl/client.key"'),
    RegistryKey("ssl.key.password", "Password of that key.", _FROM_FILE),
)
"""The properties of `[schema_registry]`."""
_NUMBER_OF = {key.name: key.number for key in KEYS}

Value = str | float | Secret


@dataclass(frozen=True, slots=True)
class RegistryProperties:
    """The properties of the registry's client, as the user set them."""

    values: Mapping[str, Value]

    @property
    def url(self) -> str:
        """The addresses, as given."""
        return str(self.values[URL])

    def plain(self) -> dict[str, str | float]:
        """Return the properties with their secrets in plain text, for the client only."""
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
    """Return the checked properties; None where there are none, or no valid address."""
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
    return _no_url(f'is required because {framing_key} is "confluent"')


def _no_url(message: str) -> Problem:
    fix = f'add it to [{SECTION}], for example url = "http://localhost:8081"'
    return Problem(f"{SECTION}.{URL}", "", message, fix)


def _value(name: str, value: object, folder: Path) -> Value | Problem:
    key = f"{SECTION}.{name}"
    if name not in _NUMBER_OF:
        match = nearest(name, _NUMBER_OF)
        fix = f"did you mean {match}?" if match else "remove it or correct its name"
        return Problem(key, HIDDEN, "is not a property of the schema registry's client", fix)
    if isinstance(value, Mapping):
        read = from_file(key, value, folder)
        return (
            read
            if isinstance(read, Problem)
            else Secret(str(read.text if isinstance(read, Secret) else read))
        )
    if _NUMBER_OF[name]:
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
            yield Problem(key, HIDDEN, "contains a password", "move it to basic.auth.user.info")
        elif parts is None or parts.scheme not in _SCHEMES or not parts.netloc:
            yield Problem(key, describe_error(key, address), "is not the address of a registry", example)
