"""Types that neither the model nor the samples tell: times from text, booleans with empty cells.

The model is asked whether it matters. If its answers depend on it, the user has to say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.packaging import casting
from stream_infer.packaging.binding import Bound
from stream_infer.packaging.event_builder import is_duration, is_instant
from stream_infer.packaging.inputs import Samples
from stream_infer.packaging.trials import Trials

_Read = Callable[[str, pd.Series], pd.Series | Problem]
_UNITS = ("ns", "us", "ms", "s")
# Far apart, and one of them with minutes: an hour of the day is another one in each.
_ZONES = ("UTC", "Pacific/Auckland", "Asia/Kathmandu", "America/New_York")
_BOOLEANS = ("boolean", "float64")


@dataclass(frozen=True, slots=True)
class Settled:
    """Samples whose every column has a type, and notes."""

    samples: Samples
    notes: tuple[str, ...]


def settle(
    estimator: Any,  # noqa: ANN401 - any estimator
    samples: Samples,
    names: Sequence[str],
    columns: Sequence[Bound],
) -> Settled:
    """Return `samples` with types for those of `columns` whose type is open. Raises `Misconfigured`."""
    problems: list[Problem] = []
    dates = [
        one.name
        for one in columns
        if is_instant(one.leaf) and casting.are_unread_dates(samples.golden[one.name])
    ]
    spans = [
        one.name
        for one in columns
        if is_duration(one.leaf) and casting.are_unread_durations(samples.golden[one.name])
    ]
    read = _with_read(samples, dates, _read_dates, problems)
    read = _with_read(read, spans, _read_durations, problems)
    if problems:
        raise Misconfigured(problems)
    read = _with_booleans(estimator, read, names)
    trials = Trials(estimator, read.golden, names)
    notes = [f"column '{name}' is read as dates, because its field is a timestamp" for name in dates]
    notes += [f"column '{name}' is read as durations, because its field is a time" for name in spans]
    for name in (*dates, *spans):
        problems += _matter_of_unit(trials, read.golden[name])
    for name in dates:
        problems += _matter_of_zone(trials, read.golden[name], notes)
    if problems:
        raise Misconfigured(problems)
    return Settled(read, tuple(notes))


def _with_read(samples: Samples, names: Sequence[str], read: _Read, problems: list[Problem]) -> Samples:
    """Return `samples` with columns `names` as `read` makes them; or with problems."""

    def all_read(option: str, frame: pd.DataFrame) -> pd.DataFrame:
        found = {name: read(option, frame[name]) for name in names}
        problems.extend(one for one in found.values() if isinstance(one, Problem))
        return frame.assign(**{name: one for name, one in found.items() if not isinstance(one, Problem)})

    reference = samples.reference
    return replace(
        samples,
        golden=all_read("--golden", samples.golden),
        reference=None if reference is None else all_read("--reference", reference),
    )


def _read_dates(option: str, column: pd.Series) -> pd.Series | Problem:
    try:
        return casting.read_dates(column)
    except (ValueError, TypeError) as error:
        what = f"column '{column.name}' goes to a timestamp, and pandas cannot read it as one: {error}"
        fix = (
            "write all of them in one form, such as ISO 8601, or, for several offsets from UTC, name"
            f" the zone of the training data: --dtype '{column.name}=datetime64[us, ZONE]'"
        )
        return Problem(option, str(column.name), what, fix)


def _read_durations(option: str, column: pd.Series) -> pd.Series | Problem:
    try:
        return pd.to_timedelta(column)
    except ValueError as error:
        what = f"column '{column.name}' goes to a time of day, and has text that is no duration: {error}"
        fix = "write hours, minutes and seconds, such as 07:30:00, or give the sample as Parquet"
        return Problem(option, str(column.name), what, fix)


def _matter_of_unit(trials: Trials, column: pd.Series) -> list[Problem]:
    zone = f", {column.dt.tz}" if column.dtype.kind == "M" and column.dt.tz is not None else ""
    others = [unit for unit in _UNITS if unit != column.dt.unit]
    if not any(trials.differs_with(column.dt.as_unit(unit)) for unit in others):
        return []
    kind, said = ("timedelta64", "durations") if column.dtype.kind == "m" else ("datetime64", "dates")
    what = (
        f"the model's answers depend on the unit of the {said} in column '{column.name}', which text does not"
        " tell (pandas 2 has ns, pandas 3 has us)"
    )
    fix = f"give that of the training data: --dtype '{column.name}={kind}[ns{zone}]', or Parquet"
    return [Problem("--golden", str(column.name), what, fix)]


def _matter_of_zone(trials: Trials, column: pd.Series, notes: list[str]) -> list[Problem]:
    zone = column.dt.tz
    if zone is None or not any(trials.differs_with(column.dt.tz_convert(other)) for other in _ZONES):
        return []
    what = f"the model's answers depend on the time zone of column '{column.name}'"
    fix = f"--dtype '{column.name}=datetime64[{column.dt.unit}, Europe/Berlin]'"
    if str(zone) == "UTC":
        notes.append(f"{what}, which is taken to be UTC; another one is named with {fix}")
        return []
    return [
        Problem(
            "--golden",
            str(column.name),
            f"{what}, and a file has offsets only ({zone})",
            f"name the zone of the training data, such as {fix}",
        )
    ]


def _with_booleans(
    estimator: Any,  # noqa: ANN401 - any estimator
    samples: Samples,
    names: Sequence[str],
) -> Samples:
    """Return booleans with empty cells, which files have as objects, in a dtype that the model takes."""
    golden = samples.golden
    mixed = [name for name in names if _is_mixed(golden[name])]
    trials = Trials(estimator, golden, names)
    if not mixed or trials.answered:
        return samples
    for dtype in _BOOLEANS:
        cast = {name: golden[name].astype("boolean").astype(dtype) for name in mixed}
        if trials.answers_with(cast):
            reference = samples.reference
            return replace(
                samples,
                golden=golden.assign(**cast),
                reference=None
                if reference is None
                else reference.assign(
                    **{name: reference[name].astype("boolean").astype(dtype) for name in mixed}
                ),
            )
    return samples


def _is_mixed(column: pd.Series) -> bool:
    return bool(column.dtype.kind == "O" and pd.api.types.infer_dtype(column, skipna=True) == "boolean")
