"""Tells the maker of a package which nulls will be dead letters, and whether the model would take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from stream_infer.models.manifest import Feature, Policy
from stream_infer.packaging.contract import PolicyOptions
from stream_infer.packaging.options import listed
from stream_infer.packaging.trials import Trials, with_a_null

_FLOATS = frozenset({"float", "double"})
_TAKES, _ACCEPTS = "the model takes it", "accepts it, or a sample that has some"


def untested_nulls(
    estimator: Any,  # noqa: ANN401 - any estimator
    golden: pd.DataFrame,
    features: Sequence[Feature],
    policies: PolicyOptions,
) -> tuple[str, ...]:
    """Return notes about fields that may be null or NaN, and are not in any sample.

    `policies` are those that the user gave. A NaN for which the model raises is no loss: its maker has no
    answer either.
    """
    names = [feature.name for feature in features]
    nulls = [
        one.name
        for one in features
        if one.nullable and one.missing is Policy.REJECT and one.name not in policies.missing
    ]
    floats = [
        one.name
        for one in features
        if not one.nullable and one.type in _FLOATS and one.nan is Policy.REJECT
        if one.name not in policies.nan
    ]
    if not nulls and not floats:
        return ()
    trials = Trials(estimator, golden, names)
    taken = {name for name in (*nulls, *floats) if trials.answers_with({name: with_a_null(golden[name])})}
    passed = [name for name in nulls if name in taken]
    raised = [name for name in nulls if name not in taken]
    return (
        *_note("a null", passed, f"{_TAKES}: --missing '{{}}=pass' {_ACCEPTS}"),
        *_note("NaN", [name for name in floats if name in taken], f"{_TAKES}: --nan '{{}}=pass' {_ACCEPTS}"),
        *_note("a null", raised, "the model raises for it: --missing '{}=impute:VALUE' fills it"),
    )


def _note(cell: str, names: Sequence[str], way: str) -> list[str]:
    if not names:
        return []
    what = f"events with {cell} in {listed(names)} will be dead letters, because no sample has one"
    return [f"{what}; {way.format(names[0])}"]
