"""Every setting as a row: key, variable, default, unit, example, description.

The rows come from the fields of the sections. Messages and defaults use them at run time; the pages of the
documentation are generated from them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar, get_args, get_origin

from pydantic.fields import FieldInfo

from stream_infer.config.environment import variable_of
from stream_infer.config.sections import Section
from stream_infer.config.values import DerivedDefault, HostDefault, Unit

_Metadata = TypeVar("_Metadata")


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of worker.toml. `section` is "" at the top level."""

    section: str
    name: str
    field: FieldInfo = field(repr=False)

    @property
    def key(self) -> str:
        """The dotted key."""
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return variable_of(self.key)

    @property
    def description(self) -> str:
        """What it sets, in sentences."""
        return self.field.description or ""

    @property
    def example(self) -> str:
        """A line of TOML that sets it."""
        return f"{self.name} = {toml(self.field.examples[0])}" if self.field.examples else ""

    @property
    def takes_list(self) -> bool:
        """Whether its value is a list, or a table, which in a variable is JSON."""
        kinds = (self.field.annotation, *get_args(self.field.annotation))
        return any(get_origin(kind) in {tuple, Mapping} for kind in kinds)

    @property
    def unit(self) -> str:
        """The unit of its number, or "" where there is none."""
        unit = self._metadata(Unit)
        return unit.name if unit else ""

    @property
    def derived(self) -> DerivedDefault | None:
        """How its default follows from another setting."""
        return self._metadata(DerivedDefault)

    @property
    def default(self) -> str | None:
        """Its default as TOML or in words, "" where it is unset, or None where the key is required."""
        derived, host = self.derived, self._metadata(HostDefault)
        if host is not None:
            return host.text
        if derived is not None:
            return derived.shown
        if self.field.is_required():
            return None
        return "" if self.field.default is None else toml(self.field.default)

    def _metadata(self, kind: type[_Metadata]) -> _Metadata | None:
        return next((one for one in self.field.metadata if isinstance(one, kind)), None)


def settings_of(model: type[Section]) -> Iterator[Setting]:
    """Yield the settings of the whole document, section by section, in their order.

    Sections whose keys belong to a client (`[kafka]`, `[schema_registry]`) are not in it.
    """
    for name, info in model.model_fields.items():
        kind = info.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            section = info.alias or name
            yield from (Setting(section, f.alias or key, f) for key, f in kind.model_fields.items())
        elif kind is str:
            yield Setting("", name, info)


def toml(value: Any) -> str:  # noqa: ANN401 - a value of any setting
    """Return `value` as TOML writes it."""
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {toml(one)}' for key, one in value.items())} }}"
    return json.dumps(value, ensure_ascii=False)
