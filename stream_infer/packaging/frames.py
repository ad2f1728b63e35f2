"""Reads a sample file as pandas reads it by default, and makes the model input from a frame.

`binding` maps columns to event fields.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.frame_builder import Frame
from stream_infer.models.manifest import ContainerKind
from stream_infer.packaging.csv_layout import CsvLayout, CsvUnreadable, csv_rows
from stream_infer.packaging.options import listed
from stream_infer.packaging.trained_columns import trained_columns

MAX_GOLDEN_ROWS = 10_000


def read_frame(
    option: str, path: Path, *, renamed: Mapping[str, str], texts: Collection[str], layout: CsvLayout
) -> pd.DataFrame:
    """Read a CSV (`layout`, else the defaults of `pd.read_csv`), Parquet or Avro container file.

    Columns of a CSV that go to a field of `texts` are text, also where all their cells look like numbers.

    `renamed` is column -> event field: an Avro sample has the fields of the event, and the model's names for
    them are applied here; in a CSV and in Parquet the columns have the model's names already.
    """
    readers: Mapping[str, Callable[[Path], pd.DataFrame]] = {
        ".csv": lambda file: _read_csv(file, renamed, texts, layout),
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
    except CsvUnreadable as error:
        place = "" if error.row is None else f"row {error.row} "
        raise _unreadable(option, path, f"{place}{error}", error.fix) from error
    except (OSError, ValueError, EOFError, pa.ArrowException) as error:
        what = f"cannot be read as {path.suffix.lower()[1:]}: {error}"
        raise _unreadable(option, path, what, "give a file that pandas or fastavro can read") from error
    if frame.empty:
        raise _unreadable(option, path, "has no rows", "give a few rows that the model should score")
    if not all(isinstance(name, str) for name in frame.columns):
        raise _unreadable(option, path, "has columns without a name", "give each column a name")
    return frame.reset_index(drop=True)


def frame_in_memory(option: str, given: Any, features: Sequence[str]) -> pd.DataFrame:  # noqa: ANN401 - to be checked
    """Return a frame of the session that trained the model; `features` names the columns of an array."""
    if isinstance(given, pd.Series):
        given = given.to_frame()
    named = isinstance(given, pd.DataFrame) and all(isinstance(name, str) for name in given.columns)
    shape = np.shape(given) if isinstance(given, pd.DataFrame | np.ndarray) else None
    if shape is None:
        what, fix = f"is a {type(given).__name__}", "give a pandas frame or series, or a numpy array"
        raise _unreadable(option, type(given).__name__, what, fix)
    if not named and (len(shape) != 2 or shape[1] != len(features)):  # noqa: PLR2004 - rows and columns
        what = f"has shape {shape} and no column names, and features names {len(features)}"
        raise _unreadable(
            option, type(given).__name__, what, "name the columns in their order: features=[...]"
        )
    frame = given if named else pd.DataFrame(given).set_axis(list(features), axis=1)
    if not len(frame):
        raise _unreadable(
            option, type(given).__name__, "has no rows", "give rows that the model should score"
        )
    return frame


def require_few_rows(golden: pd.DataFrame) -> None:
    """Raise `Misconfigured` for a golden sample too long to replay at every load."""
    if len(golden) > MAX_GOLDEN_ROWS:
        what = f"has {len(golden)} rows; golden samples are replayed at each load, {MAX_GOLDEN_ROWS} at most"
        raise _unreadable("--golden", "", what, "give a sample, and the whole as --reference")


def _unreadable(option: str, path: Path | str, what: str, fix: str) -> Misconfigured:
    return Misconfigured([Problem(option, str(path), what, fix)])


def _read_csv(
    path: Path, renamed: Mapping[str, str], texts: Collection[str], layout: CsvLayout
) -> pd.DataFrame:
    rows = csv_rows(path, layout)
    columns = next(rows, [])
    for _ in rows:
        pass  # each row is checked
    return pd.read_csv(
        path,
        sep=layout.separator or ",",
        decimal=layout.decimal,
        thousands=layout.thousands,
        encoding=layout.codec,
        dtype={name: str for name in columns if renamed.get(name, name) in texts},
    )


def _read_avro(path: Path, renamed: Mapping[str, str]) -> pd.DataFrame:
    with path.open("rb") as file:
        records = [_flat(record) for record in fastavro.reader(file) if isinstance(record, dict)]
    frame = pd.DataFrame(records)
    # Avro does not know the unit and the zone that the column of a frame had: its times stay objects.
    times = [name for name in frame.columns if frame[name].dtype.kind == "M"]
    frame = frame.astype(dict.fromkeys(times, object)).apply(_as_in_frames)
    fields = {source: column for column, source in renamed.items()}
    return frame.rename(columns=fields)


def _as_in_frames(column: pd.Series) -> pd.Series:
    """Return decimals of Avro as floats and times of day as durations; frames have nothing nearer."""
    kind = pd.api.types.infer_dtype(column, skipna=True) if column.dtype == object else ""
    if kind == "decimal":
        return column.astype("float64")
    if kind == "time":
        return pd.to_timedelta(column.map(lambda time: None if time is None else f"{time}"))
    return column


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


def described(given: Frame, names: Sequence[str]) -> str:
    """Return the columns of a model's input in order, with their types, for a message."""
    if isinstance(given, pd.DataFrame):
        return listed(f"{name} ({given[name].dtype})" for name in names)
    if isinstance(given, pd.Series):
        return f"{listed(names)} (a series of {given.dtype})"
    return f"{listed(names)} (an array of {given.dtype})"


def container_kind(estimator: Any) -> ContainerKind:  # noqa: ANN401 - any estimator
    """Return the kind of input the estimator was fitted on: "ndarray" only without column names."""
    trained = trained_columns(estimator)
    if trained.series:
        return "series"
    return "ndarray" if trained.on_array and not trained.texts else "pandas"


def model_input(frame: pd.DataFrame, names: Sequence[str], kind: ContainerKind) -> Frame:
    """Return the argument of `predict`: features of the frame, their float64 matrix, or the one column."""
    chosen = frame[list(names)]
    if kind != "ndarray":
        return chosen if kind == "pandas" else chosen[names[0]]
    try:
        matrix = chosen.to_numpy(dtype=np.float64, na_value=np.nan)
    except (TypeError, ValueError) as error:
        what = f"the model was fitted without column names, on numbers, and there are other columns: {error}"
        fix = (
            "if it takes other columns, name them in its order: --features a,b,c; if it was trained on these,"
            " fit it on a frame with column names"
        )
        raise Misconfigured([Problem("--golden", "", what, fix)]) from error
    return np.ascontiguousarray(matrix)
