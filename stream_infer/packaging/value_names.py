"""The names of a model's values, where it gives several numbers a row: the user's, or the model's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.manifest import RESERVED, OutputContract
from stream_infer.packaging.options import listed, unknown_names
from stream_infer.steps.observing.layout import watched_numbers

_VALUES, _PRIMARY = "--values", "--primary"
_TABLE = 2


def name_values(
    contract: OutputContract,
    answers: Any,  # noqa: ANN401 - what `predict` gives
    given: Sequence[str],
    primary: str | None,
) -> OutputContract:
    """Return `contract` with the names of its values, where `answers` are several numbers a row.

    The names are `given`, else the columns of a frame that the model answers. Raises `Misconfigured`.
    """
    width = np.shape(answers)[1] if np.ndim(answers) == _TABLE else 1
    if contract.kind != "regressor" or width == 1:
        _refuse_names(contract, given, primary)
        return contract
    names = tuple(given) or _own_names(answers)
    problems = list(_name_problems(names, width))
    if primary is not None and not problems:
        problems = unknown_names(_PRIMARY, {primary: None}, names, "value")
    if problems:
        raise Misconfigured(problems)
    return replace(contract, values=names, primary=primary)


def refuse_labels(classifier: object, answers: Any) -> None:  # noqa: ANN401 - as above
    """Raise `Misconfigured` for a classifier whose `answers` are several labels a row."""
    width = np.shape(answers)[1] if np.ndim(answers) == _TABLE else 1
    if width > 1:
        name = type(classifier).__name__
        what = f"it gives {width} labels a row, and a prediction has one"
        fix = (
            "package a classifier for each label, or a regressor that gives the probabilities of all of them"
            f" as columns, with {_VALUES}"
        )
        raise Misconfigured([Problem("MODEL", name, what, fix)])


def value_notes(contract: OutputContract) -> Sequence[str]:
    """Return what a model with several values does not have."""
    notes = []
    if contract.values and contract.primary is None:
        notes.append(
            f"no primary value: predictions have no `value`, and labels are compared with none ({_PRIMARY})"
        )
    unwatched = len(contract.numbers) - len(watched_numbers(contract))
    if unwatched:
        notes.append(
            f"{unwatched} of {len(contract.numbers)} values are not watched for drift, the last ones"
        )
    return notes


def _refuse_names(contract: OutputContract, given: Sequence[str], primary: str | None) -> None:
    what = f"is for a model that gives several numbers a row, and this {contract.kind} gives one answer"
    named = {_VALUES: ",".join(given), _PRIMARY: primary}
    problems = [Problem(option, text, what, f"leave {option} out") for option, text in named.items() if text]
    if problems:
        raise Misconfigured(problems)


def _own_names(answers: Any) -> tuple[str, ...]:  # noqa: ANN401 - as above
    columns = list(getattr(answers, "columns", ()))
    return tuple(columns) if all(isinstance(name, str) for name in columns) else ()


def _name_problems(names: Sequence[str], width: int) -> list[Problem]:
    shape = f"name them in their order: {_VALUES} {','.join(['NAME'] * min(width, 3))}"
    if not names:
        return [Problem(_VALUES, "", f"the model gives {width} numbers a row, and they have no names", shape)]
    shown = ",".join(names)
    if len(names) != width:
        return [Problem(_VALUES, shown, f"{len(names)} names, and the model gives {width} numbers", shape)]
    if len(set(names)) != width or not all(names):
        return [Problem(_VALUES, shown, "a name is empty or occurs twice", "give each value its own name")]
    reserved = [name for name in names if name in RESERVED]
    what = f"is one of the outputs that every prediction has: {listed(sorted(RESERVED))}"
    return [Problem(_VALUES, name, what, "name it otherwise, all of them in order") for name in reserved]
