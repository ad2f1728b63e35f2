"""A monitor that has nothing to judge says so, once, and that it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pytest

from stream_infer.app.silence import Feed, SilenceWatch
from stream_infer.flow.events import AssignmentChanged, ReadFinished
from stream_infer.flow.records import Partition

OWNED = AssignmentChanged("assigned", (Partition("observations", 0),))


@dataclass
class Watched:
    """A watch whose clock a test moves."""

    now_s: float = 0.0
    count: int = 0
    gap_s: float = 0.0
    awaited: bool = True
    told: list[Mapping[str, object]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.watch = SilenceWatch(
            "shop",
            Feed(
                "observations",
                "no event was scored",
                "events are scored again",
                "Look at the producers",
                lambda: self.count,
                lambda: self.awaited,
                lambda: self.gap_s,
            ),
            self.told.append,
            limit_s=300.0,
            clock=lambda: self.now_s,
            now_ms=lambda: int(self.now_s * 1_000),
        )

    def after(self, seconds: float, records: int = 0) -> None:
        self.now_s += seconds
        self.count += records
        self.watch(ReadFinished(records, 0.0))

    @property
    def states(self) -> list[object]:
        return [event["attributes"]["state"] for event in self.told if isinstance(event["attributes"], dict)]


@pytest.fixture
def watched() -> Watched:
    watched = Watched()
    watched.watch(OWNED)
    return watched


def test_five_minutes_without_an_event_are_told_once(watched: Watched) -> None:
    watched.after(10, records=3)
    watched.after(299)
    assert watched.told == []

    watched.after(1)
    watched.after(1_000)

    [event] = watched.told
    assert event["summary"] == (
        "no event was scored for 5 min; the longest gap before was 10 s. Look at the producers"
    )
    assert (event["type"], event["severity"], event["time"]) == ("liveness", "warning", 310_000)
    assert event["attributes"] == {"state": "open", "clock": "monitor"}


def test_that_events_are_scored_again_is_told_with_the_time_that_passed(watched: Watched) -> None:
    watched.after(600)
    watched.after(60, records=1)
    watched.after(10, records=1)

    assert watched.states == ["open", "resolved"]
    assert watched.told[1]["summary"] == "events are scored again, after 11 min"
    assert watched.told[0]["incident_id"] == watched.told[1]["incident_id"]


def test_a_slow_stream_is_silent_after_twice_its_longest_gap(watched: Watched) -> None:
    for _ in range(5):
        watched.after(1_000, records=1)
    told = len(watched.told)

    watched.after(1_999)
    assert len(watched.told) == told
    watched.after(1)
    assert len(watched.told) == told + 1


def test_a_monitor_without_partitions_waits_for_nothing(watched: Watched) -> None:
    watched.watch(AssignmentChanged("revoked", ()))
    watched.after(10_000)
    assert watched.told == []

    watched.watch(OWNED)
    watched.after(299)
    assert watched.told == []


def test_a_feed_whose_log_shows_longer_gaps_is_silent_after_twice_the_longest_of_them(
    watched: Watched,
) -> None:
    watched.gap_s = 86_400.0
    watched.after(10, records=1)
    watched.after(2 * 86_400 - 1)
    assert watched.told == []

    watched.after(1)
    [event] = watched.told
    assert "the longest gap before was 1.44e+03 min" in str(event["summary"])


def test_a_feed_that_never_began_is_not_awaited(watched: Watched) -> None:
    watched.awaited = False
    watched.after(100_000)
    assert watched.told == []


def test_what_else_is_read_does_not_end_the_silence_of_a_feed(watched: Watched) -> None:
    watched.after(10, records=1)
    for _ in range(6):
        watched.now_s += 60
        watched.watch(ReadFinished(records=500, read_s=0.0))

    assert watched.states == ["open"]


def test_a_silence_that_the_monitor_before_has_told_is_ended_once_under_its_id() -> None:
    told: list[Mapping[str, object]] = []
    count = now_s = 0
    watch = SilenceWatch(
        "shop",
        Feed("observations", "no event was scored", "events are scored again", "Look", lambda: count),
        told.append,
        limit_s=300.0,
        clock=lambda: float(now_s),
        now_ms=lambda: now_s * 1_000,
        open_ms=lambda: 77,
    )
    watch(OWNED)
    for now_s in (400, 500):  # noqa: B007 - the clock that the watch reads
        watch(ReadFinished(0, 0.0))
    assert told == []

    for count, now_s in ((1, 510), (2, 520), (3, 530)):  # noqa: B007 - the clock and the count that the watch reads
        watch(ReadFinished(1, 0.0))

    assert [one["incident_id"] for one in told] == ["liveness.observations.77"]
