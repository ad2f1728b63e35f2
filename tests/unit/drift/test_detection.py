"""The shipped configuration: no alarm on a stream that does not change, and the right one on a change."""

from __future__ import annotations

import pytest

from benchmarks.drift_streams import (
    Change,
    Stream,
    lose,
    recategorise,
    rescore,
    run_monitor,
    shift,
    widen,
)
from stream_infer.drift.windows import PIPELINE, WHOLE

START = 16_500
CHANGES: dict[str, tuple[Change, str]] = {
    "mean": (shift("normal_0", 1.0), "normal_0:mean"),
    "mean down": (shift("normal_5", -1.0), "normal_5:mean"),
    "mean of a heavy tail": (shift("skewed_1", 1.0), "skewed_1:mean"),
    "mean of a count": (shift("count_0", 1.0), "count_0:mean"),
    "variance": (widen("normal_2", 2.0), "normal_2:spread"),
    "less variance": (widen("normal_2", 0.4), "normal_2:spread"),
    "category": (recategorise("city", "berlin", 0.5), "city:categories"),
    "unseen category": (recategorise("city", "oslo", 0.2), "city:unseen_category"),
    "null rate": (lose(0.1), "normal_9:null_rate"),
    "score": (rescore(1.5), "score:mean"),
}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_200_000_events_that_do_not_change_raise_nothing(seed: int) -> None:
    run = run_monitor(Stream(200_000, seed))

    assert run.opened == []
    assert run.records == 200_000


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("seed", range(10))
def test_a_change_is_one_incident_that_names_its_feature_within_5_000_events(name: str, seed: int) -> None:
    change, named = CHANGES[name]
    start = START + 400 * seed

    run = run_monitor(Stream(start + 24_000, seed, (change,), start, batch=500))

    ((at, opened),) = run.opened
    # The comparison with the reference may come first; it is the same feature.
    assert run.names()[0] in {named, f"{named.partition(':')[0]}:distribution"}
    assert start < at <= start + 5_000
    assert opened.incident.alarm.since_offset <= start + 1600
    assert run.resolved == []


def test_a_change_of_many_partitions_is_one_incident() -> None:
    run = run_monitor(Stream(120_000, 5, (shift("normal_0", 1.0),), 60_000, batch=2_000, partitions=3))

    assert run.names() == ["normal_0:mean"]
    found = {key.stream.source.index for key in run.opened[0][1].incident.tracks}
    assert found - {PIPELINE.index} == {WHOLE.index, 0, 1, 2}


def test_a_gradual_change_is_found_before_it_is_half_over() -> None:
    run = run_monitor(Stream(100_000, 4, (shift("normal_4", 1.0),), 30_000, ramp=60_000))

    ((at, _),) = run.opened
    assert run.names() == ["normal_4:mean"]
    assert at < 60_000


def test_a_burst_of_nan_and_infinities_does_not_hide_a_later_shift() -> None:
    stream = Stream(60_000, 6, (shift("normal_3", 1.0),), 40_000, burst=(20_000, 20_900), batch=500)

    run = run_monitor(stream)

    reported = [(o.incident.nature, o.incident.alarm.signal.name) for _, o in run.opened]
    assert reported == [("quality", "normal_3"), ("drift", "normal_3")]
    assert run.opened[1][0] <= 45_000


def test_a_change_that_goes_back_is_resolved_and_one_that_stays_settles() -> None:
    back = run_monitor(Stream(60_000, 8, (shift("normal_0", 1.0),), 20_000, stop=30_000, batch=500))
    stays = run_monitor(Stream(120_000, 8, (shift("normal_0", 1.0),), 20_000))

    assert [r.ending for _, r in back.resolved] == ["returned"]
    assert stays.resolved == []
    assert stays.opened[0][1].incident.state == "settled"
    assert len(back.opened) == len(stays.opened) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_200_000_events_without_a_reference_that_do_not_change_raise_nothing(seed: int) -> None:
    assert run_monitor(Stream(200_000, seed), compare=False).opened == []


def test_without_a_reference_the_stream_is_compared_with_its_first_windows() -> None:
    shifted = run_monitor(Stream(60_000, 9, (shift("normal_0", 1.0),), 30_000, batch=500), compare=False)

    assert shifted.names() == ["normal_0:mean"]
    assert shifted.opened[0][0] <= 35_000
