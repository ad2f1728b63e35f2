"""What is inside a prediction: the event's time, copied fields, and the answers of every kind of model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stream_infer.flow.records import Channel
from stream_infer.models.manifest import OutputContract
from tests.unit.steps.world import (
    EVENTS,
    RAISES,
    RECEIVED_MS,
    batch,
    event,
    model,
    output,
    predictions,
    score,
)


class Regressor:
    _estimator_type = "regressor"

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        return matrix[:, 0] * 10


def test_the_time_of_an_event_comes_from_the_field_and_else_from_the_record() -> None:
    scoring = score(events=replace(EVENTS, event_time="ts"))
    values = [event(ts=1234), event(ts=None), event(ts=-5), event(ts=None)]

    outcome = scoring(batch(values, timestamp_ms=[9, 8, 7, -1]))

    assert [p["event_time"] for p in predictions(outcome)] == [1234, 8, -5, RECEIVED_MS]


def test_microseconds_become_milliseconds_rounded_down() -> None:
    scoring = score(events=replace(EVENTS, event_time="ts_us"))

    outcome = scoring(batch([event(ts_us=1_999), event(ts_us=-1), event(ts_us=2_000)]))

    assert [p["event_time"] for p in predictions(outcome)] == [1, -1, 2]


def test_a_plain_long_is_milliseconds() -> None:
    scoring = score(events=replace(EVENTS, event_time="items"))

    assert predictions(scoring(batch([event(items=77)])))[0]["event_time"] == 77


def test_a_record_without_a_timestamp_has_the_time_at_which_it_was_read() -> None:
    assert predictions(score()(batch([event()], timestamp_ms=[-1])))[0]["event_time"] == RECEIVED_MS


def test_copied_fields_are_text_and_null_ones_are_left_out() -> None:
    paths = ("id", "items", "known", "ratio", "amount", "device.kind", "ts")
    scoring = score(events=replace(EVENTS, copy=paths))
    values = [
        event(2.0, id="a", items=7, known=True, ratio=0.1, device={"kind": "PHONE"}, ts=5),
        event(RAISES),
        event(1e20, id="", known=False),
    ]

    outcome = scoring(batch(values))

    assert [p["copied"] for p in predictions(outcome)] == [
        {
            "id": "a",
            "items": "7",
            "known": "true",
            "ratio": repr(float(np.float32(0.1))),
            "amount": "2.0",
            "device.kind": "PHONE",
            "ts": "5",
        },
        {"id": "", "known": "false", "ratio": "0.5", "amount": "1e+20"},
    ]


def test_a_copied_feature_is_what_came_not_what_was_imputed() -> None:
    scoring = score(events=replace(EVENTS, copy=("items",)))

    assert [p["copied"] for p in predictions(scoring(batch([event(), event(items=3)])))] == [
        {},
        {"items": "3"},
    ]


def test_a_regressor_fills_value_only() -> None:
    served = model(Regressor(), output=OutputContract("regressor"))

    (prediction,) = predictions(score(served)(batch([event(1.5)])))

    assert (prediction["value"], prediction["label"], prediction["score"]) == (15.0, None, None)


@pytest.mark.parametrize("count", [1, 3])
def test_class_scores_are_a_map_when_the_contract_asks_for_them(count: int) -> None:
    asked = replace(model().manifest.output, class_scores=True)

    outcome = score(model(output=asked))(batch([event(1.0 + 2 * row) for row in range(count)]))

    expected = [{"no": 0.5, "yes": 0.5}, {"no": 0.75, "yes": 0.25}, {"no": 1 - 1 / 6, "yes": 1 / 6}]
    assert [p["class_scores"] for p in predictions(outcome)] == expected[:count]


class Several:
    _estimator_type = "regressor"

    def predict(self, matrix: np.ndarray) -> np.ndarray:
        low, high = matrix[:, 0] - 1, matrix[:, 0] + 1
        return np.column_stack([low, np.where(high == 5.0, np.nan, high)])


@pytest.mark.parametrize(("primary", "value"), [(None, None), ("high", 2.5)])
def test_several_values_are_a_map_and_the_primary_one_is_the_value(
    primary: str | None, value: float | None
) -> None:
    contract = OutputContract("regressor", values=("low", "high"), primary=primary)

    outcome = score(model(Several(), output=contract))(batch([event(1.5), event(4.0), event(0.5)]))

    found = predictions(outcome)
    assert [p["values"] for p in found] == [{"low": 0.5, "high": 2.5}, {"low": -0.5, "high": 1.5}]
    assert (found[0]["value"], found[0]["label"], found[0]["score"]) == (value, None, None)


def test_a_row_with_one_bad_value_is_a_dead_letter_that_names_it() -> None:
    contract = OutputContract("regressor", values=("low", "high"))

    outcome = score(model(Several(), output=contract))(batch([event(4.0)]))

    [headers] = output(outcome, Channel.DEAD_LETTERS).headers
    texts = dict(headers or ())
    assert texts["streaminfer.error.class"] == b"output_nan"
    assert texts["__dlq.errors.message"] == b"the model's value 'high' is NaN"
