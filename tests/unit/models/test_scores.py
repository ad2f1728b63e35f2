"""Model outputs are checked row by row; an output of the wrong shape fails the batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from stream_infer.models.manifest import OutputContract
from stream_infer.models.scores import OutputShapeError, Scores, check_scores, named_values

BINARY = OutputContract("classifier", ("no", "yes"), class_scores=True, score="probability")
DECISION = OutputContract("classifier", ("no", "yes"), score="decision")
REGRESSOR = OutputContract("regressor")
NAN, INF = float("nan"), float("inf")


def labels(*values: str) -> Any:
    return np.array(values, dtype=object)


def test_outputs_within_the_contract_have_no_faults() -> None:
    scores = Scores(
        label=labels("no", "yes"),
        score=np.array([0.0, 1.0000000000000002]),
        class_scores=np.array([[1.0, 0.0], [0.0, 1.0]]),
    )

    assert check_scores(scores, BINARY, 2) == []
    assert len(scores) == 2


def test_each_faulty_row_is_reported_once_with_its_class() -> None:
    scores = Scores(
        label=labels("no", "maybe", "yes", "yes", "no"),
        score=np.array([NAN, 0.5, 1.5, -0.1, 0.5]),
        class_scores=np.array([[NAN, NAN], [0.5, 0.5], [0.1, 1.5], [1.1, -0.1], [INF, 0.5]]),
    )

    faults = [(row, kind) for row, kind, _ in check_scores(scores, BINARY, 5)]

    assert faults == [
        (0, "output_nan"),
        (1, "output_label"),
        (2, "output_range"),
        (3, "output_range"),
        (4, "output_range"),
    ]


def test_a_regressor_value_must_be_finite() -> None:
    faults = check_scores(Scores(value=np.array([1e300, NAN, -INF])), REGRESSOR, 3)

    assert [(row, kind) for row, kind, _ in faults] == [(1, "output_nan"), (2, "output_range")]


def test_a_decision_value_may_be_any_finite_number() -> None:
    scores = Scores(label=labels("no", "yes"), score=np.array([-7.5, INF]))

    assert [(row, kind) for row, kind, _ in check_scores(scores, DECISION, 2)] == [(1, "output_range")]


@pytest.mark.parametrize(
    ("scores", "contract"),
    [
        (Scores(value=np.zeros(2)), REGRESSOR),
        (Scores(value=np.zeros((3, 2))), REGRESSOR),
        (Scores(), REGRESSOR),
        (Scores(label=labels("no", "no", "no")), DECISION),
        (Scores(label=labels("no", "no", "no"), score=np.zeros(4)), DECISION),
        (Scores(label=labels("no", "no", "no"), score=np.zeros(3), value=np.zeros(3)), DECISION),
        (Scores(labels("no", "no", "no"), np.zeros(3), class_scores=np.zeros((3, 3))), BINARY),
    ],
)
def test_an_output_of_another_shape_fails_the_whole_batch(scores: Scores, contract: OutputContract) -> None:
    with pytest.raises(OutputShapeError):
        check_scores(scores, contract, 3)


def test_an_empty_batch_has_no_faults() -> None:
    assert check_scores(Scores(value=np.zeros(0)), REGRESSOR, 0) == []
    assert len(Scores()) == 0


SEVERAL = OutputContract("regressor", values=("low", "high"), primary="high")


def test_each_value_must_be_finite_and_a_fault_names_it() -> None:
    table = np.array([[0.0, 1.0], [NAN, 1.0], [0.0, INF]])

    faults = check_scores(named_values(table, SEVERAL), SEVERAL, 3)

    assert faults == [
        (1, "output_nan", "the model's value 'low' is NaN"),
        (2, "output_range", "the model's value 'high' is out of range"),
    ]


@pytest.mark.parametrize(
    "scores",
    [
        Scores(value=np.zeros(3)),
        Scores(values=np.zeros((3, 2))),
        Scores(value=np.zeros(3), values=np.zeros((3, 3))),
    ],
)
def test_several_values_of_another_shape_fail_the_whole_batch(scores: Scores) -> None:
    with pytest.raises(OutputShapeError):
        check_scores(scores, SEVERAL, 3)


def test_numbers_go_by_their_names() -> None:
    table = np.array([[0.0, 1.0], [2.0, 3.0]])

    found = named_values(table, SEVERAL)

    assert {name: column.tolist() for name, column in found.numbers(SEVERAL).items()} == {
        "low": [0.0, 2.0],
        "high": [1.0, 3.0],
    }
    assert found.value is not None
    assert found.value.tolist() == [1.0, 3.0]
    assert list(Scores().numbers(SEVERAL)) == ["low", "high"]
