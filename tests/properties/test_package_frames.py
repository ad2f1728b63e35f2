"""For any events: the frame that is assembled is the one that pandas reads from the user's CSV."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from stream_infer.models.frame_builder import build_frame, describe_input
from stream_infer.models.manifest import Manifest
from tests.unit.models.builders import columns, framed, manifest

CELLS: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**53), 2**53),
    "double": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    # Words that read_csv takes for nulls or for other types would not be text in the user's frame.
    "string": st.text('abcxyz ,"é', min_size=1).map(lambda text: "_" + text),
    "enum": st.sampled_from(["RED", "GREEN"]),
}


@st.composite
def events(draw: st.DrawFn) -> tuple[dict[str, str], dict[str, list[Any]]]:
    kinds = draw(st.lists(st.sampled_from(sorted(CELLS)), min_size=1, max_size=5))
    named = {f"{kind}_{index}": kind for index, kind in enumerate(kinds)}
    rows = draw(st.integers(1, 8))
    cells = {
        name: draw(st.lists(st.none() | CELLS[kind], min_size=rows, max_size=rows))
        for name, kind in named.items()
    }
    return named, cells


# Until pandas 3 the default is an ulp off.
EXACT: Mapping[str, Any] = {} if pd.__version__ >= "3" else {"float_precision": "round_trip"}


def as_csv(cells: dict[str, list[Any]]) -> str:
    # One column more, never empty: read_csv skips a line on which there is nothing.
    return pd.DataFrame({**cells, "row": 0}, dtype=object).to_csv(index=False)


@settings(max_examples=200, deadline=None)
@given(events())
def test_events_become_the_frame_of_the_users_csv(
    given_events: tuple[dict[str, str], dict[str, list[Any]]],
) -> None:
    kinds, cells = given_events
    own = pd.read_csv(io.StringIO(as_csv(cells)), **EXACT)[list(kinds)]
    described = Manifest.parse(manifest(**framed(own, kinds)).canonical())

    frame = build_frame(columns(kinds, cells), described)

    expected = own.astype({column.name: column.dtype for column in describe_input(own, kinds).columns})
    assert_frame_equal(frame, expected, check_exact=True)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.none() | st.floats(), min_size=3, max_size=3), max_size=8))
def test_numbers_become_the_users_array(rows: list[list[float | None]]) -> None:
    kinds = {"a": "double", "b": "double", "c": "double"}
    own = np.array(rows, dtype=np.float64).reshape(-1, 3)

    cells = {name: [row[index] for row in rows] for index, name in enumerate(kinds)}
    matrix = build_frame(columns(kinds, cells), manifest(**framed(np.zeros((1, 3)), kinds)))

    np.testing.assert_array_equal(matrix, own)
