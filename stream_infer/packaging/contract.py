"""The features and the model input of a manifest, from the user's frame and options.

`event_builder` has the values, `expected` the estimator's answers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import numpy as np
import pandas as pd

from stream_infer.flow.errors import Misconfigured, Problem, Refused
from stream_infer.models.frame_builder import describe_input
from stream_infer.models.known_categories import KnownCategories
from stream_infer.models.manifest import (
    ContainerKind,
    Feature,
    InputColumn,
    Kind,
    ModelInput,
    Null,
    Policy,
    Scalar,
    Unseen,
)
from stream_infer.packaging.binding import Bound
from stream_infer.packaging.frames import has_nulls, infinite
from stream_infer.packaging.options import PolicyOption, UnseenOptions
from stream_infer.packaging.unseen_policy import chosen_unseen


@dataclass(frozen=True, slots=True)
class PolicyOptions:
    """The user's policies, by feature name; the sample decides the others."""

    missing: Mapping[str, PolicyOption] = field(default_factory=dict)
    nan: Mapping[str, PolicyOption] = field(default_factory=dict)
    infinite: Mapping[str, PolicyOption] = field(default_factory=dict)
    unseen: UnseenOptions = field(default_factory=UnseenOptions)

    def named(self) -> Iterable[tuple[str, Mapping[str, PolicyOption]]]:
        """Return each option with its policies."""
        return (("--missing", self.missing), ("--nan", self.nan), ("--infinite", self.infinite))


def describe_features(
    bound: Sequence[Bound],
    frames: Sequence[pd.DataFrame],
    options: PolicyOptions,
    known: Mapping[str, KnownCategories],
) -> tuple[Feature, ...]:
    """Return the features with their policies and the range seen in `frames` (golden first, then reference).

    A column with empty cells in the sample, or whose null the model knows, passes nulls and NaN: the model
    handles them. Another column was never tested with them: such a row is rejected. The same holds for
    infinite values.
    """
    problems: list[Problem] = []
    unseen = chosen_unseen(options.unseen, frames[0][[one.name for one in bound]], known, problems)
    found = [
        _feature(
            one,
            [f[one.name] for f in frames],
            options,
            _Unknown(_null(known, one.name), unseen.get(one.name)),
            problems,
        )
        for one in bound
    ]
    if problems:
        raise Misconfigured(problems)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Unknown:
    """The null of a column that the model knows, and the policy for values that it does not know."""

    null: Null | None
    policy: Unseen | None


def _null(known: Mapping[str, KnownCategories], name: str) -> Null | None:
    return known[name].null if name in known else None


def _feature(
    bound: Bound,
    columns: Sequence[pd.Series],
    options: PolicyOptions,
    unknown: _Unknown,
    problems: list[Problem],
) -> Feature:
    handled = unknown.null is not None or unknown.policy == "null" or any(map(has_nulls, columns))
    empty = Policy.PASS if handled else Policy.REJECT
    boundless = Policy.PASS if any(infinite(column).any() for column in columns) else Policy.REJECT
    chosen = {option: given[bound.name] for option, given in options.named() if bound.name in given}
    imputed = {
        option: _parsed(option, bound, choice.value, problems)
        for option, choice in chosen.items()
        if choice.value is not None
    }
    if len(set(imputed.values())) > 1:
        shown = ", ".join(f"{option} {value}" for option, value in imputed.items())
        what = f"feature '{bound.name}' is imputed with different values"
        problems.append(Problem("/".join(imputed), shown, what, "use one value for a feature"))
    minimum, maximum = _range(bound, columns)
    return Feature(
        name=bound.name,
        source=bound.leaf.path,
        type=cast(Kind, bound.leaf.kind),
        nullable=bound.leaf.nullable,
        missing=chosen["--missing"].policy if "--missing" in chosen else empty,
        nan=chosen["--nan"].policy if "--nan" in chosen else empty,
        infinite=chosen["--infinite"].policy if "--infinite" in chosen else boundless,
        impute=next(iter(imputed.values()), None),
        minimum=minimum,
        maximum=maximum,
        logical=bound.leaf.logical,
        unseen=unknown.policy,
    )


def _parsed(option: str, bound: Bound, text: str, problems: list[Problem]) -> Scalar | None:
    try:
        return _PARSERS[bound.leaf.kind](text)
    except (ValueError, KeyError):
        what = f"'{text}' is no value of field '{bound.leaf.path}', which is {bound.leaf.kind}"
        problems.append(Problem(option, f"{bound.name}=impute:{text}", what, f"impute a {bound.leaf.kind}"))
        return None


def _finite(text: str) -> float:
    value = float(text)
    if not np.isfinite(value):
        raise ValueError(text)
    return value


_PARSERS: Mapping[str, Callable[[str], Scalar]] = {
    "int": int,
    "long": int,
    "float": _finite,
    "double": _finite,
    "boolean": {"true": True, "True": True, "false": False, "False": False}.__getitem__,
    "string": str,
    "enum": str,
}


def _range(bound: Bound, columns: Sequence[pd.Series]) -> tuple[float | None, float | None]:
    if bound.leaf.kind not in {"int", "long", "float", "double"}:
        return None, None
    numbers = [c.dropna().to_numpy(dtype=np.float64) for c in columns if c.dtype.kind in "iuf"]
    finite = [one[np.isfinite(one)] for one in numbers]
    seen = np.concatenate(finite) if finite else np.empty(0)
    return (float(seen.min()), float(seen.max())) if len(seen) else (None, None)


def describe_model_input(
    kind: ContainerKind,
    found: Sequence[Feature],
    frames: Sequence[pd.DataFrame],
    known: Mapping[str, KnownCategories],
) -> ModelInput:
    """Return how the worker must build the model's input so that it equals the user's own frame.

    `frames` are golden and, where given, reference. A small sample without nulls is read as int64 or bool
    where the training data, with nulls, was float64 or object: where nulls may come, the wider dtype wins.
    """
    if kind == "ndarray":
        return ModelInput("ndarray", tuple(InputColumn(one.name, "float64", "nan") for one in found))
    kinds = {one.name: one.type for one in found}
    try:
        seen = [describe_input(frame[list(kinds)], kinds).columns for frame in frames]
    except Refused as error:
        fix = "make it a number, a boolean, text or a datetime, with one kind of null, and train on that"
        raise Misconfigured([Problem("--golden", "", error.reason, fix)]) from error
    columns = zip(found, *seen, strict=True)
    return ModelInput(
        kind,
        tuple(_wide_enough(feature, options, _null(known, feature.name)) for feature, *options in columns),
    )


def _wide_enough(feature: Feature, seen: Sequence[InputColumn], null: Null | None) -> InputColumn:
    golden = seen[0]
    if golden.dtype == "object" and golden.null is None and null is not None:
        return replace(golden, null=null)
    if golden.null is not None or feature.missing is not Policy.PASS:
        return golden
    wider = next((column for column in seen if column.null is not None), None)
    return wider or InputColumn(
        feature.name, "object" if golden.dtype in {"bool", "object"} else "float64", "nan"
    )
