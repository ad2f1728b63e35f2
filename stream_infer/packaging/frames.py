"""Reads a sample file as pandas reads it by default, and makes the model input from a frame.

`binding` maps columns to event fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import fastavro
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from stream_infer.flow.errors import Misconfigured, Problem

MAX_GOLDEN_ROWS = 10_000


def read_frame(option: str, path: Path, renamed: Mapping[str, str]) -> pd.DataFrame:
    """Read a CSV (with the defaults of `pd.read_csv`), Parquet or Avro container file.

    `renamed` is column -> event field: an Avro sample has the fields of the event, and the model's names for
    them are applied here; in a CSV and in Parquet the columns have the model's names already.
    """
    readers: Mapping[str, Callable[[Path], pd.DataFrame]] = {
        ".csv": pd.read_csv,
        ".parquet": pd.read_parquet,
        ".avro": lambda file: _read_avro(file, renamed),
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise _unreadable(
            option, path, "its name must end in .csv, .parquet or .avro", "convert the file to one of these"
        )
    try:
        frame = reader(path)
    except FileNotFoundError as error:
        raise _unreadable(option, path, "there is no such file", "check the path") from error
    except (OSError, ValueError, EOFError, pa.ArrowException) as error:
        what = f"cannot be read as {path.suffix.lower()[1:]}: {error}"
        raise _unreadable(option, path, what, "give a file that pandas or fastavro can read") from error
    if frame.empty:
        raise _unreadable(option, path, "has no rows", "give a few rows that the model should score")
    if not all(isinstance(name, str) for name in frame.columns):
        raise _unreadable(option, path, "has columns without a name", "give each column a name")
    return frame.reset_index(drop=True)


def read_golden_frame(path: Path, renamed: Mapping[str, str]) -> pd.DataFrame:
    """Read the golden sample. Raises `Misconfigured` for a file too long to replay at every load."""
    frame = read_frame("--golden", path, renamed)
    if len(frame) > MAX_GOLDEN_ROWS:
        what = f"has {len(frame)} rows; golden samples are replayed at each load, {MAX_GOLDEN_ROWS} at most"
        raise _unreadable("--golden", path, what, "give a sample, and the whole as --reference")
    return frame


def _unreadable(option: str, path: Path, what: str, fix: str) -> Misconfigured:
    return Misconfigured([Problem(option, str(path), what, fix)])


def _read_avro(path: Path, renamed: Mapping[str, str]) -> pd.DataFrame:
    with path.open("rb") as file:
        records = [_flat(record) for record in fastavro.reader(file) if isinstance(record, dict)]
    frame = pd.DataFrame(records)
    fields = {source: column for column, source in renamed.items()}
    return frame.rename(columns=fields)


def _flat(record: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    flat: dict[str, object] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def has_nulls(column: pd.Series) -> bool:
    """Return whether `column` has a null or NaN."""
    return bool(column.isna().any())


def infinite(column: pd.Series) -> NDArray[np.bool_]:
    """Return a mask of the infinite values of `column`."""
    if column.dtype.kind != "f":
        return np.zeros(len(column), dtype=np.bool_)
    found: NDArray[np.bool_] = np.isinf(column.to_numpy(dtype=np.float64, na_value=np.nan))
    return found


def container_kind(estimator: Any) -> Literal["ndarray", "pandas"]:  # noqa: ANN401 - any estimator
    """Return the kind of input the estimator was fitted on: "ndarray" only without column names."""
    if hasattr(estimator, "feature_names_in_") or not hasattr(estimator, "n_features_in_"):
        return "pandas"
    return "ndarray"


def model_input(frame: pd.DataFrame, names: Sequence[str], kind: str) -> pd.DataFrame | NDArray[np.float64]:
    """Return the argument of `predict`: the features of the frame, or their float64 matrix."""
    chosen = frame[list(names)]
    if kind == "pandas":
        return chosen
    try:
        matrix = chosen.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        what = f"the model was fitted without column names, on numbers, and there are other columns: {error}"
        fix = "name the model's columns in its order: --features a,b,c"
        raise Misconfigured([Problem("--golden", "", what, fix)]) from error
    return np.ascontiguousarray(matrix)
