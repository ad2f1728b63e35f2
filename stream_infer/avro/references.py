"""One schema out of several: types that a schema refers to are defined inside it.

A registry keeps shared types as schemas of their own, to which others refer. Avro defines a type where it is
first used, so each definition goes there. `schemas` checks the result.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stream_infer.avro.parsing import MAX_DEPTH, SchemaRefused

_DEFINING = frozenset({"record", "error", "enum", "fixed"})


def inline_references(text: str, referred: Sequence[str]) -> str:
    """Return `text` with the types of the schemas `referred` defined in it. Raises `SchemaRefused`."""
    if not referred:
        return text
    named: dict[str, object] = {}
    for other in referred:
        definition = _json(other)
        name = _full_name(definition, "")
        if name is None:
            raise SchemaRefused("A schema that is referred to defines no type with a name.")
        named[name] = definition
    return json.dumps(_Inliner(named).inline(_json(text), "", 0))


@dataclass(slots=True)
class _Inliner:
    """The definitions by name, and the names that are defined in the schema so far."""

    named: Mapping[str, object]
    defined: set[str] = field(default_factory=set)

    def inline(self, kind: object, namespace: str, depth: int) -> object:
        """Return `kind`, whose namespace is `namespace`, with definitions in place of names."""
        if depth > 2 * MAX_DEPTH:
            raise SchemaRefused(f"The schema is nested more than {MAX_DEPTH} deep.")
        if isinstance(kind, str):
            return self._named(kind, namespace, depth)
        if isinstance(kind, list):
            return [self.inline(branch, namespace, depth + 1) for branch in kind]
        if not isinstance(kind, dict):
            return kind
        name = _full_name(kind, namespace)
        if name is None:
            inner = {key: kind[key] for key in ("type", "items", "values") if key in kind}
            return {**kind, **{key: self.inline(each, namespace, depth + 1) for key, each in inner.items()}}
        self.defined.add(name)
        space, _, short = name.rpartition(".")
        # The namespace is written out: a definition may stand inside that of another namespace now.
        definition = {**kind, "name": short, "namespace": space}
        if isinstance(kind.get("fields"), list):
            definition["fields"] = [self._field(each, space, depth + 1) for each in kind["fields"]]
        return definition

    def _field(self, json_field: object, namespace: str, depth: int) -> object:
        if not isinstance(json_field, dict) or "type" not in json_field:
            return json_field
        return {**json_field, "type": self.inline(json_field["type"], namespace, depth)}

    def _named(self, name: str, namespace: str, depth: int) -> object:
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        if full in self.defined or full not in self.named:
            return name
        return self.inline(self.named[full], "", depth + 1)


def _full_name(kind: object, namespace: str) -> str | None:
    if not isinstance(kind, dict) or not isinstance(kind.get("type"), str) or kind["type"] not in _DEFINING:
        return None
    name, own = kind.get("name"), kind.get("namespace", namespace)
    if not isinstance(name, str):
        return None
    return name if "." in name or not own else f"{own}.{name}"


def _json(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SchemaRefused(f"The schema is not JSON: {error}.") from error
