"""Binds each column of the model to a field of the event.

Names and paths only: `frames` has dtypes, `event_builder` values, `contract` policies.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import pandas as pd

from stream_infer.avro import schemas
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.packaging.column_choice import dropped_columns
from stream_infer.packaging.options import listed, unknown_names
from stream_infer.packaging.trained_columns import TrainedColumns, trained_columns


@dataclass(frozen=True, slots=True)
class Bound:
    """A column of the model, and the scalar leaf of the event that it is read from."""

    name: str
    leaf: schemas.Leaf


def feature_names(estimator: Any, frame: pd.DataFrame, requested: Sequence[str]) -> tuple[str, ...]:  # noqa: ANN401 - any estimator
    """Return the model's columns in its order: as fitted, else `requested`, else all of the frame.

    Without those that it drops. Raises `Misconfigured` when the frame lacks one, or when the model was fitted
    with another number.
    """
    trained = trained_columns(estimator)
    fitted = _as_in_frame(trained, list(frame.columns))
    if fitted and requested and list(requested) not in (fitted, list(trained.names)):
        what = f"the model was fitted with columns of its own: {listed(fitted)}"
        raise Misconfigured([Problem("--features", ",".join(requested), what, "remove --features")])
    names = fitted or list(requested) or list(frame.columns)
    dropped = dropped_columns(estimator)
    needed = tuple(name for name in names if name not in dropped)
    absent = [_absent(name, list(frame.columns)) for name in needed if name not in frame.columns]
    if absent:
        raise Misconfigured(absent)
    if trained.count is not None and len(names) != trained.count:
        what = f"the model takes {trained.count} features and there are {len(names)} columns: {listed(names)}"
        fix = "name the model's columns in its order: --features a,b,c"
        raise Misconfigured([Problem("--features" if requested else "--golden", "", what, fix)])
    return needed


def _as_in_frame(trained: TrainedColumns, columns: Sequence[str]) -> list[str]:
    """Return the trained names, each as the frame spells it where the library has changed its blanks."""
    if not trained.blanks_replaced:
        return list(trained.names)
    spelled = {column.replace(" ", "_"): column for column in columns}
    return [name if name in columns else spelled.get(name, name) for name in trained.names]


def _absent(name: str, columns: Sequence[str]) -> Problem:
    near = get_close_matches(name, columns, n=3)
    fix = (
        f"rename the column: {listed(near)}" if near else f"add the column; the sample has: {listed(columns)}"
    )
    return Problem("--golden", "", f"the model takes a column '{name}' that the golden sample lacks", fix)


def bind(names: Sequence[str], schema: schemas.Schema, renamed: Mapping[str, str]) -> tuple[Bound, ...]:
    """Return the leaf of each column: the field of the same name, or the one in `renamed`.

    A name that no Avro field can have, such as `mean radius`, is that of the field `mean_radius`. Raises
    `Misconfigured` with every column without a field, and the fields with similar names.
    """
    leaves = schemas.leaves(schema)
    others = schemas.other_fields(schema)
    problems = unknown_names("--map", renamed, names, "column of the model")
    bound = []
    fields = _spelled_as_fields(names, leaves)
    for name in names:
        source = renamed.get(name, fields.get(name, name))
        if source in leaves:
            bound.append(Bound(name, leaves[source]))
        elif source in others:
            problems.append(_no_feature(name, source, others[source]))
        else:
            problems.append(_no_field(name, source, list(leaves)))
    if problems:
        raise Misconfigured(problems)
    return tuple(bound)


def _spelled_as_fields(names: Sequence[str], leaves: Mapping[str, schemas.Leaf]) -> dict[str, str]:
    """Return the fields of names that have signs which no Avro name has: each is an underscore there."""
    spelled = {name: re.sub(r"\W", "_", name, flags=re.ASCII) for name in names}
    times = Counter(spelled.values())
    return {
        name: field
        for name, field in spelled.items()
        if name not in leaves and field in leaves and times[field] == 1
    }


def _no_feature(name: str, source: str, why: str) -> Problem:
    return Problem(
        "--schema",
        source,
        f"column '{name}' would come from field '{source}', which is {why}; a feature is one scalar",
        f"let the producer add a scalar field, and map it: --map '{name}=FIELD'",
    )


def _no_field(name: str, source: str, paths: Sequence[str]) -> Problem:
    last: dict[str, list[str]] = {}
    for path in paths:
        last.setdefault(path.rpartition(".")[2], []).append(path)
    matches = get_close_matches(source.rpartition(".")[2], last, n=3, cutoff=0.5)
    near = [path for match in matches for path in last[match]]
    same = last.get(source, ())
    several = f"; {len(same)} nested ones have its name: which one is the model's?" if len(same) > 1 else ""
    return Problem(
        "--map" if source != name else "--schema",
        f"{name}={source}" if source != name else name,
        f"column '{name}' has no field '{source}' in the event{several}",
        f"write --map '{name}=FIELD' with one of: {listed(near or paths)}",
    )
