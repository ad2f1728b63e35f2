from __future__ import annotations

import math

import pytest

from stream_infer.dashboard.column_history import ColumnHistory, departure_of, share_distance
from stream_infer.dashboard.time_buckets import SPANS
from stream_infer.drift.frames import FEATURE_NUMBER, ColumnSummary
from stream_infer.drift.reference import ReferenceColumn
from tests.unit.dashboard.observed import AMOUNT, CITY, DIGEST, NOW_MS, amounts, cities, frame, reference_of


def test_the_departure_of_a_number_is_in_standard_deviations_of_training() -> None:
    assert departure_of(amounts(100, 13.0), AMOUNT) == 1.5
    assert departure_of(amounts(100, 10.0), AMOUNT) == 0.0


def test_the_departure_of_a_category_is_the_part_of_the_shares_that_moved() -> None:
    assert departure_of(cities(50, 50, 0), CITY) == 0.0
    assert departure_of(cities(50, 25, 25), CITY) == 0.25


def test_a_number_that_left_a_constant_is_far_and_finite() -> None:
    constant = ReferenceColumn("x", FEATURE_NUMBER, 10, mean=1.0, edges=(1.0, 1.1), shares=(0, 1, 0))

    found = departure_of(ColumnSummary("x", FEATURE_NUMBER, 5, mean=2.0), constant)

    assert found is not None
    assert math.isfinite(found)
    assert departure_of(ColumnSummary("x", FEATURE_NUMBER, 5, mean=1.0), constant) == 0.0


def test_nothing_is_said_without_training_data_or_values() -> None:
    assert departure_of(amounts(100, 13.0), None) is None
    assert departure_of(amounts(0, 0.0), AMOUNT) is None
    assert share_distance(amounts(100, 13.0, bins=(50, 50)), AMOUNT) is None


def test_the_newest_rows_are_two_thousand_and_what_is_open() -> None:
    history = ColumnHistory(reference_of)
    for place in range(50):
        history.take(frame([amounts(200, float(place))], first=place * 1_600), NOW_MS + place)

    window, [column] = history.now()

    assert window is not None
    assert 2_000 <= window.frame.sampled < 2_000 + 2 * 600
    assert column.summary.mean > 40
    assert window.frame.records == 8 * window.frame.sampled


def test_partitions_are_merged_into_one_distribution() -> None:
    history = ColumnHistory(reference_of)
    for partition in range(4):
        history.take(frame([cities(10 * partition, 10, 0)], partition=partition), NOW_MS)

    _, [column] = history.now()

    assert column.summary.bins == (60, 40, 0)
    assert column.departure == pytest.approx(0.1)


def test_a_strip_has_a_point_for_each_window_that_closed() -> None:
    history = ColumnHistory(reference_of)
    for place in range(6):
        history.take(frame([amounts(600, 10.0 + place)]), NOW_MS + 5_000 * place)

    times, values = history.strip((FEATURE_NUMBER, "amount"), SPANS[0], NOW_MS + 30_000)

    assert values == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
    assert times == sorted(times)
    assert history.strip((FEATURE_NUMBER, "other"), SPANS[0], NOW_MS) == ([], [])


def test_a_slow_stream_closes_its_windows_by_time() -> None:
    history = ColumnHistory(reference_of)
    history.take(frame([amounts(40, 12.0)]), NOW_MS)
    history.take(frame([amounts(40, 12.0)]), NOW_MS + 11_000)

    assert history.strip((FEATURE_NUMBER, "amount"), SPANS[0], NOW_MS + 11_000)[1] == [1.0]


def test_a_model_without_training_data_is_shown_without_departures() -> None:
    history = ColumnHistory(reference_of)
    history.take(frame([amounts(600, 10.0)], digest="sha256:other"), NOW_MS)

    _, [column] = history.now()

    assert column.departure is None
    assert not history.has_reference("sha256:other")


def test_the_model_that_was_activated_is_shown_while_another_still_answers() -> None:
    history = ColumnHistory(reference_of)
    history.take(frame([amounts(600, 10.0)]), NOW_MS)
    history.take(frame([amounts(600, 10.0)], digest="sha256:other"), NOW_MS)

    assert history.now(DIGEST)[0].frame.digest == DIGEST  # type: ignore[union-attr]
    assert history.now("sha256:unseen")[0].frame.digest == "sha256:other"  # type: ignore[union-attr]


def test_models_and_columns_that_are_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_infer.dashboard.column_history.MOST_COLUMNS", 2)
    history = ColumnHistory(lambda _: None)
    for model in range(20):
        history.take(frame([amounts(600, 10.0)], digest=f"sha256:{model}"), NOW_MS)
    assert history.now("sha256:0")[0].frame.digest == "sha256:19"  # type: ignore[union-attr]

    many = ColumnHistory(reference_of)
    signals = [ColumnSummary(f"f{n}", FEATURE_NUMBER, 600, bins=()) for n in range(5)]
    many.take(frame(signals), NOW_MS)
    assert len(many.now()[1]) == 2
