"""What the conversion of a column of a table gives: values, and the cells that do not fit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from stream_infer.flow.codes import DeadLetterClass
from stream_infer.steps.rows import Rows


@dataclass(frozen=True, slots=True)
class CellFault:
    """Rows whose cell does not fit, and why."""

    rows: Rows
    error_class: DeadLetterClass
    message: str


@dataclass(frozen=True, slots=True)
class Converted:
    """The column in the type of its field; cells with a fault are null, or any value, in it."""

    column: pa.Array
    faults: Sequence[CellFault] = ()


Convert = Callable[[pa.Array], Converted]

PlainNumbers = Callable[[pa.Array], pa.Array]
"""Turns numbers as text, as people write them, into those that Python writes."""
