"""Whether a model misses a class: exact tests on the labels of each true class.

A class of one label in a thousand hardly moves a rate of errors, and a class that is labelled later moves it
though the model is as it was. So the labels of each class are counted by themselves: recall is what is left.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SIZES = (10, 15, 20, 30, 40, 80)
"""So many of the newest labels of a class are compared with those before."""
CHANCE = 1e-7
"""The chance of one comparison to alarm without a change."""
_FIRST = 500
_LEAST_FIRST = 20
_BACK_CHANCE = 0.05
_WORTH_A_TEST = 3.5
"""Of a smaller z-score the exact chance is never below `CHANCE`, and takes longer to compute."""


@dataclass(frozen=True, slots=True)
class MissedClass:
    """`missed` of the newest `labels` of a class were predicted as another; `chance` is that of so many."""

    name: str
    missed: int
    labels: int
    missed_before: int
    labels_before: int
    chance: float


@dataclass(slots=True)
class ClassErrors:
    """The labels of one class: the first ones, `missed` among them, and the newest in order (1: missed).

    `since` counts the labels since an alarm that still holds; an incident tells one once (`told`). `level`
    has labels and missed ones since errors settled at another level.
    """

    labels: int = 0
    missed: int = 0
    recent: list[int] = field(default_factory=list)
    since: int | None = None
    told: bool = False
    level: tuple[int, int] | None = None

    @property
    def first_rate(self) -> float | None:
        """The rate of missed labels at first; None while it is not known."""
        return _rate(self.labels, self.missed)

    @property
    def rate(self) -> float | None:
        """The rate of missed labels to expect: at the level where errors settled, or else at first."""
        return self.first_rate if self.level is None else _rate(*self.level)

    def take(self, name: str, *, missed: bool) -> MissedClass | None:
        """Take the next label; return an alarm where more are missed than before."""
        if self.level is not None and self.level[0] < _FIRST:
            self.level = self.level[0] + 1, self.level[1] + missed
        self.recent.append(int(missed))
        if len(self.recent) > SIZES[-1]:
            oldest = self.recent.pop(0)
            if self.labels < _FIRST and self.since is None:
                self.labels, self.missed = self.labels + 1, self.missed + oldest
        if self.since is not None:
            self.since += 1
            if self.since >= SIZES[-1] and self._is_as_before():
                self.since = None
            return None
        found = self._missed(name) if missed else None
        if found is not None:
            self.labels, self.missed = found.labels_before, found.missed_before
            self.recent, self.since = self.recent[-found.labels :], 0
        told, self.told = self.told, self.told or found is not None
        return None if told else found

    def _missed(self, name: str) -> MissedClass | None:
        for size in SIZES[: sum(size <= len(self.recent) for size in SIZES)]:
            missed = sum(self.recent[-size:])
            labels_before = self.labels + len(self.recent) - size
            missed_before = self.missed + sum(self.recent[:-size])
            if labels_before < _LEAST_FIRST:
                return None
            if _zscore(missed, size, missed_before, labels_before) < _WORTH_A_TEST:
                continue
            chance = exact_chance(missed, size, missed_before, labels_before)
            if chance < CHANCE:
                return MissedClass(name, missed, size, missed_before, labels_before, chance)
        return None

    def _is_as_before(self) -> bool:
        return exact_chance(sum(self.recent), len(self.recent), self.missed, self.labels) >= _BACK_CHANCE


class ErrorsByClass:
    """The labels of each class of a model."""

    def __init__(self) -> None:
        self._classes: dict[str, ClassErrors] = {}

    @property
    def is_missing_one(self) -> bool:
        """Whether a class is missed more often than at first."""
        return any(one.since is not None for one in self._classes.values())

    @property
    def only_class(self) -> tuple[str, ClassErrors] | None:
        """The one class that all labels so far are of; None where there are several, or no labels."""
        return next(iter(self._classes.items())) if len(self._classes) == 1 else None

    def take(self, name: str, *, missed: bool) -> MissedClass | None:
        """Take the next label, which is of class `name`; return an alarm."""
        return self._classes.setdefault(name, ClassErrors()).take(name, missed=missed)

    def expected(self, name: str, *, missed: bool) -> tuple[float, float]:
        """Return the number of errors to expect of a label: at the present level, and at first.

        It is `missed` itself for a class that is not known yet.
        """
        known = self._classes.get(name, ClassErrors())
        level, first = (float(missed) if rate is None else rate for rate in (known.rate, known.first_rate))
        return level, first

    def settle(self) -> None:
        """Learn another level of each class."""
        for one in self._classes.values():
            one.level = 0, 0

    def recover(self) -> None:
        """Expect errors as at first, and tell the next alarms."""
        for one in self._classes.values():
            one.level, one.told = None, False

    def to_document(self) -> Mapping[str, Any]:
        """Return the whole state as JSON values."""
        return {
            name: [one.labels, one.missed, "".join(map(str, one.recent)), one.since, one.told, one.level]
            for name, one in self._classes.items()
        }

    @staticmethod
    def from_document(document: Mapping[str, Any]) -> ErrorsByClass:
        """Return the state that wrote `document`."""
        errors = ErrorsByClass()
        for name, (labels, missed, recent, since, told, level) in document.items():
            of_class = ClassErrors(labels, missed, [int(bit) for bit in recent], since, told)
            of_class.level = level and (level[0], level[1])
            errors._classes[name] = of_class
        return errors


def exact_chance(missed: int, labels: int, missed_before: int, labels_before: int) -> float:
    """Return the chance of at least `missed` of `labels`, if they are drawn as those before (Fisher 1935)."""
    all_missed, all_labels = missed + missed_before, labels + labels_before
    most = min(labels, all_missed)
    ways = sum(
        math.comb(all_missed, count) * math.comb(all_labels - all_missed, labels - count)
        for count in range(missed, most + 1)
    )
    return ways / math.comb(all_labels, labels)


def _zscore(missed: int, labels: int, missed_before: int, labels_before: int) -> float:
    pooled = (missed + missed_before) / (labels + labels_before)
    variance = pooled * (1 - pooled) * (1 / labels + 1 / labels_before)
    return (missed / labels - missed_before / labels_before) / math.sqrt(variance) if variance else 0.0


def _rate(labels: int, missed: int) -> float | None:
    return missed / labels if labels >= _LEAST_FIRST else None
