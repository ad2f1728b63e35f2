"""Compares the model versions in the answers with those announced by `model.activated`.

Pure; `stage` sends events and reads the answers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

Place = tuple[int, int]
"""Partition and offset of an event."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A prediction, or a dead letter (without a value), with its model version."""

    place: Place
    version: str
    value: float | None


@dataclass(frozen=True, slots=True)
class Reign:
    """This version answers all events from this place on."""

    place: Place
    version: str


@dataclass(frozen=True, slots=True)
class Succession:
    """The version changes in the answers, the first version included, and all faults as text."""

    changes: Sequence[Reign]
    faults: Sequence[str]


def succession(
    events: Mapping[Place, float | None],
    answers: Sequence[Answer],
    announced: Sequence[Reign],
    slopes: Mapping[str, float],
) -> Succession:
    """Check the answers to `events` (the x of each; None where it cannot be read).

    1. Each event has one answer, a prediction where it can be read. 2. Each value is the prediction
    of the version named in its answer. 3. Each change of the version is announced, and nothing else is.

    `announced` are in the order of their topic: at one place, the last one counts.
    """
    ordered = sorted(answers, key=lambda one: one.place)
    changes = _begins(Reign(one.place, one.version) for one in ordered)
    faults = [*_once(events, answers), *_wrong_values(events, answers, slopes)]
    return Succession(changes, [*faults, *_disagreements(changes, _in_effect(announced, events))])


def _once(events: Mapping[Place, float | None], answers: Sequence[Answer]) -> Iterable[str]:
    found = Counter(one.place for one in answers)
    predicted = {one.place for one in answers if one.value is not None}
    for place, x in events.items():
        if found[place] != 1:
            yield f"{place} has {found[place]} answers"
        elif (x is not None) != (place in predicted):
            yield f"{place} has the wrong sort of answer"
    yield from (f"{place} was never sent" for place in found.keys() - events.keys())


def _wrong_values(
    events: Mapping[Place, float | None], answers: Sequence[Answer], slopes: Mapping[str, float]
) -> Iterable[str]:
    for one in answers:
        x = events.get(one.place)
        if one.value is None or x is None:
            continue
        if not math.isclose(one.value, slopes[one.version] * x, rel_tol=1e-9):
            yield f"{one.place}: {one.value} is not what {one.version} says of {x}"


def _in_effect(announced: Sequence[Reign], events: Collection[Place]) -> Sequence[Reign]:
    """Return the announced changes at places that have events."""
    newest = {one.place: one for one in announced if one.place in events}
    return _begins(newest[place] for place in sorted(newest))


def _begins(ordered: Iterable[Reign]) -> Sequence[Reign]:
    """Return the first of each run of one version in one partition."""
    return [next(run) for _, run in groupby(ordered, key=lambda one: (one.place[0], one.version))]


def _disagreements(changes: Sequence[Reign], announced: Sequence[Reign]) -> Iterable[str]:
    yield from (f"{one} is not announced" for one in sorted(set(changes) - set(announced), key=str))
    yield from (f"{one} is announced, and is none" for one in sorted(set(announced) - set(changes), key=str))
