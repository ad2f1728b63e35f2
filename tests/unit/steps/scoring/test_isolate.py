"""Poison rows are found one by one, at any share; a broken model blames none."""

from __future__ import annotations

from collections.abc import Callable, Collection

import pytest

from stream_infer.flow.errors import Aborted, ModelFailed
from stream_infer.runtime.stop import Stop, on_signals
from stream_infer.steps.scoring.isolate import Expired, error_cause, isolate, untimed

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


def sound() -> None:
    """Find the model to be sound."""


def broken() -> None:
    raise ModelFailed("it fails on its golden rows too")


def answered(model: Model, rows: int, expired: Expired = untimed) -> tuple[list[int], list[int]]:
    isolated = isolate(model, rows, check=sound, expired=expired)
    return [row for part in isolated.parts for row in part.answer], [bad.row for bad in isolated.poison]


def test_a_batch_without_poison_is_one_predict() -> None:
    model = Model(())

    assert answered(model, 4000) == (list(range(4000)), [])
    assert model.asked == [(0, 4000)]


def test_no_rows_are_not_asked() -> None:
    model = Model(())

    assert answered(model, 0) == ([], [])
    assert model.asked == []


class Own(BaseException):
    """An exception of the model that is no `Exception`."""


@pytest.mark.parametrize("raised", [SystemExit, KeyboardInterrupt, GeneratorExit, Own])
def test_whatever_a_model_raises_is_the_fault_of_a_row(raised: type[BaseException]) -> None:
    def predict(start: int, stop: int) -> list[int]:
        if start <= 3 < stop:
            raise raised(0)
        return list(range(start, stop))

    with on_signals(Stop()):  # as in a worker
        isolated = isolate(predict, 10, check=sound)

    assert [(bad.row, bad.error) for bad in isolated.poison] == [(3, raised)]


def test_ctrl_c_stops_a_command_amid_a_predict() -> None:
    def predict(_start: int, _stop: int) -> list[int]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        isolate(predict, 10, check=sound)


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


@pytest.mark.parametrize("rows", [19, 20, 400])
def test_rows_that_all_raise_are_bad_data_while_the_model_is_sound(rows: int) -> None:
    model = Model(range(rows))

    assert answered(model, rows) == ([], list(range(rows)))
    assert len(model.asked) < 2 * rows


@pytest.mark.parametrize("share", [2, 3, 20])
def test_any_share_of_poison_is_found(share: int) -> None:
    poison = range(1, 1000, share)

    good, bad = answered(Model(poison), 1000)

    assert bad == list(poison)
    assert good == [row for row in range(1000) if row not in poison]


def test_a_broken_model_is_found_at_its_first_row_without_asking_for_the_others() -> None:
    model = Model(range(1024))

    with pytest.raises(ModelFailed):
        isolate(model, 1024, check=broken)

    assert len(model.asked) == 1 + 10


def test_a_model_that_breaks_while_rows_are_isolated_is_found_before_a_row_is_blamed() -> None:
    checks = iter([None, ModelFailed("broken meanwhile")])

    def check() -> None:
        found = next(checks)
        if found is not None:
            raise found

    with pytest.raises(ModelFailed, match="broken meanwhile"):
        isolate(Model([3, 70]), 100, check=check)


def test_a_model_that_answers_is_not_checked() -> None:
    assert isolate(Model(()), 100, check=broken).poison == []


def test_a_poison_row_tells_type_and_place_but_no_payload() -> None:
    isolated = isolate(Model([3]), 8, check=sound)

    assert isolated.poison[0].cause.startswith("ValueError in __call__ (test_isolate.py:")
    assert "4711" not in isolated.poison[0].cause


def test_an_error_that_was_never_raised_has_only_its_type() -> None:
    assert error_cause(KeyError("x")) == "KeyError"


def test_when_time_has_run_out_the_batch_is_aborted() -> None:
    with pytest.raises(Aborted, match="no time is left to score 100 rows"):
        isolate(Model([50]), 100, check=sound, expired=lambda: True)


def test_a_single_row_is_answered_whatever_the_time() -> None:
    assert answered(Model([0]), 1, lambda: True) == ([], [0])


def test_time_that_has_run_out_does_not_matter_to_a_model_that_answers() -> None:
    assert answered(Model(()), 100, lambda: True)[1] == []


def test_a_model_that_raises_on_the_company_of_rows_loses_none() -> None:
    def shy(start: int, stop: int) -> list[int]:
        if stop - start > 1:
            raise RuntimeError("one at a time")
        return [start]

    isolated = isolate(shy, 64, check=broken)

    assert [part.answer for part in isolated.parts] == [[row] for row in range(64)]
    assert isolated.poison == []


def test_a_batch_that_takes_too_much_memory_is_answered_in_parts() -> None:
    def greedy(start: int, stop: int) -> list[int]:
        if stop - start > 10:
            raise MemoryError
        return list(range(start, stop))

    isolated = isolate(greedy, 64, check=broken)

    assert [row for part in isolated.parts for row in part.answer] == list(range(64))


def test_no_range_is_larger_than_a_part_and_each_row_is_answered_once() -> None:
    asked: list[tuple[int, int]] = []

    def predict(start: int, stop: int) -> list[int]:
        asked.append((start, stop))
        if 3 in range(start, stop):
            raise ValueError
        return list(range(start, stop))

    isolated = isolate(predict, 10, check=sound, part_rows=4)

    assert max(stop - start for start, stop in asked) == 4
    assert [row for part in isolated.parts for row in part.answer] == [0, 1, 2, *range(4, 10)]
    assert [bad.row for bad in isolated.poison] == [3]


def test_nothing_is_asked_after_the_time_is_over_though_the_model_does_not_raise() -> None:
    asked: list[int] = []

    with pytest.raises(Aborted):
        isolate(lambda start, _: asked.append(start), 10, check=sound, expired=lambda: True, part_rows=4)

    assert asked == [0]
