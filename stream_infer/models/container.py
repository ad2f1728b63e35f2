"""From Arrow columns to the frame that the model was trained on: same dtypes, same nulls, same order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from stream_infer.models.manifest import Container, Manifest

Columns = Mapping[str, pa.Array]
Frame: TypeAlias = npt.NDArray[np.float64] | pd.DataFrame


class MisfitError(ValueError):
    """`assemble` was given a value that its column cannot hold; `misfits` names the rows."""


def observe(frame: Any, kinds: Mapping[str, str]) -> Container:
    """Return the container of the user's own `frame`; `kinds` maps each column to the Avro kind of its leaf."""
    raise NotImplementedError


def misfits(columns: Columns, manifest: Manifest) -> Mapping[str, npt.NDArray[np.int64]]:
    """Return feature name -> rows whose value its column cannot hold (a long beyond 2^53 in float64, ...)."""
    raise NotImplementedError


def assemble(columns: Columns, manifest: Manifest) -> Frame:
    """Return the frame for `predict`: features in order, dtype and null sentinel per column."""
    raise NotImplementedError
