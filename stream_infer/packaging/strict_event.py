"""Checks a dict against a schema before it is encoded: what a writer would guess, cut or ignore is a problem.

Every problem of an event is found, each with its field. `strict_values` has the single values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

import numpy as np

from stream_infer.avro.schemas import Schema
from stream_infer.avro.types import (
    NO_DEFAULT,
    Array,
    Map,
    Record,
    Scalar,
    Type,
    Union,
    describe_type,
    is_null,
    is_nullable,
)
from stream_infer.packaging.strict_values import ValueMisfit, plain_value, shown

_NATURAL: Sequence[tuple[type, tuple[str, ...]]] = (
    (bool, ("boolean",)),
    (int, ("int", "long")),
    (float, ("float", "double")),
    (str, ("string",)),
)


def strict_event(schema: Schema, event: object) -> dict[str, Any]:
    """Return `event` with the values of `schema`; raise `ValueError` with everything that does not fit."""
    if not isinstance(event, Mapping):
        kind = type(event).__name__
        raise ValueError(f"the event is {kind}, not a dict; a frame has them in frame.to_dict('records')")  # noqa: TRY004 - one kind of answer
    checked = _Event()
    plain = checked.record(schema.root, event, "")
    if checked.problems:
        raise ValueError(f"the event does not fit the schema {schema.name}: {'; '.join(checked.problems)}")
    return plain


@dataclass(slots=True)
class _Event:
    """The problems of one event as they are found."""

    problems: list[str] = field(default_factory=list)

    def record(self, kind: Record, values: Mapping[str, object], path: str) -> dict[str, Any]:
        """Return the fields of `values`; one without a value takes its default, or null."""
        names = [one.name for one in kind.fields]
        for key in values:
            if key not in names:
                self.problems.append(f"key '{path}{key}' is no field of {kind.name}{_near(key, names)}")
        plain = {}
        for one in kind.fields:
            if one.name in values:
                plain[one.name] = self.value(one.type, values[one.name], path + one.name)
            elif one.default is NO_DEFAULT and not is_nullable(one.type):
                self.problems.append(f"field '{path}{one.name}' ({describe_type(one.type)}) is missing")
        return plain

    def value(self, kind: Type, value: object, path: str) -> Any:  # noqa: ANN401 - a value of any Avro type
        """Return `value` as a writer takes it; note what is wrong with it."""
        value = value.item() if isinstance(value, np.number | np.bool_) else value
        match kind, value:
            case Union(), _:
                return self._branch(kind, value, path)
            case Record(), Mapping():
                return self.record(kind, value, f"{path}.")
            case Map(), Mapping():
                return {str(key): self.value(kind.values, one, f"{path}.{key}") for key, one in value.items()}
            case Array(), Sequence() | np.ndarray() if not isinstance(value, str | bytes):
                return [self.value(kind.items, one, f"{path}[{at}]") for at, one in enumerate(value)]
        try:
            return plain_value(kind, value)
        except ValueMisfit as misfit:
            self.problems.append(f"field '{path}': {misfit}")
            return None

    def _branch(self, union: Union, value: object, path: str) -> Any:  # noqa: ANN401 - a value of any Avro type
        branches = [branch for branch in union.branches if not is_null(branch)]
        if value is None and is_nullable(union):
            return None
        tried = _Event()
        for branch in sorted(branches, key=lambda branch: not _is_natural(branch, value)):
            tried = _Event()
            plain = tried.value(branch, value, path)
            if not tried.problems:
                return plain
        if len(branches) == 1:
            self.problems += tried.problems
        else:
            kinds = ", ".join(map(describe_type, branches))
            self.problems.append(f"field '{path}': {shown(value)} is none of {kinds}")
        return None


def _near(key: object, names: Sequence[str]) -> str:
    folded = {name.casefold(): name for name in names}
    near = get_close_matches(str(key).casefold(), folded, n=1)
    return f"; did you mean '{folded[near[0]]}'?" if near else f", which has {', '.join(names)}"


def _is_natural(kind: Type, value: object) -> bool:
    """Return whether `kind` is the first choice for `value`: 3.0 is a double before it is a long."""
    kinds = next((kinds for known, kinds in _NATURAL if isinstance(value, known)), ())
    return isinstance(kind, Scalar) and kind.kind in kinds
