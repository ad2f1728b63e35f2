"""The maker's own answers to the golden rows: columns of the sample, or arrays of the session that trained.

They show that the sample is read here as it was in training. Without them `create` can only ask the model
again, on the frame that it read itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Misconfigured, Problem, Refused
from stream_infer.models.manifest import OutputContract, Tolerance
from stream_infer.models.scores import Floats, Scores
from stream_infer.packaging.options import listed
from stream_infer.steps.scoring.golden import row_of, slack, tied

OPTION = "--answers"
OUTPUTS = ("label", "score", "value")


def parse_answers(text: str, values: Sequence[str] = ()) -> dict[str, str]:
    """Read `score=COLUMN,label=COLUMN`: output -> column. A column may have commas and "=" in its name.

    `values` are the outputs of a model with several numbers, beside label, score and value.
    """
    outputs = (*OUTPUTS, *values)
    following = re.compile(rf",(?=\s*(?:{'|'.join(map(re.escape, outputs))})\s*=)")
    found: dict[str, str] = {}
    for part in following.split(text):
        output, _, column = (side.strip() for side in part.partition("="))
        if output not in outputs or not column or output in found:
            shape = ",".join(f"{output}=COLUMN" for output in outputs)
            what = f"is not {shape}, each at most once"
            fix = (
                f"write {OPTION} '{shape}' with those you have; --values names the outputs of several numbers"
            )
            raise Misconfigured([Problem(OPTION, text, what, fix)])
        found[output] = column
    return found


def split_answers(frame: pd.DataFrame, columns: Mapping[str, str]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return `frame` without the columns of answers, and the answers: one column for each output."""
    absent = [column for column in columns.values() if column not in frame.columns]
    if absent:
        fix = f"name a column of the sample: {listed(frame.columns)}"
        what = "the golden sample has no such column"
        raise Misconfigured([Problem(OPTION, column, what, fix) for column in absent])
    answers = pd.DataFrame({output: frame[column] for output, column in columns.items()})
    return frame.drop(columns=list(dict.fromkeys(columns.values()))), _complete(answers)


def answers_beside(frame: pd.DataFrame, given: Mapping[str, ArrayLike]) -> pd.DataFrame:
    """Return `given`, output -> answers in the order of `frame`, as a frame with the index of `frame`."""
    columns = {}
    problems = []
    for output, values in given.items():
        column = np.asarray(values)
        if isinstance(values, pd.Series) and not values.index.equals(frame.index):
            what = f"the index of '{output}' is not that of the golden frame: other rows, or another order"
            problems.append(Problem(OPTION, output, what, f"give {output}.loc[frame.index], or an array"))
        elif column.shape != (len(frame),):
            what = f"'{output}' has shape {column.shape}, and the golden frame {len(frame)} rows"
            problems.append(Problem(OPTION, output, what, "give one answer for each row"))
        columns[output] = column
    if problems:
        raise Misconfigured(problems)
    return _complete(pd.DataFrame(columns, index=frame.index))


def answer_columns(scores: Scores, contract: OutputContract) -> dict[str, NDArray[Any]]:
    """Return a column for each output that a golden row is compared in."""
    own = {name: getattr(scores, name) for name in OUTPUTS}
    return {name: column for name, column in own.items() if column is not None} | scores.numbers(contract)


def _complete(answers: pd.DataFrame) -> pd.DataFrame:
    empty = answers.isna().any(axis=1)
    if empty.any():
        what = f"row {empty.idxmax()} has no answer ({int(empty.sum())} of {len(answers)} rows)"
        fix = "give the answer of the model for each row, or leave the row out"
        raise Misconfigured([Problem(OPTION, "", what, fix)])
    return answers


def compare_answers(
    answers: pd.DataFrame, scores: Scores, contract: OutputContract, tolerance: Tolerance, read: str
) -> None:
    """Compare `answers` with `scores`, which the model gives here for the same rows.

    Raises `Misconfigured` for an output that the model does not have, and `Refused` (`GOLDEN`) with the first
    row that differs, and with `read`, the columns as they are read here.
    """
    has = answer_columns(scores, contract)
    absent = [str(output) for output in answers.columns if output not in has]
    if absent:
        what = f"a {contract.kind} like this one has no {{}}"
        fix = f"give its {' or its '.join(has)}"
        raise Misconfigured([Problem(OPTION, output, what.format(output), fix) for output in absent])
    differs = {
        str(output): _label_differs(answers[output], scores, contract, tolerance)
        if output == "label"
        else _differs(answers[output], str(output), has[str(output)], tolerance)
        for output in answers.columns
    }
    wrong = np.logical_or.reduce(list(differs.values()))
    if wrong.any():
        row = int(wrong.argmax())
        said = ", ".join(
            f"your own {output} is {_shown(answers[output].iloc[row])},"
            f" the model's here {_shown(has[output][row])}"
            for output, rows in differs.items()
            if rows[row]
        )
        raise Refused(
            RefusalCode.GOLDEN,
            f"golden row {answers.index[row]}: {said} ({int(wrong.sum())} of {len(answers)} rows differ)."
            f" The model is asked here with the columns {read}. If it was trained with other types or in"
            " another order, give the sample as Parquet, which keeps types, name the order with --features,"
            " or call stream_infer.package where the model was trained",
        )


def _label_differs(
    own: pd.Series, scores: Scores, contract: OutputContract, tolerance: Tolerance
) -> NDArray[np.bool_]:
    named = np.array([_class_name(one, contract.classes) for one in own.tolist()], dtype=object)
    other: NDArray[np.bool_] = named != scores.label
    for row in np.flatnonzero(other).tolist():
        other[row] = not tied(row_of(scores, row, contract), contract, tolerance)
    return other


def _differs(own: pd.Series, output: str, found: Floats, tolerance: Tolerance) -> NDArray[np.bool_]:
    try:
        numbers = own.to_numpy(dtype=np.float64)
    except (TypeError, ValueError) as error:
        what = f"the answers of '{output}' are not numbers: {error}"
        raise Misconfigured(
            [Problem(OPTION, output, what, "name the column that has the numbers")]
        ) from error
    far: NDArray[np.bool_] = np.abs(numbers - found) > slack(found, tolerance)
    single = found.astype(np.float32)
    if np.array_equal(single, found):
        # The model answers in single precision: its answers have been written with its digits.
        far &= numbers.astype(np.float32) != single
    return far


def _class_name(value: Any, classes: tuple[str, ...]) -> str:  # noqa: ANN401 - a label of any type
    """Return the class that `value` is, by its text or as a number: 1, "1", 1.0 and True are one class."""
    if str(value) in classes:
        return str(value)
    number = _number(value)
    return next((one for one in classes if number is not None and _number(one) == number), str(value))


def _shown(answer: object) -> str:
    return f"{answer:.12g}" if isinstance(answer, float | np.floating) else str(answer)


def _number(value: Any) -> float | None:  # noqa: ANN401 - a label of any type
    text = {"True": "1", "False": "0"}.get(str(value), str(value))
    try:
        return float(text)
    except ValueError:
        return None
