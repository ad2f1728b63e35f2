"""`STREAM_INFER_<SECTION>__<KEY>`: environment variables laid over worker.toml; unknown ones are problems.

The environment is passed in as a mapping; nothing here reads that of the process.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from stream_infer.config import token_provider
from stream_infer.config.problems import HIDDEN, nearest
from stream_infer.flow.errors import Problem

PREFIX = "STREAM_INFER_"
_DELIMITER = "__"
_TOP_LEVEL = "pipeline"
_KAFKA = "kafka"
_REGISTRY = "schema_registry"
_SCOPES = {_KAFKA: ("producer", "consumer"), _REGISTRY: ()}
"""The sections whose keys are properties of a client, where `_` stands for `.`, and their scopes."""
_NOT_DOTTED = frozenset({token_provider.NAME})


@dataclass(slots=True)
class Overlay:
    """The settings of the environment, nested like the file; `origin` maps a dotted key to its variable."""

    document: dict[str, object] = field(default_factory=dict)
    origin: dict[str, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def set(self, path: tuple[str, ...], value: object, variable: str) -> None:
        """Put `value` at `path`; a path through a value that is no table starts a table."""
        self.origin[".".join(path).removesuffix(".file")] = variable
        table = self.document
        for name in path[:-1]:
            inner = table.setdefault(name, {})
            if not isinstance(inner, dict):
                inner = table[name] = {}
            table = inner
        table[path[-1]] = value


def variable_of(key: str) -> str:
    """Return the variable that sets a dotted key."""
    return f"{PREFIX}{key.upper().replace('.', _DELIMITER)}"


def read_environment(environ: Mapping[str, str], known: Mapping[str, bool]) -> Overlay:
    """Return what the `STREAM_INFER_*__*` variables of `environ` set.

    `known` are the dotted keys of all settings, true where the value is a list. Variables without `__`
    (`STREAM_INFER_CONFIG`, `STREAM_INFER_LOG_LEVEL`, and those that Kubernetes makes for a Service of this
    name) are not settings, except `STREAM_INFER_PIPELINE`.
    """
    overlay = Overlay()
    for variable in sorted(environ):
        if not variable.startswith(PREFIX):
            continue
        parts = tuple(variable.removeprefix(PREFIX).lower().split(_DELIMITER))
        if parts == (_TOP_LEVEL,):
            overlay.set(parts, environ[variable], variable)
        elif len(parts) > 1:
            _read_one(overlay, parts, variable, environ[variable], known)
    return overlay


def _read_one(
    overlay: Overlay, parts: tuple[str, ...], variable: str, text: str, known: Mapping[str, bool]
) -> None:
    section, *rest = parts
    key = ".".join(parts)
    if section in _SCOPES and rest and all(rest):
        overlay.set((section, *_property(rest, _SCOPES[section])), text, variable)
    elif key in known:
        section, _, name = key.rpartition(".")
        overlay.set((section, name), _items(text) if known[key] else text, variable)
    else:
        overlay.problems.append(_unknown(variable, key, known))


def _property(parts: list[str], scopes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the path below the section: scope, dotted property name, `file` for a secret read from one."""
    scope = parts[:1] if parts[0] in scopes and len(parts) > 1 else []
    name = parts[len(scope) :]
    tail = name[-1:] if name[-1] == "file" and len(name) > 1 else []
    own = ".".join(name[: len(name) - len(tail)])
    return (*scope, own if own in _NOT_DOTTED else own.replace("_", "."), *tail)


def _items(text: str) -> object:
    if text.lstrip().startswith(("[", "{")):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return [item.strip() for item in text.split(",") if item.strip()]


def _unknown(variable: str, key: str, known: Iterable[str]) -> Problem:
    match = nearest(key, known)
    fix = f"did you mean {variable_of(match)}? Otherwise unset it" if match else "unset it"
    return Problem(variable, HIDDEN, "unknown setting", fix)
