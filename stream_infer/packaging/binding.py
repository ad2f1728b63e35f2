"""Binds each column of the model to a field of the event.

Names and paths only: `frames` has dtypes, `event_builder` values, `contract` policies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import pandas as pd

from stream_infer.avro import schemas
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.packaging.options import listed, unknown_names


@dataclass(frozen=True, slots=True)
class Bound:
    """A column of the model, and the scalar leaf of the event that it is read from."""

    name: str
    leaf: schemas.Leaf


def feature_names(estimator: Any, frame: pd.DataFrame, requested: Sequence[str]) -> tuple[str, ...]:  # noqa: ANN401 - any estimator
    """Return the model's columns in its order: as fitted, else `requested`, else all of the frame.

    Raises `Misconfigured` when the frame lacks one, or when the model was fitted with another number.
    """
    fitted = [str(name) for name in getattr(estimator, "feature_names_in_", ())]
    if fitted and requested and fitted != list(requested):
        what = f"the model was fitted with columns of its own: {listed(fitted)}"
        raise Misconfigured([Problem("--features", ",".join(requested), what, "remove --features")])
    names = fitted or list(requested) or list(frame.columns)
    absent = [name for name in names if name not in frame.columns]
    if absent:
        fix = f"add the column; the sample has: {listed(frame.columns)}"
        what = "the model takes a column '{}' that the golden sample lacks"
        raise Misconfigured([Problem("--golden", "", what.format(name), fix) for name in absent])
    expected = getattr(estimator, "n_features_in_", len(names))
    if len(names) != expected:
        what = f"the model takes {expected} features and there are {len(names)} columns: {listed(names)}"
        fix = "name the model's columns in its order: --features a,b,c"
        raise Misconfigured([Problem("--features" if requested else "--golden", "", what, fix)])
    return tuple(names)


def bind(names: Sequence[str], schema: schemas.Schema, renamed: Mapping[str, str]) -> tuple[Bound, ...]:
    """Return the leaf of each column: the field of the same name, or the one in `renamed`.

    Raises `Misconfigured` with every column without a field, and the fields with similar names.
    """
    leaves = schemas.leaves(schema)
    others = schemas.other_fields(schema)
    problems = unknown_names("--map", renamed, names, "column of the model")
    bound = []
    for name in names:
        source = renamed.get(name, name)
        if source in leaves:
            bound.append(Bound(name, leaves[source]))
        elif source in others:
            problems.append(_no_feature(name, source, others[source]))
        else:
            problems.append(_no_field(name, source, list(leaves)))
    if problems:
        raise Misconfigured(problems)
    return tuple(bound)


def _no_feature(name: str, source: str, why: str) -> Problem:
    return Problem(
        "--schema",
        source,
        f"column '{name}' would come from field '{source}', which is {why}; a feature is one scalar",
        f"let the producer add a scalar field, and map it: --map '{name}=FIELD'",
    )


def _no_field(name: str, source: str, paths: Sequence[str]) -> Problem:
    last = {path.rpartition(".")[2]: path for path in reversed(paths)}
    near = [last[match] for match in get_close_matches(source.rpartition(".")[2], last, n=3, cutoff=0.5)]
    return Problem(
        "--map" if source != name else "--schema",
        f"{name}={source}" if source != name else name,
        f"column '{name}' has no field '{source}' in the event",
        f"write --map '{name}=FIELD' with one of: {listed(near or paths)}",
    )
