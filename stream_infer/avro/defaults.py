"""Default values: from the JSON of a schema to a Python value of the field's type.

Bytes are text with one character a byte; a record takes the defaults of the fields that its own default
leaves out. `resolve` and `encode` use the values.
"""

from __future__ import annotations

from stream_infer.avro.types import NO_DEFAULT, Array, Enum, Fixed, Map, Record, Scalar, Type, Union

_INTEGERS = {"int": 2**31, "long": 2**63}


class DefaultRefused(ValueError):
    """A default that is not a value of its type."""


def value(kind: Type, json: object) -> object:
    """Return the value of `kind` that `json` stands for. Raises `DefaultRefused` when it is none."""
    match kind:
        case Scalar():
            return _scalar(kind, json)
        case Enum() if json in kind.symbols:
            return json
        case Fixed() if isinstance(json, str) and len(json) == kind.size:
            return _bytes(json)
        case Array() if isinstance(json, list):
            return [value(kind.items, item) for item in json]
        case Map() if isinstance(json, dict):
            return {key: value(kind.values, item) for key, item in json.items()}
        case Record() if isinstance(json, dict):
            return {field.name: _field(field.name, field.type, field.default, json) for field in kind.fields}
        case Union():
            return _union(kind, json)
    raise DefaultRefused("a default of the wrong type")


def _scalar(kind: Scalar, json: object) -> object:
    match kind.kind, json:
        case ("null", None) | ("boolean", bool()) | ("string", str()):
            return json
        case "bytes", str(text):
            return _bytes(text)
        case "float" | "double", int(number) | float(number) if json is not True and json is not False:
            return _float(number)
        case "int" | "long", int(number) if json is not True and json is not False:
            limit = _INTEGERS[kind.kind]
            if -limit <= number < limit:
                return number
    raise DefaultRefused(f"a default that is not {kind.kind}")


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError as error:
        raise DefaultRefused("a default that no double can hold") from error


def _bytes(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise DefaultRefused("a default for bytes with a character beyond U+00FF") from error


def _field(name: str, kind: Type, default: object, json: dict[str, object]) -> object:
    if name in json:
        return value(kind, json[name])
    if default is NO_DEFAULT:
        raise DefaultRefused(f"a default without the field {name}")
    return default


def _union(kind: Union, json: object) -> object:
    for branch in kind.branches:
        try:
            return value(branch, json)
        except DefaultRefused:
            continue
    raise DefaultRefused("a default that fits no branch of its union")
