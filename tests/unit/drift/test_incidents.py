"""One incident for one cause: alarms merge, it opens once, is updated, settles, and ends once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

from stream_infer.drift.alarms import Alarm, WindowResult
from stream_infer.drift.aspects import RECORDS, Aspect, Signal
from stream_infer.drift.frames import FEATURE_NUMBER, OUTPUT_NUMBER, ObservationFrame
from stream_infer.drift.incident import (
    IncidentChange,
    IncidentOpened,
    IncidentResolved,
    IncidentSettled,
    IncidentUpdated,
)
from stream_infer.drift.incidents import IncidentPolicy, Incidents
from stream_infer.flow.records import Partition

POLICY = IncidentPolicy(horizon_windows=2, settle_windows=8)
AMOUNT = Signal(FEATURE_NUMBER, "amount", Aspect.MEAN)
RATIO = Signal(FEATURE_NUMBER, "ratio", Aspect.MEAN)
SCORE = Signal(OUTPUT_NUMBER, "score", Aspect.MEAN)
LOST = Signal(FEATURE_NUMBER, "amount", Aspect.NULLS)
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

    opened, updated = changes(incidents, result(5, [alarm(AMOUNT)]), result(7, [alarm(RATIO)]))
    assert isinstance(updated, IncidentUpdated)
    assert (updated.incident.id, updated.joined) == (opened.incident.id, [RATIO])
    other = Signal(FEATURE_NUMBER, "other", Aspect.MEAN)
    began = replace(alarm(other), since_offset=800)
    assert named(changes(incidents, result(8, [began], {AMOUNT: 8.0}))) == [("drift", "other", "mean")]


def test_a_change_that_began_with_an_incident_and_is_seen_later_joins_it() -> None:
    incidents = Incidents("p", POLICY)
    changes(incidents, result(5, [alarm(AMOUNT)]))

    [updated] = changes(incidents, result(30, [alarm(RATIO)], {AMOUNT: 8.0}))

    assert isinstance(updated, IncidentUpdated)
    assert updated.joined == [RATIO]


def test_a_feature_of_an_open_incident_joins_it_in_any_partition_at_any_time() -> None:
    incidents = Incidents("p", POLICY)
    [opened] = changes(incidents, result(5, [alarm(AMOUNT)]))

    assert changes(incidents, result(90, [alarm(AMOUNT)], index=1)) == []
    assert {key.stream.source.index for key in opened.incident.tracks} == {0, 1}


def test_outputs_follow_a_feature_and_dead_letters_are_an_incident_of_their_own() -> None:
    incidents = Incidents("p", POLICY)
    changes(incidents, result(5, [alarm(AMOUNT)]))

    [updated] = changes(incidents, result(9, [alarm(SCORE)], {AMOUNT: 8.0}))
    assert isinstance(updated, IncidentUpdated)
    assert updated.joined == [SCORE]
    dead = changes(incidents, result(10, [alarm(DEAD)], {AMOUNT: 8.0}))
    assert named(dead) == [("quality", "", "dead_letter_rate")]
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


def test_an_incident_returns_after_windows_in_the_band_of_before() -> None:
    incidents = Incidents("p", POLICY)
    changes(incidents, result(5, [alarm(AMOUNT)]))
    back = [result(n, values={AMOUNT: value}) for n, value in ((6, 0.5), (7, 8.0), (8, 0.0), (9, 1.0))]

    assert changes(incidents, *back) == []
    assert endings(changes(incidents, result(10, values={AMOUNT: -1.0}))) == ["returned"]


def test_a_small_change_takes_more_windows_to_be_back() -> None:
    incidents = Incidents("p", POLICY)
    changes(incidents, result(5, [alarm(AMOUNT, 3.0)]))
    back = [result(n, values={AMOUNT: value}) for n, value in ((6, 3.0), (7, 3.0), (8, 0.5), (9, 0.5))]

    assert changes(incidents, *back, result(10, values={AMOUNT: 0.5})) == []
    assert endings(changes(incidents, result(11, values={AMOUNT: 0.5}))) == ["returned"]


def test_an_incident_settles_at_its_new_level_and_stays_open() -> None:
    incidents = Incidents("p", POLICY)
    changes(incidents, result(5, [alarm(AMOUNT)]), result(6, [alarm(AMOUNT)]))
    stays = [result(n, values={AMOUNT: 8.0}) for n in range(7, 14)]

    assert changes(incidents, *stays) == []
    [settled] = changes(incidents, result(14, values={AMOUNT: 8.0}))
    assert isinstance(settled, IncidentSettled)
    assert changes(incidents, *(result(n, values={AMOUNT: 8.0}) for n in range(15, 40))) == []
    back = changes(incidents, *(result(n, values={AMOUNT: 0.0}) for n in range(40, 44)))
    assert endings(back) == ["returned"]


def test_a_member_that_moves_half_as_far_again_is_told_once() -> None:
    incidents = Incidents("p", POLICY)
    changes(incidents, *(result(n, [alarm(AMOUNT)] if n == 5 else (), {AMOUNT: 8.0}) for n in range(5, 12)))

    found = changes(incidents, *(result(n, values={AMOUNT: 40.0}) for n in range(12, 18)))

    assert [(type(one), one.moved) for one in found if isinstance(one, IncidentUpdated)] == [
        (IncidentUpdated, [AMOUNT])
    ]
    assert len(found) == 1


def test_values_that_go_missing_in_a_member_are_told() -> None:
    incidents = Incidents("p", POLICY)
    changes(incidents, result(5, [alarm(AMOUNT)]))

    [updated] = changes(incidents, result(12, [alarm(LOST, 60.0)], {AMOUNT: 8.0}))

    assert isinstance(updated, IncidentUpdated)
    assert updated.joined == [LOST]


def test_a_settled_signal_that_moves_to_the_other_side_is_told() -> None:
    incidents = Incidents("p", POLICY)
    changes(incidents, *(result(n, [alarm(AMOUNT)] if n == 5 else (), {AMOUNT: 8.0}) for n in range(5, 20)))

    [updated] = changes(incidents, result(20, [alarm(AMOUNT, -8.0)]))

    assert isinstance(updated, IncidentUpdated)
    assert updated.moved == [AMOUNT]


def test_a_new_model_takes_the_features_of_an_incident_over() -> None:
    incidents = Incidents("p", POLICY)
    changes(incidents, result(5, [alarm(AMOUNT), alarm(SCORE)]))

    assert changes(incidents, *(result(n, values={AMOUNT: 8.0}, digest="d2") for n in range(1, 6))) == []
    back = changes(incidents, *(result(n, values={AMOUNT: 0.0}, digest="d2") for n in range(6, 10)))
    assert endings(back) == ["returned"]


def test_an_incident_of_an_output_ends_with_its_model() -> None:
    incidents = Incidents("p", POLICY)
    changes(incidents, result(5, [alarm(SCORE)]))

    assert endings(changes(incidents, result(1, digest="d2"))) == ["replaced"]


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
    assert named(whole) == [("drift", "amount", "mean"), ("drift", "amount", "mean")]
