"""One incident for one cause: alarms merge, it opens and ends once, and then its columns cool down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from stream_infer.drift.alarms import Alarm, WindowResult
from stream_infer.drift.aspects import RECORDS, Aspect, Signal
from stream_infer.drift.frames import FEATURE_NUMBER, OUTPUT_NUMBER, ObservationFrame
from stream_infer.drift.incident import IncidentChange, IncidentOpened, IncidentResolved
from stream_infer.drift.incidents import IncidentPolicy, Incidents
from stream_infer.flow.records import Partition

POLICY = IncidentPolicy(horizon_windows=2, calm_windows=3, settle_windows=8, cool_windows=5)
AMOUNT = Signal(FEATURE_NUMBER, "amount", Aspect.MEAN)
RATIO = Signal(FEATURE_NUMBER, "ratio", Aspect.MEAN)
SCORE = Signal(OUTPUT_NUMBER, "score", Aspect.MEAN)
WILD = Signal(FEATURE_NUMBER, "amount", Aspect.NON_FINITE)
DEAD = Signal(RECORDS, "", Aspect.DEAD_LETTERS)


def alarm(signal: Signal, value: float = 8.0) -> Alarm:
    return Alarm(signal, "PageHinkley", {}, 6.0, 5.0, value, 0.0, 100)


def result(
    number: int,
    alarms: Sequence[Alarm] = (),
    values: Mapping[Signal, float] | None = None,
    *,
    index: int = 0,
    digest: str = "d1",
    candidates: Sequence[Alarm] = (),
) -> WindowResult:
    first = number * 100
    frame = ObservationFrame(
        "1.0.0",
        digest,
        Partition("events", index),
        first,
        first + 99,
        first,
        first + 99,
        0,
        0,
        100,
        0,
        100,
        (),
    )
    known = {one.signal: one.value for one in alarms}
    return WindowResult(number, frame, alarms, {**known, **(values or {})}, candidates)


def changes(incidents: Incidents, *results: WindowResult) -> list[IncidentChange]:
    return [change for one in results for change in incidents.take(one)]


def named(found: Sequence[IncidentChange]) -> list[tuple[str, str, str]]:
    return [
        (one.incident.nature, one.incident.alarm.signal.name, one.incident.alarm.signal.aspect)
        for one in found
        if isinstance(one, IncidentOpened)
    ]


def endings(found: Sequence[IncidentChange]) -> list[str]:
    return [one.ending for one in found if isinstance(one, IncidentResolved)]


def test_alarms_of_one_window_are_one_incident_named_after_the_feature_that_moved_most() -> None:
    opened = changes(
        Incidents("p", POLICY), result(5, [alarm(RATIO), alarm(AMOUNT, 11.0), alarm(SCORE, 12.0)])
    )

    assert named(opened) == [("drift", "amount", "mean")]
    assert isinstance(opened[0], IncidentOpened)
    assert set(opened[0].also) == {RATIO, SCORE}


def test_alarms_within_the_horizon_join_and_later_ones_are_another_incident() -> None:
    incidents = Incidents("p", POLICY)

    assert len(changes(incidents, result(5, [alarm(AMOUNT)]), result(7, [alarm(RATIO)]))) == 1
    other = Signal(FEATURE_NUMBER, "other", Aspect.MEAN)
    assert named(changes(incidents, result(8, [alarm(other)], {AMOUNT: 8.0}))) == [("drift", "other", "mean")]


def test_a_feature_of_an_open_incident_joins_it_in_any_partition_at_any_time() -> None:
    incidents = Incidents("p", POLICY)
    [opened] = changes(incidents, result(5, [alarm(AMOUNT)]))

    assert changes(incidents, result(90, [alarm(AMOUNT)], index=1)) == []
    assert {stream.source.index for stream in opened.incident.tracks} == {0, 1}


def test_outputs_and_dead_letters_follow_a_feature_and_never_name_an_incident_beside_it() -> None:
    incidents = Incidents("p", POLICY)
    changes(incidents, result(5, [alarm(AMOUNT)]))

    assert changes(incidents, result(9, [alarm(SCORE)], {AMOUNT: 8.0})) == []
    assert named(changes(Incidents("p", POLICY), result(5, [alarm(SCORE)]))) == [("drift", "score", "mean")]


def test_an_output_that_alarms_alone_is_named_after_a_feature_that_stands_out_as_far() -> None:
    shown = result(5, [alarm(SCORE, 8.0)], candidates=[alarm(RATIO, 2.0), alarm(AMOUNT, 6.0)])
    [opened] = changes(Incidents("p", POLICY), shown)

    assert named([opened]) == [("drift", "amount", "mean")]
    assert opened.incident.raised_by == "PageHinkley on score"


def test_wild_values_are_an_incident_of_quality_which_takes_in_the_score() -> None:
    opened = changes(Incidents("p", POLICY), result(5, [alarm(SCORE), alarm(WILD)]))

    assert named(opened) == [("quality", "amount", "non_finite_rate")]
    assert named(changes(Incidents("p", POLICY), result(5, [alarm(DEAD)]))) == [
        ("quality", "", "dead_letter_rate")
    ]


def test_an_incident_returns_after_calm_windows_in_a_row() -> None:
    incidents = Incidents("p", POLICY)
    changes(incidents, result(5, [alarm(AMOUNT)]))
    back = [result(n, values={AMOUNT: value}) for n, value in ((6, 0.5), (7, 8.0), (8, 0.0), (9, 1.0))]

    assert changes(incidents, *back) == []
    assert endings(changes(incidents, result(10, values={AMOUNT: -1.0}))) == ["returned"]


def test_an_incident_settles_at_its_new_level_without_further_alarms() -> None:
    incidents = Incidents("p", POLICY)
    changes(incidents, result(5, [alarm(AMOUNT)]), result(6, [alarm(AMOUNT)]))
    stays = [result(n, values={AMOUNT: 8.0}) for n in range(7, 14)]

    assert changes(incidents, *stays) == []
    assert endings(changes(incidents, result(14, values={AMOUNT: 8.0}))) == ["settled"]


def test_an_incident_of_a_model_that_was_replaced_ends() -> None:
    incidents = Incidents("p", POLICY)
    changes(incidents, result(5, [alarm(AMOUNT)]))

    assert endings(changes(incidents, result(1, digest="d2"))) == ["replaced"]


def ended(incidents: Incidents) -> int:
    """Open an incident and let it return; return the number of the window that ended it."""
    found = changes(
        incidents, result(5, [alarm(AMOUNT)]), *(result(n, values={AMOUNT: 0.0}) for n in (6, 7, 8))
    )
    assert endings(found) == ["returned"]
    return 8


def test_an_alarm_about_a_column_that_cools_down_waits_and_counts_if_the_change_is_still_there() -> None:
    incidents = Incidents("p", POLICY)
    end = ended(incidents)
    waiting = [result(n, [alarm(AMOUNT)]) for n in range(end + 1, end + POLICY.cool_windows)]

    assert changes(incidents, *waiting) == []
    last = result(end + POLICY.cool_windows, values={AMOUNT: 7.0})
    [opened] = changes(incidents, last)
    assert opened.incident.alarm.value == 7.0


def test_an_alarm_that_waits_is_forgotten_when_the_change_is_gone() -> None:
    incidents = Incidents("p", POLICY)
    end = ended(incidents)
    changes(incidents, result(end + 1, [alarm(AMOUNT)]))

    assert changes(incidents, result(end + POLICY.cool_windows, values={AMOUNT: 1.0})) == []


def test_the_same_log_gives_the_same_ids_and_another_place_another_one() -> None:
    def opened(shown: WindowResult) -> str:
        [change] = changes(Incidents("p", POLICY), shown)
        return change.incident.id

    shown = result(5, [alarm(AMOUNT)])
    assert opened(shown) == opened(result(5, [alarm(AMOUNT)]))
    assert opened(replace(shown, frame=replace(shown.frame, last_offset=600))) != opened(shown)


def test_incidents_continue_from_their_document_after_every_window() -> None:
    script = [
        result(5, [alarm(AMOUNT)]),
        *(result(n, values={AMOUNT: 0.0}) for n in (6, 7, 8)),
        *(result(n, [alarm(AMOUNT), alarm(RATIO)]) for n in (9, 10)),
        *(result(n, values={AMOUNT: 7.0, RATIO: 7.0}) for n in range(11, 30)),
    ]
    whole = changes(Incidents("p", POLICY), *script)
    restored = Incidents("p", POLICY)
    found: list[IncidentChange] = []
    for one in script:
        found += restored.take(one)
        document = json.loads(json.dumps(restored.to_document()))
        restored = Incidents.from_document(document, "p", POLICY)

    assert [(type(one), one.incident.id) for one in found] == [(type(one), one.incident.id) for one in whole]
    assert named(whole) == [("drift", "amount", "mean"), ("drift", "ratio", "mean")]
