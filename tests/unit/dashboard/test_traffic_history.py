from __future__ import annotations

import pytest

from stream_infer.dashboard.time_buckets import SPANS
from stream_infer.dashboard.traffic_history import TrafficHistory
from tests.unit.dashboard.observed import NOW_MS, frame


def test_the_rate_is_that_of_the_last_ten_seconds() -> None:
    history = TrafficHistory()
    for second in range(30):
        history.take(frame([], records=100, dead_letters=1), NOW_MS - 1_000 * second - 1)

    now = history.now(NOW_MS)

    assert now["records_per_s"] == 100
    assert now["dead_letters_per_s"] == 1
    assert history.records == 3_000


def test_latency_is_from_the_record_to_the_frame_that_was_written_with_its_prediction() -> None:
    history = TrafficHistory()
    history.take(frame([], records=300, times=(NOW_MS - 500, NOW_MS - 300)), NOW_MS - 100)
    history.take(frame([], records=100, times=(NOW_MS - 1_100, NOW_MS - 1_100)), NOW_MS - 100)

    now = history.now(NOW_MS + 1_000)

    assert now["latency_typical_ms"] == (300 * 300 + 100 * 1_000) / 400
    assert now["latency_slowest_ms"] == 1_000


def test_without_records_latency_is_unknown() -> None:
    assert TrafficHistory().now(NOW_MS)["latency_typical_ms"] is None


def test_a_clock_of_a_producer_that_is_ahead_gives_no_negative_latency() -> None:
    history = TrafficHistory()
    history.take(frame([], times=(NOW_MS + 9_000, NOW_MS + 9_000)), NOW_MS - 100)

    assert history.now(NOW_MS)["latency_typical_ms"] in {0.0, None}


@pytest.mark.parametrize("span", SPANS, ids=lambda span: span.name)
def test_each_span_has_rates_per_second(span: object) -> None:
    history = TrafficHistory()
    history.take(frame([], records=1_000), NOW_MS)

    assert history.series(span, NOW_MS)["records_per_s"] == []  # not over yet
    series = history.series(span, NOW_MS + span.width_ms)  # type: ignore[arg-type]

    assert series["records_per_s"] == [pytest.approx(1_000 * 1_000 / span.width_ms, abs=1e-3)]  # type: ignore[attr-defined]
