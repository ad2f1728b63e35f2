"""Defaults that follow from other settings, and stand-ins for what is wrong, so that the rest can be checked.

Documents in, documents out: nothing is validated here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from stream_infer.avro.framing import Framing
from stream_infer.config.reference import Setting
from stream_infer.config.values import DerivedDefault, topic_name

_STAND_IN = "unnamed"
_FRAMING = "input.framing"


def with_defaults(document: Mapping[str, object], settings: Sequence[Setting]) -> dict[str, object]:
    """Return `document` with every section, and with the defaults that follow from other settings."""
    completed = {**{setting.section: {} for setting in settings if setting.section}, **document}
    for setting in settings:
        derived = setting.derived
        if derived is not None and (
            derived.only_with is None or _lookup(document, derived.only_with) is not None
        ):
            _set_default(completed, setting.key, _derive(document, derived))
    if _lookup(document, _FRAMING) == Framing.CONFLUENT:
        _set_default(completed, "input.schema", None)
    return completed


def with_stand_ins(document: Mapping[str, object], wrong: Iterable[tuple[str, ...]]) -> dict[str, object]:
    """Return `document` without what is at `wrong`, and with stand-ins for what is required."""
    repaired = dict(document)
    for section, *name in wrong:
        if name:
            repaired[section] = {k: v for k, v in table_of(repaired, section).items() if k != name[0]}
        else:
            repaired.pop(section, None)
    required: dict[str, object] = {"pipeline": _STAND_IN, "input.topics": [_STAND_IN]}
    if _lookup(repaired, _FRAMING) != Framing.CONFLUENT:
        required["input.schema"] = _STAND_IN
    if _lookup(repaired, "model.store") is None:
        required["model.package"] = _STAND_IN
    for key, stand_in in required.items():
        _set_default(repaired, key, stand_in)
    return repaired


def consequences(
    wrong: Iterable[str], document: Mapping[str, object], settings: Iterable[Setting]
) -> set[str]:
    """Return the keys that have their default from a key or section in `wrong`."""
    keys = set(wrong)
    return {
        setting.key
        for setting in settings
        if (derived := setting.derived) is not None
        and keys & {derived.source, derived.source.partition(".")[0]}
        and setting.name not in table_of(document, setting.section)
    }


def table_of(document: Mapping[str, object], section: str) -> Mapping[str, object]:
    """Return the table `section` of `document`, empty where there is none."""
    found = document.get(section)
    return found if isinstance(found, Mapping) else {}


def _derive(document: Mapping[str, object], derived: DerivedDefault) -> str:
    value = _lookup(document, derived.source)
    if derived.source == _FRAMING:
        return value if isinstance(value, str) else Framing.NONE
    first = value[0] if isinstance(value, (list, tuple)) and value else value
    return derived.template.format((topic_name(first) if isinstance(first, str) else "") or _STAND_IN)


def _lookup(document: Mapping[str, object], key: str) -> object:
    section, _, name = key.rpartition(".")
    return table_of(document, section).get(name) if section else document.get(name)


def _set_default(document: dict[str, object], key: str, value: object) -> None:
    """Set `key` where it is not there yet. A section that is no table stays."""
    section, _, name = key.rpartition(".")
    if not section:
        document.setdefault(name, value)
    elif isinstance(document.setdefault(section, {}), Mapping):
        document[section] = {name: value, **table_of(document, section)}
