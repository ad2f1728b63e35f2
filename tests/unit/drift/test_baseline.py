"""The first events of a pipeline: how many there are, what is left out, and what a new model inherits."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from stream_infer.drift.baseline import BaselineLearner, LearnedBaseline, learn_baseline, tail_factor
from stream_infer.drift.frames import FEATURE_NUMBER, OUTPUT_NUMBER, ColumnSummary, ObservationFrame
from stream_infer.flow.records import Partition

RECORDS = 1_000
AMOUNT, SCORE = (FEATURE_NUMBER, "amount"), (OUTPUT_NUMBER, "score")


def column(values: np.ndarray, name: str = "amount", kind: str = FEATURE_NUMBER) -> ColumnSummary:
    mean = float(values.mean())
    return ColumnSummary(
        name,
        kind,
        count=len(values),
        mean=mean,
        m2=float(((values - mean) ** 2).sum()),
        low=float(values.min()),
        high=float(values.max()),
    )


def window(number: int, *, nulls: int = 0, mean: float = 0.0) -> ObservationFrame:
    rng = np.random.default_rng(number)
    columns = (
        replace(column(rng.normal(mean, 1, 125)), nulls=nulls),
        column(rng.normal(mean, 1, 125), "score", OUTPUT_NUMBER),
    )
    first = number * RECORDS
    ends = first, first + RECORDS - 1
    return ObservationFrame("1", "sha256:a", Partition("t", 0), *ends, *ends, 0, 1, RECORDS, 10, 125, columns)


def learned(learner: BaselineLearner) -> LearnedBaseline:
    assert learner.learned is not None
    return learner.learned


def test_a_baseline_is_learned_from_at_most_5_000_events_and_stays() -> None:
    learner = BaselineLearner()
    took = [learner.add(window(number)) for number in range(6)]

    assert took == [True] * 4 + [False] * 2
    assert learned(learner).frame.records == 4_000
    assert learned(learner).columns[AMOUNT].count == 500


def test_what_is_known_so_far_grows_until_the_baseline_is_complete() -> None:
    learner = BaselineLearner()
    assert learner.so_far is None

    learner.add(window(0))

    assert learner.learned is None
    assert learner.so_far is not None
    assert learner.so_far.frame.records == RECORDS


def test_a_column_that_loses_its_values_is_left_out_from_there_on() -> None:
    learner = BaselineLearner()
    for number in range(4):
        learner.add(window(number, nulls=900 if number else 20))

    known = learned(learner)
    assert known.missing(known.columns[AMOUNT]) == (20, 0, RECORDS)
    assert known.rows(known.columns[SCORE]) == 4 * RECORDS


def test_a_new_model_inherits_the_features_and_learns_its_outputs() -> None:
    before = BaselineLearner()
    for number in range(4):
        before.add(window(number))
    learner = BaselineLearner(learned(before).of_features())

    assert learned(learner).columns.keys() == learned(learner).inflation.keys() == {AMOUNT}
    for number in range(4):
        learner.add(window(number, mean=5.0))
    known = learned(learner)
    assert known.columns[AMOUNT].mean == learned(before).columns[AMOUNT].mean
    assert known.columns[SCORE].mean > 4


@pytest.mark.parametrize("windows", [0, 2, 4])
def test_a_learner_continues_from_its_document(windows: int) -> None:
    before = BaselineLearner()
    for number in range(4):
        before.add(window(number))
    whole, restored = (BaselineLearner(learned(before).of_features()) for _ in range(2))
    for number in range(windows):
        whole.add(window(number, nulls=900 * number))
    restored.restore(json.loads(json.dumps(whole.to_document())))
    for learner in (whole, restored):
        for number in range(windows, 4):
            learner.add(window(number))

    assert restored.to_document() == whole.to_document()


def test_windows_that_differ_by_more_than_chance_raise_the_factors() -> None:
    alike, apart = (learn_baseline([window(n, mean=by * (n % 2)) for n in range(4)]) for by in (0.0, 1.0))

    assert alike.inflation[AMOUNT][0] < 2
    assert apart.inflation[AMOUNT][0] > 2 * alike.inflation[AMOUNT][0]


def test_a_heavy_tail_makes_a_variance_uncertain() -> None:
    rng = np.random.default_rng(1)

    assert tail_factor(column(rng.normal(0, 1, 200))) == 1.0
    assert tail_factor(column(rng.lognormal(0, 2, 200))) > 3
