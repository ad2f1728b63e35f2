"""Rows of a batch, ascending and each at most once: nearly always all of them, and then nothing is copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.intp]
Cell = TypeVar("Cell")
Number = TypeVar("Number", bound=np.generic)


def cells_of(cells: Sequence[Cell], rows: Rows) -> Sequence[Cell]:
    """Return the `cells` of `rows`."""
    return cells if len(rows) == len(cells) else [cells[row] for row in rows.tolist()]


def numbers_of(numbers: NDArray[Number], rows: Rows) -> NDArray[Number]:
    """Return the `numbers` of `rows`."""
    return numbers if len(rows) == len(numbers) else numbers[rows]
