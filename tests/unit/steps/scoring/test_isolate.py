"""Poison rows are found one by one; a failed model is distinguished from bad data."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest

from stream_infer.flow.errors import ModelFailed
from stream_infer.steps.scoring.isolate import STREAK_LIMIT, Budget, Streak, error_cause, isolate

Predict = Callable[[int, int], list[int]]


class Model:
    """Answers a range with its row numbers; raises when the range holds a poison row; counts its calls."""

    def __init__(self, poison: Collection[int]) -> None:
        self.poison = frozenset(poison)
        self.asked: list[tuple[int, int]] = []

    def __call__(self, start: int, stop: int) -> list[int]:
        self.asked.append((start, stop))
        if any(row in self.poison for row in range(start, stop)):
            raise ValueError("secret payload 4711")
        return list(range(start, stop))


def answered(model: Model, rows: int, budget: Budget | None = None) -> tuple[list[int], list[int]]:
    isolated = isolate(model, rows, budget or Budget())
    return [row for part in isolated.parts for row in part.answer], [bad.row for bad in isolated.poison]


def test_a_batch_without_poison_is_one_predict() -> None:
    model = Model(())

    assert answered(model, 4000) == (list(range(4000)), [])
    assert model.asked == [(0, 4000)]


def test_no_rows_are_not_asked() -> None:
    model = Model(())

    assert answered(model, 0) == ([], [])
    assert model.asked == []


@pytest.mark.parametrize("row", [0, 1, 511, 512, 1023])
def test_one_poison_row_costs_a_predict_for_each_halving_and_at_most_two_more(row: int) -> None:
    model = Model([row])

    good, bad = answered(model, 1024)

    assert bad == [row]
    assert good == [r for r in range(1024) if r != row]
    assert len(model.asked) <= 1 + 2 * 10


def test_single_poison_rows_cost_little_more_than_log2_on_average() -> None:
    models = [Model([row]) for row in range(256)]
    for model in models:
        answered(model, 256)

    assert sum(len(model.asked) for model in models) / 256 <= 1 + 1.6 * 8


def test_a_batch_of_one_poison_row_is_one_predict_and_one_dead_letter() -> None:
    model = Model([0])

    assert answered(model, 1) == ([], [0])
    assert len(model.asked) == 1


def test_nineteen_rows_that_all_raise_are_bad_data() -> None:
    assert answered(Model(range(19)), 19) == ([], list(range(19)))


def test_twenty_rows_that_all_raise_are_a_failed_model() -> None:
    with pytest.raises(ModelFailed, match="more than 19 of 20 rows"):
        isolate(Model(range(20)), 20, Budget())


@pytest.mark.parametrize("rows", [20, 156, 200, 256, 312, 400, 1000])
def test_nineteen_poison_rows_are_found_in_a_batch_of_any_size(rows: int) -> None:
    poison = sorted({row * rows // 19 for row in range(19)})

    assert answered(Model(poison), rows)[1] == poison


def test_five_percent_of_a_large_batch_are_found_within_the_budget() -> None:
    poison = range(7, 4000, 20)
    model = Model(poison)

    good, bad = answered(model, 4000)

    assert bad == list(poison)
    assert len(good) == 3800
    assert len(model.asked) <= Budget().limit(4000)


def test_more_than_five_percent_of_a_large_batch_are_a_failed_model() -> None:
    with pytest.raises(ModelFailed, match="more than 200 of 4000 rows"):
        isolate(Model(range(0, 4000, 19)), 4000, Budget())


def test_the_error_of_a_failed_model_tells_its_type_and_place_but_no_payload() -> None:
    with pytest.raises(ModelFailed) as failed:
        isolate(Model(range(50)), 50, Budget())

    assert "ValueError in __call__ (test_isolate.py:" in str(failed.value)
    assert "4711" not in str(failed.value)
    assert failed.value.__cause__ is None


def test_a_poison_row_tells_type_and_place_but_no_payload() -> None:
    isolated = isolate(Model([3]), 8, Budget())

    assert isolated.poison[0].cause.startswith("ValueError in __call__ (test_isolate.py:")
    assert "4711" not in isolated.poison[0].cause


def test_an_error_that_was_never_raised_has_only_its_type() -> None:
    assert error_cause(KeyError("x")) == "KeyError"


def test_over_the_predicts_of_the_budget_the_model_has_failed() -> None:
    budget = Budget(predicts=8, predicts_per_row=0.0)

    with pytest.raises(ModelFailed, match="8 predicts found"):
        isolate(Model([100, 900]), 1024, budget)


def test_when_time_has_run_out_the_model_has_failed() -> None:
    with pytest.raises(ModelFailed, match="1 predicts found 0 of 100 rows"):
        isolate(Model([50]), 100, Budget(expired=lambda: True))


def test_time_that_has_run_out_does_not_matter_to_a_model_that_answers() -> None:
    assert answered(Model(()), 100, Budget(expired=lambda: True))[1] == []


def test_a_model_that_raises_on_the_company_of_rows_loses_none() -> None:
    def shy(start: int, stop: int) -> list[int]:
        if stop - start > 1:
            raise RuntimeError("one at a time")
        return [start]

    isolated = isolate(shy, 64, Budget())

    assert [part.answer for part in isolated.parts] == [[row] for row in range(64)]
    assert isolated.poison == []


def test_out_of_memory_blames_no_row() -> None:
    def greedy(start: int, stop: int) -> list[int]:
        raise MemoryError

    with pytest.raises(ModelFailed, match="memory"):
        isolate(greedy, 1, Budget())


def test_single_failing_rows_add_up_to_a_failed_model() -> None:
    streak = Streak()
    for _ in range(STREAK_LIMIT - 1):
        streak = streak.after("sha256:a", answered=0, raised=1)

    with pytest.raises(ModelFailed, match="100 rows in succession"):
        streak.after("sha256:a", answered=0, raised=1)


def test_one_answer_ends_a_streak() -> None:
    streak = Streak().after("sha256:a", answered=0, raised=60).after("sha256:a", answered=1, raised=5)

    assert streak == Streak("sha256:a", 0)


def test_a_batch_that_never_reached_the_model_leaves_a_streak_as_it_is() -> None:
    streak = Streak().after("sha256:a", answered=0, raised=60)

    assert streak.after("sha256:a", answered=0, raised=0) == streak


def test_another_model_begins_its_own_streak() -> None:
    streak = Streak().after("sha256:a", answered=0, raised=60).after("sha256:b", answered=0, raised=2)

    assert streak == Streak("sha256:b", 2)
