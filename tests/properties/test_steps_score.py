"""Whatever the mixture of records, each has exactly one answer, in order, and poison harms no neighbour."""

from __future__ import annotations

from dataclasses import replace

import hypothesis.strategies as st
from hypothesis import given, settings

from stream_infer.flow.records import Channel
from stream_infer.steps.options import Tombstones
from stream_infer.steps.scoring.isolate import isolate
from tests.unit.steps.world import (
    GIVES_NAN,
    RAISES,
    SETTINGS,
    batch,
    event,
    output,
    predictions,
    score,
)

KINDS: dict[str, bytes | None] = {
    "good": event(3.0),
    "no items": event(1.0, items=None),
    "tombstone": None,
    "empty": b"",
    "truncated": event(3.0)[:4],
    "trailing": event(3.0) + b"\x00",
    "nan": event(float("nan")),
    "raises": event(RAISES),
    "output nan": event(GIVES_NAN),
}
GOOD = {"good", "no items"}


@given(kinds=st.lists(st.sampled_from(sorted(KINDS)), max_size=40), skip=st.booleans())
@settings(max_examples=150, deadline=None)
def test_each_record_has_exactly_one_answer_in_order(kinds: list[str], *, skip: bool) -> None:
    expected = Tombstones.SKIP if skip else Tombstones.DEAD_LETTER
    read = batch([KINDS[kind] for kind in kinds])

    outcome = score(settings=replace(SETTINGS, tombstones=expected))(read)

    predicted = list(output(outcome, Channel.PREDICTIONS).rows)
    letters = list(output(outcome, Channel.DEAD_LETTERS).rows)
    skipped = [row for row, kind in enumerate(kinds) if skip and kind == "tombstone"]
    assert predicted == [row for row, kind in enumerate(kinds) if kind in GOOD]
    assert letters == sorted(letters) == [reject.row for reject in outcome.rejected]
    assert sorted(predicted + letters + skipped) == list(range(len(kinds)))
    assert outcome.predicted + len(outcome.rejected) + outcome.skipped == len(read)
    assert [p["source_offset"] for p in predictions(outcome)] == [100 + row for row in predicted]
    assert [p["score"] for p in predictions(outcome)] == [
        0.25 if kinds[row] == "good" else 0.5 for row in predicted
    ]


@given(st.integers(1, 600).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
def test_isolation_finds_exactly_the_poison_rows(given_rows: tuple[int, set[int]]) -> None:
    rows, poison = given_rows

    def predict(start: int, stop: int) -> range:
        if not poison.isdisjoint(range(start, stop)):
            raise ValueError
        return range(start, stop)

    isolated = isolate(predict, rows, check=lambda: None)

    assert [bad.row for bad in isolated.poison] == sorted(poison)
    assert [row for part in isolated.parts for row in part.answer] == [
        r for r in range(rows) if r not in poison
    ]


@given(st.lists(st.frozensets(st.integers(0, 39), max_size=4), max_size=6))
def test_a_model_that_dislikes_only_company_loses_no_row(quarrels: list[frozenset[int]]) -> None:
    fights = [quarrel for quarrel in quarrels if len(quarrel) > 1]

    def predict(start: int, stop: int) -> range:
        if any(quarrel <= set(range(start, stop)) for quarrel in fights):
            raise ValueError
        return range(start, stop)

    isolated = isolate(predict, 40, check=lambda: None)

    assert list(isolated.poison) == []
    assert [row for part in isolated.parts for row in part.answer] == list(range(40))
