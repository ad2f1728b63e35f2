"""The check of model swaps in the broker tests finds every kind of fault."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.support.succession import Answer, Place, Reign, succession

SLOPES = {"1.0.0": 1.0, "2.0.0": 2.0}
EVENTS: Mapping[Place, float | None] = {(p, o): 3.0 for p in (0, 1) for o in range(4)} | {(1, 2): None}


def answers(changes: Mapping[int, int]) -> list[Answer]:
    """Return right answers; version 2 begins in each partition at this offset."""
    versions = {place: "2.0.0" if place[1] >= changes[place[0]] else "1.0.0" for place in EVENTS}
    return [Answer(p, v, None if EVENTS[p] is None else SLOPES[v] * 3.0) for p, v in versions.items()]


def announced(changes: Mapping[int, int]) -> list[Reign]:
    begin = [Reign((partition, 0), "1.0.0") for partition in changes]
    return begin + [Reign((partition, offset), "2.0.0") for partition, offset in changes.items()]


def faults(given: list[Answer], told: list[Reign]) -> list[str]:
    return list(succession(EVENTS, given, told, SLOPES).faults)


@pytest.mark.parametrize("changes", [{0: 1, 1: 3}, {0: 0, 1: 2}, {0: 4, 1: 4}])
def test_a_true_story_has_no_faults(changes: Mapping[int, int]) -> None:
    found = succession(EVENTS, answers(changes), announced(changes), SLOPES)

    assert found.faults == []
    assert set(found.changes) == {r for r in announced(changes) if r.place in EVENTS} - (
        {Reign((0, 0), "1.0.0")} if changes[0] == 0 else set()
    )


def test_a_lost_a_doubled_and_an_invented_answer_are_found() -> None:
    right = answers({0: 1, 1: 3})
    [lost, doubled] = [one for one in right if one.place in {(0, 2), (1, 0)}]
    given = [one for one in right if one != lost] + [doubled, Answer((5, 0), "1.0.0", 1.0)]

    assert faults(given, announced({0: 1, 1: 3})) == [
        "(0, 2) has 0 answers",
        "(1, 0) has 2 answers",
        "(5, 0) was never sent",
        "Reign(place=(5, 0), version='1.0.0') is not announced",
    ]


def test_a_value_of_another_version_than_the_one_beside_it_is_found() -> None:
    given = [
        Answer(one.place, one.version, 6.0) if one.place == (0, 0) else one for one in answers({0: 1, 1: 3})
    ]

    assert faults(given, announced({0: 1, 1: 3})) == ["(0, 0): 6.0 is not what 1.0.0 says of 3.0"]


def test_a_dead_letter_for_what_can_be_read_is_found() -> None:
    given = [
        Answer(one.place, one.version, None) if one.place == (0, 3) else one for one in answers({0: 1, 1: 3})
    ]

    assert faults(given, announced({0: 1, 1: 3})) == ["(0, 3) has the wrong sort of answer"]


def test_a_change_that_is_announced_elsewhere_is_found() -> None:
    assert faults(answers({0: 2, 1: 3}), announced({0: 1, 1: 3})) == [
        "Reign(place=(0, 2), version='2.0.0') is not announced",
        "Reign(place=(0, 1), version='2.0.0') is announced, and is none",
    ]


def test_the_last_announcement_at_a_place_counts() -> None:
    right, told = answers({0: 1, 1: 3}), announced({0: 1, 1: 3})

    assert (
        faults(right, [Reign((0, 1), "1.0.0"), *told, Reign((0, 1), "2.0.0"), Reign((0, 2), "2.0.0")]) == []
    )
    assert faults(right, [*told, Reign((0, 1), "1.0.0")]) != []
