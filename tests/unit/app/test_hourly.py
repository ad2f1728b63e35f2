"""Too few events in an hour, by a clock that the test moves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stream_infer.app.hourly import HourlyWatch
from stream_infer.app.silence import Feed
from stream_infer.flow.events import AssignmentChanged, ReadFinished
from stream_infer.flow.records import Partition

OWNED = AssignmentChanged("assigned", (Partition("observations", 0),))


class Minutes:
    """A watch whose clock is in minutes; the limit is 600 events in an hour."""

    def __init__(self, open_ms: int | None = None) -> None:
        self.now = 0.0
        self.count = 0
        self.told: list[Mapping[str, Any]] = []
        feed = Feed("events", "", "", "Look at the producers", lambda: self.count)
        self.watch = HourlyWatch(
            "shop",
            feed,
            600,
            self.told.append,
            clock=lambda: self.now * 60,
            now_ms=lambda: int(self.now * 60_000),
            open_ms=lambda: open_ms,
        )
        self.watch(OWNED)

    def go_on(self, minutes: int, a_minute: int) -> list[tuple[float, str]]:
        """Let so many events come each minute; return when what was told."""
        found = []
        for _ in range(minutes):
            self.now += 1
            self.count += a_minute
            before = len(self.told)
            self.watch(ReadFinished(1, 0.0))
            found += [(self.now, str(one["attributes"]["state"])) for one in self.told[before:]]
        return found


def test_an_hour_with_too_few_events_is_told_once_with_the_limit_and_is_over_after_an_hour_with_enough() -> (
    None
):
    minutes = Minutes()

    assert minutes.go_on(180, 5) == [(60.0, "open")]
    assert minutes.told[0]["summary"] == (
        "300 events came in the last hour, under the limit of 600 ([monitoring.limits] min_events_per_hour). "
        "Look at the producers"
    )
    assert minutes.told[0]["attributes"]["clock"] == "monitor"
    [(at, state)] = minutes.go_on(180, 10)
    assert (at, state) == (240.0, "resolved")
    assert minutes.told[0]["incident_id"] == minutes.told[1]["incident_id"]


def test_an_hour_with_enough_events_is_told_by_nobody_however_they_are_spread() -> None:
    minutes = Minutes()

    for _ in range(5):
        assert minutes.go_on(50, 0) == [] or minutes.now < 60
        assert minutes.go_on(10, 60) == []


def test_less_than_an_hour_is_not_judged_nor_an_hour_without_partitions() -> None:
    minutes = Minutes()

    assert minutes.go_on(59, 0) == []
    minutes.watch(AssignmentChanged("revoked", ()))
    assert minutes.go_on(200, 0) == []


def test_what_the_monitor_before_has_told_is_over_under_its_id() -> None:
    minutes = Minutes(open_ms=77)

    assert [state for _, state in minutes.go_on(70, 20)] == ["resolved"]
    assert minutes.told[0]["incident_id"] == "liveness.events_per_hour.77"
