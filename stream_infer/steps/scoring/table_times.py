"""Times and dates of a table as the whole numbers that an Avro field of the same meaning carries.

A time without a zone is taken for UTC. What is finer than the field's unit is cut, towards the past.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pyarrow as pa

from stream_infer.avro.resolve import ARROW
from stream_infer.avro.schemas import Leaf
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.steps.scoring.table_cells import CellFault, Convert, Converted

_DAY_NS = 86_400 * 10**9
_UNIT_NS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
_LOGICAL_NS = {"millis": 10**6, "micros": 10**3, "nanos": 1}


def unit_ns(logical: str) -> int:
    """Return how many nanoseconds a step of the logical type is."""
    return _DAY_NS if logical == "date" else _LOGICAL_NS[logical.rpartition("-")[2]]


def time_converter(leaf: Leaf, kind: pa.DataType) -> Convert | None:
    """Return how a column of times becomes `leaf`; None for a plain number, or a time of another kind."""
    logical = leaf.logical
    if logical is None or leaf.kind not in {"int", "long"}:
        return None
    of_day = pa.types.is_time(kind)
    if pa.types.is_duration(kind) or of_day != logical.startswith("time-"):
        return None
    if pa.types.is_date32(kind):
        step = _DAY_NS
    elif pa.types.is_date64(kind):
        step = _UNIT_NS["ms"]
    else:
        step = _UNIT_NS[kind.unit]
    return partial(_scaled, step=step, unit=unit_ns(logical), target=ARROW[leaf.kind])


def parsed(column: pa.Array, leaf: Leaf) -> Converted:
    """Return text in ISO 8601, or whole numbers as text, as the numbers of `leaf`."""
    logical = leaf.logical or ""
    values: list[int | None] = []
    bad = []
    for row, cell in enumerate(column.to_pylist()):
        values.append(None if cell is None else _step_of(cell, logical))
        if cell is not None and values[-1] is None:
            bad.append(row)
    faults = []
    if bad:
        message = f"is not a {logical}"
        faults.append(CellFault(np.asarray(bad, np.intp), DeadLetterClass.INVALID, message))
    return Converted(pa.array(values, ARROW[leaf.kind]), faults)


def _step_of(text: str, logical: str) -> int | None:
    if text.strip().lstrip("+-").isdecimal():
        return int(text)
    try:
        if logical.startswith("time-"):
            return int(pd.Timedelta(text).value) // unit_ns(logical)
        stamp = pd.Timestamp(text)
        if stamp.tzinfo is not None:
            stamp = stamp.tz_convert("UTC").tz_localize(None)
        return int(stamp.as_unit("ns").value) // unit_ns(logical)
    except (ValueError, OverflowError):
        return None


def _scaled(column: pa.Array, step: int, unit: int, target: pa.DataType) -> Converted:
    whole = column.view(pa.int32() if column.type.bit_width == 32 else pa.int64()).cast(pa.int64())  # noqa: PLR2004 - bits
    values = whole.fill_null(0).to_numpy()
    values = values * (step // unit) if step >= unit else values // (unit // step)
    mask = column.is_null().to_numpy(zero_copy_only=False) if column.null_count else None
    return Converted(pa.array(values, mask=mask).cast(target))
