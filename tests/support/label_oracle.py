"""What figures should be, worked out from whole topics at once: no windows under way, no state, no clock.

Knows none of our code. It reads the rules as the README states them.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Said:
    """A prediction of the raw topic; `classes` are those of its model."""

    id: str
    digest: str
    time_ms: int
    event_ms: int
    label: str | None = None
    score: float | None = None
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """A record of the raw topic of labels; `id` is None where it is none."""

    id: str | None
    time_ms: int
    known_ms: int
    label: str | None = None
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """What the settings say, and which models' scores mean nothing that is known: those of lost packages."""

    max_delay_ms: int
    max_early_ms: int
    window: int
    classes: tuple[str, str] = ("no", "yes")
    silent: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Expected:
    """What a window should come to: what became of its labels, and figures by digest and metric.

    A figure is (value, labels that it rests on); `delays` and `pairs` are by digest.
    """

    outcomes: Mapping[str, int]
    figures: Mapping[tuple[str, str], tuple[float, int]]
    delays: Mapping[str, int]
    pairs: Mapping[str, int]


def first_of_each(predictions: Iterable[Said]) -> dict[str, Said]:
    """Return the prediction of each id that counts."""
    found: dict[str, Said] = {}
    for one in predictions:
        found.setdefault(one.id, one)
    return found


def window(
    log: Sequence[Known], number: int, predictions: Mapping[str, Said], rules: Rules, coverage: float = 1.0
) -> Expected:
    """Return what window `number` of a partition of labels comes to; `log[i]` is at offset i."""
    outcomes: Counter[str] = Counter()
    pairs: dict[str, list[tuple[Said, Known]]] = {}
    first: dict[str, Known] = {}
    begin, end = number * rules.window, (number + 1) * rules.window
    for offset, one in enumerate(log[:end]):
        fate = _fate(one, predictions, first, rules, coverage)
        if fate in {"joined", "early"} and one.id is not None:
            first[one.id] = one
        if offset < begin:
            continue
        outcomes[fate] += 1
        if fate in {"joined", "early"} and one.id is not None:
            said = predictions[one.id]
            pairs.setdefault(said.digest, []).append((said, one))
    return Expected(
        outcomes,
        {(digest, m): f for digest, mine in pairs.items() for m, f in _figures(mine, rules).items()},
        {digest: statistics.median_low(_delay(p) for p in mine) for digest, mine in pairs.items()},
        {digest: len(mine) for digest, mine in pairs.items()},
    )


def _fate(
    one: Known,
    predictions: Mapping[str, Said],
    first: Mapping[str, Known],
    rules: Rules,
    coverage: float,
) -> str:
    if one.id is None:
        return "invalid"
    digest = hashlib.blake2b(one.id.encode(), digest_size=8).digest()
    if int.from_bytes(digest, "big") >= coverage * 2**64:
        return "unsampled"
    said = predictions.get(one.id)
    if said is None:
        return "unknown"
    after = one.time_ms - said.time_ms
    if not -rules.max_early_ms <= after <= 2 * rules.max_delay_ms:
        return "unknown"
    if after > rules.max_delay_ms:
        return "late"
    if one.id in first:
        before = first[one.id]
        same = (before.label, before.value) == (one.label, one.value)
        return "double" if same else "conflicting"
    return "early" if after < 0 else "joined"


def _figures(pairs: Sequence[tuple[Said, Known]], rules: Rules) -> dict[str, tuple[float, int]]:
    named = [(said.label, known.label) for said, known in pairs if said.label and known.label]
    scored = [
        (said.score, known.label)
        for said, known in pairs
        if said.score is not None and 0 <= said.score <= 1
        if known.label in rules.classes and said.digest not in rules.silent
    ]
    figures = {}
    if named:
        figures["accuracy"] = (sum(said == known for said, known in named) / len(named), len(named))
    if scored:
        chances = [score if known == rules.classes[1] else 1 - score for score, known in scored]
        losses = (-math.log(max(chance, 2.0**-52)) for chance in chances)
        figures["log_loss"] = (math.fsum(losses) / len(chances), len(chances))
        figures["brier"] = (math.fsum((1 - c) ** 2 for c in chances) / len(chances), len(chances))
    sizes = [
        abs(said.value - known.value)
        for said, known in pairs
        if said.value is not None and known.value is not None
    ]
    if sizes:
        figures["mae"] = (math.fsum(sizes) / len(sizes), len(sizes))
    return figures


def _delay(pair: tuple[Said, Known]) -> int:
    said, known = pair
    return max(0, known.known_ms - said.event_ms)
