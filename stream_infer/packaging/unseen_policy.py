"""The user's policy for values that the model does not know, and what the samples have of such values.

Which values it knows is in `models.known_categories`; a worker applies the policy in `steps.scoring.policy`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.known_categories import KnownCategories
from stream_infer.models.manifest import Feature, Policy, Unseen
from stream_infer.packaging.options import UnseenOptions, listed
from stream_infer.packaging.trials import Trials, with_a_null

Known = Mapping[str, KnownCategories]


def chosen_unseen(
    options: UnseenOptions, golden: pd.DataFrame, known: Known, problems: list[Problem]
) -> Mapping[str, Unseen]:
    """Return feature -> policy for the columns of `golden` whose values the model or a category tells.

    A feature that is named and has no such values is one of `problems`.
    """
    told = [
        name
        for name in golden.columns
        if isinstance(golden[name].dtype, pd.CategoricalDtype) or (name in known and known[name].known)
    ]
    for name in options.named:
        if name not in told:
            what = f"the model does not tell which values of '{name}' it knows"
            tells = f"; it tells them of: {listed(told)}" if told else ""
            problems.append(Problem("--unseen", name, what, f"leave '{name}' out{tells}"))
    chosen = {name: options.named.get(name, options.others) for name in told}
    return {name: policy for name, policy in chosen.items() if policy is not None}


def require_nulls_taken(
    estimator: Any,  # noqa: ANN401 - any estimator
    golden: pd.DataFrame,
    features: Sequence[Feature],
) -> None:
    """Raise `Misconfigured` for features whose unknown values become null where the model takes none."""
    names = [one.name for one in features if one.unseen == "null" and one.missing is Policy.PASS]
    rejecting = [one.name for one in features if one.unseen == "null" and one.missing is Policy.REJECT]
    problems = [
        Problem(
            "--missing",
            f"{name}=reject",
            f"unknown values of '{name}' become null, and nulls are rejected",
            f"pass or impute them, or write --unseen '{name}=reject'",
        )
        for name in rejecting
    ]
    trials = Trials(estimator, golden, [one.name for one in features]) if names else None
    problems += [
        Problem(
            "--unseen",
            f"{name}=null",
            f"the model raises for a null in '{name}'",
            f"fill it: --missing '{name}=impute:VALUE', or write --unseen '{name}=reject'",
        )
        for name in names
        if trials is not None and trials.answered
        if not trials.answers_with({name: with_a_null(golden[name])})
    ]
    if problems:
        raise Misconfigured(problems)


def rows_with_unknown(frame: pd.DataFrame, features: Sequence[Feature], known: Known) -> NDArray[np.bool_]:
    """Return a mask of the rows with a value that is under a policy of the user, and unknown."""
    found = np.zeros(len(frame), dtype=np.bool_)
    for feature in features:
        if feature.unseen is not None and feature.name in known:
            found |= _unknown(frame[feature.name], known[feature.name])
    return found


def unknown_values(frames: Sequence[pd.DataFrame], features: Sequence[Feature], known: Known) -> list[str]:
    """Return notes about values of the samples, golden first, that the encoder of a column does not know."""
    samples = zip(("--golden", "--reference"), frames, strict=False)
    return [
        note
        for option, frame in samples
        for feature in features
        if feature.name in known
        for note in _unknown_note(option, frame[feature.name], feature, known[feature.name])
    ]


def _unknown_note(option: str, column: pd.Series, feature: Feature, known: KnownCategories) -> Iterator[str]:
    cells = _unknown(column, known)
    if known.native or known.refuses or not cells.any():
        return
    shown = listed(sorted({str(value) for value in column[cells]}), 3)
    what = (
        f"{int(cells.sum())} rows of {option} have a '{feature.name}' that the model does not know ({shown})"
    )
    refuse = f"--unseen '{feature.name}=reject' refuses them"
    fate = {
        None: f"it answers them as unknown, as it does for events; {refuse}",
        "reject": "they are left out, and such events will be dead letters",
        "null": "they are left out, and such events are scored as nulls",
    }
    yield f"{what}: {fate[feature.unseen]}"


def _unknown(column: pd.Series, known: KnownCategories) -> NDArray[np.bool_]:
    values: NDArray[np.bool_] = (column.notna() & ~column.isin(list(known.known))).to_numpy(dtype=np.bool_)
    return values
