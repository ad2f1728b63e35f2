"""The maker's own answers, columns of the sample or arrays, against the model on the sample as read here."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

from stream_infer.flow.errors import Misconfigured, Problem, Refused
from tests.unit.packaging.workshop import Workshop, frame_of, target, trips

EVENTS = trips(60)
COLUMNS = ["stops", "night"]
FRAME = frame_of(EVENTS, COLUMNS)
TWO = LogisticRegression().fit(FRAME, target(EVENTS))
SCORES = TWO.predict_proba(FRAME)[:, 1]


def refused(workshop: Workshop, model: Any, golden: pd.DataFrame, answers: str) -> str:
    """Return the reason why there is no package."""
    with pytest.raises(Refused) as caught:
        workshop.create(model, golden, answers=answers)
    assert not workshop.package.exists()
    assert caught.value.code == "golden"
    return caught.value.reason


def problem(workshop: Workshop, golden: pd.DataFrame, answers: Any) -> Problem:
    with pytest.raises(Misconfigured) as caught:
        workshop.create(TWO, golden, answers=answers)
    [found] = caught.value.problems
    assert found.key == "--answers"
    return found


def test_own_answers_in_the_sample_are_compared_and_are_no_features(workshop: Workshop) -> None:
    matrix = FRAME.to_numpy(dtype=float)
    model = LogisticRegression().fit(matrix, target(EVENTS))
    golden = FRAME.assign(**{"P(y=1, x)": model.predict_proba(matrix)[:, 1], "said": model.predict(matrix)})

    report = workshop.create(model, golden, answers="score=P(y=1, x), label=said")

    assert (report.features, report.rows) == (2, 60)
    assert report.compared == "your own answers to the golden rows: score, label"


def test_without_own_answers_the_report_says_what_was_compared(workshop: Workshop) -> None:
    report = workshop.create(TWO, FRAME)

    assert report.compared.startswith(
        "answers computed here from the golden sample as read here: label, score; --answers"
    )


def test_a_model_trained_on_columns_in_another_order_is_refused_with_row_and_columns(
    workshop: Workshop,
) -> None:
    schema = {"type": "record", "name": "E", "fields": [{"name": n, "type": "double"} for n in "ba"]}
    frame = pd.DataFrame({"a": [50.0, 3.0, 4.0], "b": [2.0, 3.0, 9.0]})
    model = LinearRegression().fit(frame.to_numpy(), frame["a"] * 10 + frame["b"])
    golden = frame[["b", "a"]].assign(own=model.predict(frame.to_numpy()))

    with pytest.raises(Refused) as caught:
        workshop.create(model, golden, schema=schema, answers="value=own")

    assert "golden row 0: your own value is 502" in caught.value.reason
    assert "(2 of 3 rows differ)" in caught.value.reason
    assert "--features" in caught.value.reason
    assert workshop.create(model, golden, schema=schema, answers="value=own", features=("a", "b")).rows == 3


def test_another_label_and_another_score_are_refused_with_both_values(workshop: Workshop) -> None:
    score, label = SCORES.copy(), TWO.predict(FRAME)
    score[4] += 0.25
    label[7] = 1 - label[7]

    by_score = refused(workshop, TWO, FRAME.assign(p=score), "score=p")
    by_label = refused(workshop, TWO, FRAME.assign(y=label), "label=y")

    assert f"golden row 4: your own score is {score[4]:.12g}, the model's here {SCORES[4]:.12g}" in by_score
    assert "stops (int64), night (bool)" in by_score
    assert f"golden row 7: your own label is {label[7]}, the model's here {1 - label[7]}" in by_label


@pytest.mark.parametrize(
    ("classes", "written"),
    [
        ([0, 1], [0.0, 1.0]),
        ([0.0, 1.0], [0, 1]),
        ([False, True], [0, 1]),
        ([0, 1], [False, True]),
        (["no", "yes"], ["no", "yes"]),
        (["0", "1"], [0, 1]),
    ],
)
def test_labels_are_compared_as_classes_however_they_are_written(
    workshop: Workshop, classes: list[Any], written: list[Any]
) -> None:
    model = LogisticRegression().fit(FRAME, np.array(classes)[target(EVENTS)])
    places = np.searchsorted(model.classes_, model.predict(FRAME))
    labels = [written[place] for place in places]
    wrong = [written[1 - places[0]], *labels[1:]]

    workshop.create(model, FRAME.assign(y=labels), answers="label=y")
    with pytest.raises(Refused, match="golden row 0"):
        workshop.create(model, FRAME.assign(y=wrong), answers="label=y", output=workshop.folder / "other")


def test_answers_of_rows_that_the_policies_reject_are_left_out(workshop: Workshop) -> None:
    frame = frame_of(EVENTS, ["distance", "stops"])
    model = LinearRegression().fit(frame.fillna(0), target(EVENTS))
    golden = frame.assign(own=model.predict(frame.fillna(0)))

    report = workshop.create(model, golden, answers="value=own", missing=("distance=reject",))

    assert report.rows == int(frame["distance"].notna().sum()) < len(frame)


def test_answers_written_in_single_precision_agree_with_a_model_of_single_precision(
    workshop: Workshop,
) -> None:
    model = SinglePrecision().fit(FRAME, target(EVENTS))
    own = pd.Series(model.predict_proba(FRAME)[:, 1])
    golden = workshop.csv("single.csv", FRAME.assign(p=own))
    assert own.dtype == np.float32
    assert (pd.read_csv(golden)["p"] != own.astype(float)).any()

    assert workshop.create(model, golden, answers="score=p").rows == 60
    with pytest.raises(Refused, match="60 of 60 rows differ"):
        workshop.create(
            model, FRAME.assign(p=own + 1e-4), answers="score=p", output=workshop.folder / "other"
        )


class SinglePrecision(RandomForestClassifier):
    """A classifier whose probabilities are float32, as those of boosting libraries are."""

    def predict_proba(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's name
        return super().predict_proba(X).astype(np.float32)


@pytest.mark.parametrize("text", ["p", "score=", "scores=p", "score=p,score=q", "=p"])
def test_an_invalid_answers_option_is_reported_with_its_form(workshop: Workshop, text: str) -> None:
    assert "write --answers 'label=COLUMN,score=COLUMN" in problem(workshop, FRAME.assign(p=SCORES), text).fix


def test_a_column_of_answers_that_the_sample_lacks_is_reported_with_those_it_has(workshop: Workshop) -> None:
    found = problem(workshop, FRAME.assign(p=SCORES), "score=q")

    assert (found.value, found.message) == ("q", "the golden sample has no such column")
    assert "stops, night, p" in found.fix


@pytest.mark.parametrize(
    ("answers", "what"),
    [
        ({"value": SCORES}, "a classifier like this one has no value"),
        ({"probability": SCORES}, "has no probability"),
        ({"score": SCORES[:5]}, "has shape (5,), and the golden frame 60 rows"),
        ({"score": pd.Series(SCORES, FRAME.index[::-1])}, "the index of 'score' is not that"),
        ({"score": np.where(FRAME.index == 3, np.nan, SCORES)}, "row 3 has no answer (1 of 60 rows)"),
        ({"score": TWO.predict_proba(FRAME)}, "has shape (60, 2)"),
        ({"score": ["high"] * 60}, "are not numbers"),
    ],
)
def test_answers_of_another_form_are_reported(workshop: Workshop, answers: Any, what: str) -> None:
    assert what in problem(workshop, FRAME, answers).message
