"""The dtypes of frame columns: the Avro types that fill each, and its null.

One table. `column_fill` fills columns, `misfits` finds values that do not fit.
"""

from __future__ import annotations

import re
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from stream_infer.models.manifest import Feature, InputColumn, Null

_NUMBERS = frozenset({"int", "long", "float", "double", "boolean"})
_INTEGERS = frozenset({"int", "long", "boolean"})
_TEXTS = frozenset({"string", "enum"})

# Avro's logical types in nanoseconds per step.
INSTANT_NS = {
    "date": 86_400_000_000_000,
    "timestamp-millis": 1_000_000,
    "timestamp-micros": 1_000,
    "timestamp-nanos": 1,
    "local-timestamp-millis": 1_000_000,
    "local-timestamp-micros": 1_000,
    "local-timestamp-nanos": 1,
}
DURATION_NS = {"time-millis": 1_000_000, "time-micros": 1_000}
UNIT_NS = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_UNIT = "(?P<unit>s|ms|us|ns)"


class Family(StrEnum):
    """Dtypes that are filled in the same way."""

    FLOAT = "float"
    INT = "int"
    BOOL = "bool"
    TEXT = "text"
    MASKED = "masked"
    ARROW = "arrow"
    OBJECT = "object"
    CATEGORY = "category"
    DATETIME = "datetime"
    TIMEDELTA = "timedelta"


class Dtype(NamedTuple):
    """A dtype as pandas prints it, taken apart: `unit` and `zone` belong to times."""

    family: Family
    null: Null | None
    accepts: frozenset[str]
    unit: str = ""
    zone: str | None = None


# "string" is pandas' own nullable string; "str" is what read_csv makes of text since pandas 3, with null NaN.
# A column of dtype object has the null that was seen in it.
_TABLE: tuple[tuple[str, Family, Null | None, frozenset[str]], ...] = (
    (r"float(16|32|64)", Family.FLOAT, "nan", _NUMBERS),
    (r"u?int(8|16|32|64)", Family.INT, None, _INTEGERS),
    (r"bool", Family.BOOL, None, frozenset({"boolean"})),
    (r"str", Family.TEXT, "nan", _TEXTS),
    (r"string", Family.TEXT, "na", _TEXTS),
    (r"U?Int(8|16|32|64)", Family.MASKED, "na", _INTEGERS),
    (r"Float(32|64)", Family.MASKED, "na", _NUMBERS),
    (r"boolean", Family.MASKED, "na", frozenset({"boolean"})),
    (r"u?int(8|16|32|64)\[pyarrow\]", Family.ARROW, "na", _INTEGERS),
    (r"(float|double)\[pyarrow\]", Family.ARROW, "na", _NUMBERS),
    (r"bool\[pyarrow\]", Family.ARROW, "na", frozenset({"boolean"})),
    (r"(large_)?string\[pyarrow\]", Family.ARROW, "na", _TEXTS),
    (r"object", Family.OBJECT, None, _NUMBERS | _TEXTS),
    (r"category", Family.CATEGORY, "nan", _INTEGERS | _TEXTS),
    (rf"datetime64\[{_UNIT}(, (?P<zone>.+))?\]", Family.DATETIME, "nat", frozenset(INSTANT_NS)),
    (rf"timedelta64\[{_UNIT}\]", Family.TIMEDELTA, "nat", frozenset(DURATION_NS)),
)


@lru_cache(maxsize=256)
def dtype_of(name: str) -> Dtype | None:
    """Return the dtype that pandas prints as `name`; None for one that cannot be filled."""
    for pattern, family, null, accepts in _TABLE:
        match = re.fullmatch(pattern, name)
        if match is not None:
            times = match.groupdict()
            return Dtype(family, null, accepts, times.get("unit") or "", times.get("zone"))
    return None


def mismatch(feature: Feature, column: InputColumn) -> str | None:
    """Return why `column` cannot be filled from the leaf of `feature`, or None."""
    dtype = dtype_of(column.dtype)
    where = f"feature {feature.name!r}"
    if dtype is None:
        return f"{where}: a column of dtype {column.dtype} cannot be filled from Avro"
    times = dtype.family in {Family.DATETIME, Family.TIMEDELTA}
    given = feature.logical or feature.type if times else feature.type
    if given not in dtype.accepts:
        return f"{where}: a column of dtype {column.dtype} cannot be filled from {given}"
    if dtype.family is Family.OBJECT and feature.logical in {**INSTANT_NS, **DURATION_NS}:
        return f"{where}: times in a column of dtype object; make it datetime64 or a number"
    if dtype.zone is not None and not (feature.logical or "").startswith("timestamp-"):
        return f"{where}: {feature.logical} is not an instant, so it has no place in {column.dtype}"
    if dtype.family is not Family.OBJECT and column.null not in {dtype.null, None}:
        return f"{where}: the null of dtype {column.dtype} is not {column.null}"
    if dtype.family is Family.CATEGORY and not column.categories:
        return f"{where}: a column of dtype category needs its categories"
    return None
