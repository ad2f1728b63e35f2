"""What is wrong in absolute terms is told at once: from the first event, and whatever else is open."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from stream_infer.drift.aspects import Aspect
from stream_infer.drift.levels import LevelLimits
from stream_infer.drift.monitor import MonitorPolicy
from stream_infer.drift.pipeline_levels import LevelPolicy
from tests.support.alarm_streams import (
    COLOURS,
    Change,
    Fault,
    Line,
    Told,
    moved,
    nothing_readable,
    put,
    tell,
)

SEEDS = range(3)
START = 20_000
WITHIN = 5_000
BROKEN: dict[str, tuple[Fault, float, tuple[str | None, str]]] = {
    "all null": (put("income", math.nan), 1.0, ("income", "null_rate")),
    "60 % null": (put("income", math.nan), 0.6, ("income", "null_rate")),
    "half infinite": (put("wait", math.inf), 0.5, ("wait", "non_finite_rate")),
    "always true": (put("member", 1.0), 1.0, ("member", "mean")),
    "2 % to 60 % true": (put("fraudulent", 1.0), 0.6, ("fraudulent", "mean")),
    "a constant": (put("height", 171.5), 1.0, ("height", "spread")),
    "an unknown category": (put("colour", COLOURS), 0.5, ("colour", "unseen_category")),
    "half dead letters": (nothing_readable, 0.5, (None, "dead_letter_rate")),
}


def opened(found: list[Told]) -> list[Told]:
    return [one for one in found if one.state == "open"]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("partitions", [1, 4])
def test_nothing_readable_is_critical_within_5_000_events(seed: int, partitions: int) -> None:
    line = Line(START + WITHIN, seed, [Change(nothing_readable, START)], partitions)

    [told] = opened(tell(line))

    assert (told.about, told.severity) == ((None, "dead_letter_rate"), "critical")
    assert START < told.at <= START + WITHIN
    assert {one["partition"] for one in told.event["ranges"]} == set(range(partitions))
    assert all(one["first_offset"] <= START // partitions for one in told.event["ranges"])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_slow_stream_that_cannot_be_read_is_told_within_some_looks(seed: int) -> None:
    line = Line(2_000, seed, [Change(nothing_readable, 1_900)], batch=10, every_ms=2_000)

    [told] = opened(tell(line))

    assert told.severity == "critical"
    assert told.at <= 2_000


@pytest.mark.parametrize("seed", SEEDS)
def test_dead_letters_do_not_hide_behind_a_drift(seed: int) -> None:
    drift, dead = Change(moved("height", 6.0), START), Change(nothing_readable, 40_000, share=0.5)

    found = opened(tell(Line(40_000 + WITHIN, seed, [drift, dead])))

    assert [one.about for one in found] == [("height", "mean"), (None, "dead_letter_rate")]
    assert found[1].severity == "critical" or "dead letters: 4" in found[1].summary
    assert found[1].at > 40_000


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_that_is_broken_from_its_first_event_is_told(name: str, seed: int) -> None:
    fault, share, about = BROKEN[name]

    found = opened(tell(Line(WITHIN, seed, [Change(fault, share=share)])))

    assert about in [one.about for one in found]
    assert all(one.about[0] == about[0] for one in found)


@pytest.mark.parametrize("seed", SEEDS)
def test_ten_events_a_day_are_judged_each_day(seed: int) -> None:
    line = Line(60, seed, [Change(put("age", math.nan))], batch=2, every_ms=8_640_000)

    told = opened(tell(line))[0]

    assert told.about == ("age", "null_rate")
    assert told.at <= 30


def test_limits_are_the_users() -> None:
    limits = limited(LevelLimits(0.4, {Aspect.NULLS: 0.01}))
    dead, nulls = Change(nothing_readable, share=0.3), Change(put("wait", math.nan), share=0.06)

    assert [one.about for one in opened(tell(Line(WITHIN, 1, [dead]), limits))] == []
    [told] = opened(tell(Line(WITHIN, 1, [nulls]), limits))
    assert told.about == ("wait", "null_rate")
    assert "over the limit of 1 % ([monitoring.limits] null_rate)" in told.summary


FAULTS: dict[Aspect, tuple[Fault, str, float]] = {
    Aspect.NULLS: (put("wait", math.nan), "wait", 0.06),
    Aspect.NON_FINITE: (put("wait", math.inf), "wait", 0.06),
    Aspect.UNSEEN: (put("colour", COLOURS), "colour", 0.12),
    Aspect.OUT_OF_RANGE: (put("wait", 1e9), "wait", 0.12),
}


@pytest.mark.parametrize("aspect", FAULTS)
def test_a_limit_is_of_all_features_or_of_one(aspect: Aspect) -> None:
    fault, name, share = FAULTS[aspect]
    line = Line(WITHIN, 1, [Change(fault, share=share)])

    def raised_by(limits: LevelLimits) -> list[str]:
        found = opened(tell(line, limited(limits)))
        return [one.event["drift"]["detector"] for one in found if one.about == (name, aspect)]

    low, high = {aspect: 0.01}, {aspect: 0.9}
    assert raised_by(LevelLimits(rates=low)) == ["Limit"]
    assert raised_by(LevelLimits(rates=high, features={name: low})) == ["Limit"]
    assert "Limit" not in raised_by(LevelLimits(rates=low, features={name: high}))
    assert "Limit" not in raised_by(LevelLimits(features={"height": low}))


def limited(limits: LevelLimits) -> MonitorPolicy:
    return MonitorPolicy(levels=LevelPolicy(limits=limits))


@pytest.mark.parametrize("rows", [50, 5_000])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_stream_as_in_training_exceeds_no_level(seed: int, rows: int) -> None:
    assert [one for one in tell(Line(60_000, seed, rows=rows)) if "training" in one.summary] == []


def test_a_level_is_told_once_and_ends_when_the_stream_is_as_before() -> None:
    line = Line(60_000, 2, [Change(put("income", math.nan), 10_000, 20_000)])

    assert [(one.state, one.about) for one in tell(line)] == [
        ("open", ("income", "null_rate")),
        ("resolved", ("income", "null_rate")),
    ]
    assert tell(replace(line, changes=())) == []
