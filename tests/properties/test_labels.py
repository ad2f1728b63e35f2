"""In any order of reading, labels and predictions lead to the windows of the oracle."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_infer.drift.join import Join
from stream_infer.drift.labels import JoinPolicy, LabelWindow, Predicted, ReadProgress, Truth
from stream_infer.drift.model_metrics import OutputMeaning, median_delay_ms, metrics_of, pair_outcome
from tests.support import label_oracle
from tests.support.label_oracle import RawLabel, RawPrediction, Rules

RULES = Rules(max_delay_ms=1_000, max_early_ms=300, window=10)
POLICY = JoinPolicy(RULES.max_delay_ms, RULES.max_early_ms, 1_000_000, RULES.window)
ANSWERS = OutputMeaning(RULES.classes, probability=True)
COUNT = 60
NEVER = 10**9

SEEDS = st.integers(0, 10**6)


class Log(NamedTuple):
    """A partition of predictions or of labels."""

    topic: str
    index: int

    @property
    def name(self) -> str:
        return f"{self.topic}/{self.index}"


World = Mapping[Log, Sequence[RawPrediction | RawLabel]]


def world(seed: int) -> World:
    """Return partitions of predictions and labels, each in the order of time, with every outcome."""
    draw = np.random.default_rng(seed)
    predictions = [prediction(draw, number) for number in range(COUNT)]
    repeated = [replace(one, time_ms=one.time_ms + 1) for one in predictions[:: COUNT // 6]]
    labels = [label for one in predictions for label in labels_of(draw, one)]
    times = iter(draw.integers(0, 4_000, COUNT).tolist())
    labels += [RawLabel(f"elsewhere-{n}", next(times), 0, "yes") for n in range(COUNT // 6)]
    labels += [RawLabel(None, next(times), 0) for _ in range(COUNT // 10)]
    logs: dict[Log, list[RawPrediction | RawLabel]] = {
        Log(t, i): [] for t in ("predictions", "labels") for i in (0, 1)
    }
    for one in sorted([*predictions, *repeated, *labels], key=lambda one: one.time_ms):
        topic = "predictions" if isinstance(one, RawPrediction) else "labels"
        logs[Log(topic, len(one.id or "") % 2)].append(one)
    return logs


def prediction(draw: np.random.Generator, number: int) -> RawPrediction:
    at = int(draw.integers(3_000))
    score = float(draw.choice([draw.random(), draw.random(), 0.0, 1.0]))
    label = "yes" if score >= 0.5 else "no"
    return RawPrediction(
        f"p-{number}", str(draw.choice(["a", "b"])), at, at - int(draw.integers(50)), label, score
    )


def labels_of(draw: np.random.Generator, predicted: RawPrediction) -> Iterator[RawLabel]:
    for _ in range(draw.choice([0, 1, 1, 1, 2, 3])):
        after = draw.choice([draw.integers(1_000), draw.integers(-400, 0), draw.integers(1_000, 3_000)])
        at = max(0, predicted.time_ms + int(after))
        yield RawLabel(predicted.id, at, at - int(draw.integers(20)), str(draw.choice(["yes", "yes", "no"])))


def joined(logs: World, seed: int, policy: JoinPolicy, restarts: float) -> list[LabelWindow]:
    """Read `logs` in some order; restart from the documents after some of the batches."""
    draw = np.random.default_rng(seed)
    join = Join(policy)
    stored: dict[str, Any] = {}
    closed: list[LabelWindow] = []
    at = dict.fromkeys(logs, 0)
    while unread := [log for log in logs if at[log] < len(logs[log])]:
        log = unread[draw.integers(len(unread))]
        for one in logs[log][at[log] : at[log] + int(draw.integers(1, 12))]:
            take(join, log.name, at[log], one)
            at[log] += 1
        closed += join.advance(now(logs, at))
        assert join.remembered <= policy.max_pending
        assert join.size_bytes <= policy.max_pending_bytes
        stored = {n: d for n, d in {**stored, **join.changed()}.items() if d is not None}
        if draw.random() < restarts:
            size_bytes, join = join.size_bytes, Join(policy)
            join.restore(json.loads(json.dumps(stored)))
            assert join.size_bytes == size_bytes
    closed += join.advance(now(logs, at))
    assert join.remembered <= 2 * RULES.window  # what is over is forgotten: only open windows are left
    return closed


def take(join: Join, log: str, offset: int, one: RawPrediction | RawLabel) -> None:
    if isinstance(one, RawPrediction):
        rest = (one.label, one.score, one.value)
        join.predicted(Predicted(one.id, f"v-{one.digest}", one.digest, one.time_ms, one.event_ms, *rest))
    elif one.id is None:
        join.invalid(log, offset, one.time_ms)
    else:
        join.labelled(log, offset, Truth(one.id, one.time_ms, one.known_ms, one.label, one.value))


def now(logs: World, at: Mapping[Log, int]) -> ReadProgress:
    """Nothing before the next record of each partition is still to come."""
    next_ms = {log: logs[log][o].time_ms if o < len(logs[log]) else NEVER for log, o in at.items()}
    return ReadProgress(
        min(time_ms for log, time_ms in next_ms.items() if log.topic == "predictions"),
        min(time_ms for log, time_ms in next_ms.items() if log.topic == "labels"),
        {log.name: offset for log, offset in at.items() if log.topic == "labels"},
    )


def contents(window: LabelWindow) -> object:
    """Return the contents of a window in the form of the oracle."""
    metrics: dict[tuple[str, str], tuple[float, int]] = {}
    delays: dict[str, int] = {}
    pairs: dict[str, int] = {}
    for digest in {pair.predicted.digest for pair in window.pairs}:
        of_model = [pair_outcome(pair, ANSWERS) for pair in window.pairs if pair.predicted.digest == digest]
        found = metrics_of(of_model, ANSWERS.classes)
        metrics |= {(digest, m): (f.value, f.labelled) for m, f in found.items()}
        delays[digest], pairs[digest] = median_delay_ms(of_model), len(of_model)
    return {str(outcome): count for outcome, count in window.outcomes.items()}, metrics, delays, pairs


def expected(logs: World, coverage: Mapping[tuple[str, int], float]) -> dict[tuple[str, int], object]:
    first = label_oracle.first_of_each(
        one for log in logs.values() for one in log if isinstance(one, RawPrediction)
    )
    found = {}
    for log, records in logs.items():
        labels = [one for one in records if isinstance(one, RawLabel)]
        for number in range(len(labels) // RULES.window):
            place = (log.name, number)
            one = label_oracle.window(labels, number, first, RULES, coverage.get(place, 1.0))
            found[place] = dict(one.outcomes), dict(one.metrics), dict(one.delays), dict(one.pairs)
    return found


def by_place(windows: Sequence[LabelWindow]) -> dict[tuple[str, int], LabelWindow]:
    return {(one.log, one.first_offset // RULES.window): one for one in windows}


@given(SEEDS, SEEDS, st.sampled_from([0.0, 0.3]))
@settings(max_examples=60, deadline=None)
def test_any_order_of_reading_and_any_restart_give_the_windows_of_the_oracle(
    seed: int, order: int, restarts: float
) -> None:
    logs = world(seed)

    windows = joined(logs, order, POLICY, restarts)

    assert {place: contents(one) for place, one in by_place(windows).items()} == expected(logs, {})
    assert len(by_place(windows)) == len(windows)
    for log in logs:
        numbers = [one.first_offset for one in windows if one.log == log.name]
        assert numbers == sorted(numbers)


@given(SEEDS, SEEDS, st.integers(5, 40), st.sampled_from(["max_pending", "max_pending_bytes"]))
@settings(max_examples=60, deadline=None)
def test_over_the_budget_a_window_is_that_of_the_sample_it_names(
    seed: int, order: int, budget: int, bound: str
) -> None:
    logs = world(seed)
    small: Any = {bound: budget if bound == "max_pending" else budget * 1_500}

    windows = joined(logs, order, replace(POLICY, **small), restarts=0.2)

    places = by_place(windows)
    coverage = {place: one.coverage for place, one in places.items()}
    assert {place: contents(one) for place, one in places.items()} == expected(logs, coverage)


def test_the_worlds_have_every_outcome() -> None:
    windows = [one for seed in range(20) for one in joined(world(seed), seed, POLICY, 0.0)]

    outcomes = {str(outcome) for one in windows for outcome in one.outcomes}
    assert outcomes == {"joined", "early", "late", "double", "conflicting", "unknown", "invalid"}
