"""What a person on call is told of an incident: its culprit, what joins, what gets worse, how it ends."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.alarm_streams import (
    COLOURS,
    COLUMNS,
    Change,
    Events,
    Fault,
    Line,
    Told,
    moved,
    nothing_readable,
    put,
    rescored,
    tell,
)

SEEDS = range(3)
FIRST, SECOND, WITHIN = 20_000, 40_000, 10_000
SETTLED, SOON = 120_000, 5_000
SPREAD = {"height": 10.0, "weight": 12.0}

AFTER: dict[str, tuple[Fault, str]] = {
    "its nulls": (put("height", math.nan), "null rate of feature 'height'"),
    "ten times as far": (moved("height", 100.0), "mean of feature 'height' moved further"),
    "an unrelated feature": (moved("weight", 18.0), "mean of feature 'weight'"),
    "the score alone": (rescored(3.0), "mean of the score"),
}
WORSE: dict[str, tuple[Fault, float, float, str]] = {
    "nulls": (put("income", math.nan), 0.05, 1.0, "null rate of feature 'income'"),
    "dead letters": (nothing_readable, 0.05, 0.58, "dead letters"),
    "infinities": (put("wait", math.inf), 0.05, 0.9, "non finite rate of feature 'wait'"),
    "a flag": (put("fraudulent", 1.0), 0.33, 1.0, "mean of feature 'fraudulent'"),
    "unseen": (put("colour", COLOURS), 0.25, 0.75, "share of unseen categories of feature 'colour'"),
}


def states(found: Sequence[Told], state: str) -> list[Told]:
    return [one for one in found if one.state == state]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", AFTER)
def test_what_happens_while_an_incident_is_open_is_told(name: str, seed: int) -> None:
    fault, sentence = AFTER[name]
    line = Line(SECOND + WITHIN, seed, [Change(moved("height", 8.0), FIRST), Change(fault, SECOND)])

    found = tell(line)

    after = [one for one in found if one.at > SECOND and sentence in one.summary]
    assert after
    assert {one.state for one in after} <= {"open", "updated"}
    assert states(found, "resolved") == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", WORSE)
def test_a_rate_that_settled_and_gets_much_worse_is_told_within_5_000_events(name: str, seed: int) -> None:
    fault, little, much, sentence = WORSE[name]
    changes = [Change(fault, FIRST, share=little), Change(fault, SETTLED, share=much)]

    found = tell(Line(SETTLED + SOON, seed, changes))

    column = sentence.rpartition(" of ")[2]  # the comparison with the reference may come first
    assert [column in one.summary for one in states(found, "open")] == [True]
    assert len(states(found, "settled")) == 1
    [update] = [one for one in states(found, "updated") if one.at > SETTLED]
    assert f"{sentence} moved further" in update.summary
    assert update.severity == ("warning" if name in {"a flag", "unseen"} else "critical")


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3, 6, 20])
def test_a_shift_of_the_mean_is_named_so(size: int) -> None:
    named = []
    for seed in range(24):
        start = FIRST + 177 * seed
        change = Change(moved("weight", SPREAD["weight"] * size), start)
        named.append(states(tell(Line(start + SOON, seed, [change])), "open")[0].about)

    assert named.count(("weight", "mean")) >= 22


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_a_shift_of_the_score_is_named_so_beside_columns_that_stand_far_off(seed: int) -> None:
    """A null rate that was never as in training, and a timestamp that always grows, have not changed now."""
    far = [Change(put("share", math.nan), share=0.15), Change(later_and_later("created"))]
    columns = {**COLUMNS, "created": lambda rng, n: rng.uniform(0, 1e6, n)}
    line = Line(FIRST + SOON, seed, [*far, Change(rescored(2.0), FIRST)], columns=columns)

    about = [one.about for one in tell(line) if one.at > FIRST]

    assert set(about) == {(None, "mean")}


def later_and_later(name: str) -> Fault:
    """Let a feature be a time that is far beyond training, and grows with each batch."""
    now = itertools.count(2_000_000, 500)

    def fault(events: Events, where: NDArray[np.bool_], _: np.random.Generator) -> None:
        events[name] = next(now) + np.arange(len(where), dtype=float)

    return fault


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(
    ("fault", "share"), [(moved("weight", 2.7), 1.0), (put("size", 3.0), 0.5)], ids=["0.2 sd", "a code"]
)
def test_a_small_change_for_good_is_one_incident_that_settles_and_is_never_back(
    fault: Fault, share: float, seed: int
) -> None:
    found = tell(Line(400_000, seed, [Change(fault, SECOND, share=share)]))

    assert len({one.event["incident_id"] for one in found}) == 1
    assert [one.state for one in found if one.state != "updated"] == ["open", "settled"]


def normal(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    return rng.normal(0, 1, count)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("partitions", "events"), [(1, 2 * SECOND), (8, 3 * SECOND)])
def test_one_cause_that_moves_forty_features_is_one_incident(partitions: int, events: int, seed: int) -> None:
    loadings = {f"f{number}": (number + 1) / 40 for number in range(40)}
    changes = [Change(moved(name, 2.0 * loading), SECOND) for name, loading in loadings.items()]
    columns = dict.fromkeys(loadings, normal)

    line = Line(events, seed, changes, partitions=partitions, columns=columns, batch=2_000)

    assert len(states(tell(line), "open")) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("partitions", [1, 4, 64])
def test_without_a_reference_a_shift_is_told_within_5_000_events_whatever_the_number_of_partitions(
    partitions: int, seed: int
) -> None:
    change = Change(moved("weight", 2 * SPREAD["weight"]), 12_000, 30_000)
    line = Line(12_000 + SOON, seed, [change], partitions=partitions, rows=0, batch=1_000)

    [opened] = states(tell(line), "open")

    assert opened.about == ("weight", "mean")
    assert "compared with the first 4,000 events of the pipeline" in opened.summary
    assert opened.event["drift"]["reference_kind"] == "first_windows"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_nulls_that_begin_while_the_baseline_is_learned_are_told(seed: int) -> None:
    line = Line(500 + SOON, seed, [Change(put("height", math.nan), 500)], rows=0)

    told = states(tell(line), "open")[0]

    assert told.severity == "critical"
    assert "null rate of feature 'height': 50 %, at first 0 %" in told.summary


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("rows", [0, 5_000])
def test_a_feature_that_is_null_is_carried_over_to_a_new_model(rows: int, seed: int) -> None:
    models = {0: "sha256:a", FIRST: "sha256:b"}
    changes = [Change(put("height", math.nan), 10_000, 30_000)]

    found = tell(Line(SECOND, seed, changes, rows=rows, models=models))

    of_nulls = [one for one in found if "null rate of feature 'height'" in one.summary]
    assert [one.state for one in states(of_nulls, "open")] == ["open"]
    assert [one.at for one in states(of_nulls, "resolved") if one.at <= 30_000] == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("digests", ["abcdefgh", "abababab"], ids=["new", "the same two"])
@pytest.mark.parametrize("rows", [0, 5_000])
def test_a_shift_is_told_within_5_000_events_whatever_model_is_swapped_in(
    rows: int, digests: str, seed: int
) -> None:
    models = {5_000 * number: f"sha256:{digest}" for number, digest in enumerate(digests)}
    change = Change(moved("weight", 2 * SPREAD["weight"]), 22_500)

    opened = states(tell(Line(22_500 + SOON, seed, [change], rows=rows, models=models)), "open")

    assert [one.about for one in opened] == [("weight", "mean")]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["height", "colour"])
def test_of_ten_events_a_day_a_feature_that_goes_missing_is_told_on_the_third_day_and_no_other(
    name: str, seed: int
) -> None:
    a_day, start = 10, 300
    line = Line(
        start + 6 * a_day,
        seed,
        [Change(put(name, math.nan), start)],
        batch=1,
        every_ms=86_400_000 // a_day,
    )

    opened = states(tell(line), "open")

    assert [one.about for one in opened] == [(name, "null_rate")]
    assert start < opened[0].at <= start + 3 * a_day
    assert opened[0].severity == "critical"
