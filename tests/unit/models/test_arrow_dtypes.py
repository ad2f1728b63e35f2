"""Columns that pandas holds in Arrow: filled from events as the maker's own frame has them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pandas.testing import assert_frame_equal

from stream_infer.models.frame_builder import build_frame, misfits
from stream_infer.models.manifest import Manifest
from tests.unit.models.builders import columns, framed, manifest

CELLS: dict[str, tuple[str, list[Any]]] = {
    "int64[pyarrow]": ("long", [1, None, 2**53 + 1]),
    "uint8[pyarrow]": ("int", [1, None, 255]),
    "double[pyarrow]": ("double", [1.5, None, -0.0]),
    "float[pyarrow]": ("float", [1.5, None, 0.25]),
    "bool[pyarrow]": ("boolean", [True, None, False]),
    "large_string[pyarrow]": ("string", ["a", None, ""]),
}


def _described(dtype: str) -> tuple[pd.DataFrame, Manifest]:
    kind, cells = CELLS[dtype]
    target = pd.ArrowDtype(pa.large_string()) if "string" in dtype else dtype
    own = pd.DataFrame({"x": pd.Series(cells, dtype=target)})
    return own, Manifest.parse(manifest(**framed(own, {"x": kind})).canonical())


@pytest.mark.parametrize("dtype", CELLS)
def test_a_column_in_arrow_is_rebuilt(dtype: str) -> None:
    own, described = _described(dtype)
    kind, cells = CELLS[dtype]

    frame = build_frame(columns({"x": kind}, {"x": cells}), described)

    assert_frame_equal(frame, own, check_exact=True)


@pytest.mark.parametrize(
    ("dtype", "kind", "cells"),
    [("uint8[pyarrow]", "int", [1, 256, -1]), ("double[pyarrow]", "long", [1, 2**53 + 1, -(2**60)])],
)
def test_values_that_a_column_in_arrow_cannot_hold_are_named(dtype: str, kind: str, cells: list[int]) -> None:
    own = pd.DataFrame({"x": pd.Series([1, 2], dtype=dtype)})
    described = manifest(**framed(own, {"x": kind}))

    assert misfits(columns({"x": kind}, {"x": cells}), described)["x"].tolist() == [1, 2]
