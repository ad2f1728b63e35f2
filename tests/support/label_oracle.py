"""The expected metrics, computed from whole topics at once: no open windows, no state, no clock.

Uses none of our code. It follows the rules as the documentation states them.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RawPrediction:
    """A prediction of the raw topic; `classes` are those of its model."""

    id: str
    digest: str
    time_ms: int
    event_ms: int
    label: str | None = None
    score: float | None = None
    value: float | None = None


@dataclass(frozen=True, slots=True)
class RawLabel:
    """A record of the raw topic of labels; `id` is None where it is no label."""

    id: str | None
    time_ms: int
    known_ms: int
    label: str | None = None
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """The settings; `silent` are models whose packages are lost: their scores have no known meaning."""

    max_delay_ms: int
    max_early_ms: int
    window: int
    classes: tuple[str, str] = ("no", "yes")
    silent: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Expected:
    """The expected outcomes of the labels of a window, and metrics by digest and name.

    A metric is (value, number of labels); `delays` and `pairs` are by digest.
    """

    outcomes: Mapping[str, int]
    metrics: Mapping[tuple[str, str], tuple[float, int]]
    delays: Mapping[str, int]
    pairs: Mapping[str, int]


def first_of_each(predictions: Iterable[RawPrediction]) -> dict[str, RawPrediction]:
    """Return the first prediction of each id, which counts."""
    found: dict[str, RawPrediction] = {}
    for one in predictions:
        found.setdefault(one.id, one)
    return found


def window(
    log: Sequence[RawLabel],
    number: int,
    predictions: Mapping[str, RawPrediction],
    rules: Rules,
    coverage: float = 1.0,
) -> Expected:
    """Return the expected window `number` of a partition of labels; `log[i]` is at offset i."""
    outcomes: Counter[str] = Counter()
    pairs: dict[str, list[tuple[RawPrediction, RawLabel]]] = {}
    first: dict[str, RawLabel] = {}
    begin, end = number * rules.window, (number + 1) * rules.window
    for offset, one in enumerate(log[:end]):
        outcome = _outcome(one, predictions, first, rules, coverage)
        if outcome in {"joined", "early"} and one.id is not None:
            first[one.id] = one
        if offset < begin:
            continue
        outcomes[outcome] += 1
        if outcome in {"joined", "early"} and one.id is not None:
            predicted = predictions[one.id]
            pairs.setdefault(predicted.digest, []).append((predicted, one))
    return Expected(
        outcomes,
        {(digest, m): f for digest, mine in pairs.items() for m, f in _metrics(mine, rules).items()},
        {digest: statistics.median_low(_delay(p) for p in mine) for digest, mine in pairs.items()},
        {digest: len(mine) for digest, mine in pairs.items()},
    )


def _outcome(
    one: RawLabel,
    predictions: Mapping[str, RawPrediction],
    first: Mapping[str, RawLabel],
    rules: Rules,
    coverage: float,
) -> str:
    if one.id is None:
        return "invalid"
    digest = hashlib.blake2b(one.id.encode(), digest_size=8).digest()
    if int.from_bytes(digest, "big") >= coverage * 2**64:
        return "unsampled"
    predicted = predictions.get(one.id)
    if predicted is None:
        return "unknown"
    after = one.time_ms - predicted.time_ms
    if not -rules.max_early_ms <= after <= 2 * rules.max_delay_ms:
        return "unknown"
    if after > rules.max_delay_ms:
        return "late"
    if one.id in first:
        before = first[one.id]
        same = (before.label, before.value) == (one.label, one.value)
        return "double" if same else "conflicting"
    return "early" if after < 0 else "joined"


def _metrics(pairs: Sequence[tuple[RawPrediction, RawLabel]], rules: Rules) -> dict[str, tuple[float, int]]:
    named = [(predicted.label, label.label) for predicted, label in pairs if predicted.label and label.label]
    scored = [
        (predicted.score, label.label)
        for predicted, label in pairs
        if predicted.score is not None and 0 <= predicted.score <= 1
        if label.label in rules.classes and predicted.digest not in rules.silent
    ]
    metrics: dict[str, tuple[float, int]] = {}
    if named:
        metrics["accuracy"] = (sum(predicted == label for predicted, label in named) / len(named), len(named))
    positive = rules.classes[1]
    mine = [
        (p.label, one.label) for p, one in pairs if p.digest not in rules.silent and p.label and one.label
    ]
    hits = mine.count((positive, positive))
    true, said = (sum(one[place] == positive for one in mine) for place in (1, 0))
    counts = {"recall": (hits, true), "precision": (hits, said), "f1": (2 * hits, true + said)}
    metrics |= {name: (part / whole, whole) for name, (part, whole) in counts.items() if whole}
    if scored:
        chances = [score if label == rules.classes[1] else 1 - score for score, label in scored]
        losses = (-math.log(max(chance, 2.0**-52)) for chance in chances)
        metrics["log_loss"] = (math.fsum(losses) / len(chances), len(chances))
        metrics["brier"] = (math.fsum((1 - c) ** 2 for c in chances) / len(chances), len(chances))
    sizes = [
        abs(predicted.value - label.value)
        for predicted, label in pairs
        if predicted.value is not None and label.value is not None
    ]
    if sizes:
        metrics["mae"] = (math.fsum(sizes) / len(sizes), len(sizes))
        metrics["median_absolute_error"] = (statistics.median(sizes), len(sizes))
    return metrics


def _delay(pair: tuple[RawPrediction, RawLabel]) -> int:
    predicted, label = pair
    return max(0, label.known_ms - predicted.event_ms)
