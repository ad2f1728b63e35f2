"""The fold as a whole: what is told twice counts once, and memory is bounded at the promised sizes."""

from __future__ import annotations

import resource
import time
from typing import Any

import pytest

from stream_infer.dashboard import column_documents, documents
from stream_infer.dashboard.documents import ReadingProgress
from stream_infer.dashboard.pipeline_state import LagView, PartitionLag, PipelineState, empty_state
from stream_infer.dashboard.published import PageCell, as_json
from stream_infer.drift.frames import FEATURE_NUMBER, ColumnSummary
from stream_infer.drift.reference import Reference, ReferenceColumn
from stream_infer.flow.records import Partition
from tests.unit.dashboard.observed import NOW_MS, amounts, drift, event, frame, measured, reference_of

DONE = ReadingProgress(1.0, 0.5, caught_up=True)


@pytest.fixture
def state() -> PipelineState:
    return empty_state(reference_of)


def test_an_event_that_a_replay_wrote_again_counts_once(state: PipelineState) -> None:
    for _ in range(3):
        state.take_event(event("performance", performance=measured("accuracy", 0.9, 200)))

    [(_, metrics)] = state.metrics.by_version()
    assert metrics["accuracy"].labels == 200
    assert state.events == 1


def test_positions_are_where_the_newest_frames_end(state: PipelineState) -> None:
    state.take_frame(frame([], first=0, records=100), NOW_MS)
    state.take_frame(frame([], first=100, records=50, partition=1), NOW_MS)
    state.take_frame(frame([], first=50, records=10), NOW_MS)

    assert state.positions == {Partition("events", 0): 100, Partition("events", 1): 150}


def test_an_empty_pipeline_has_every_section(state: PipelineState) -> None:
    head = documents.head_document(state, "shop", DONE, NOW_MS)

    assert head["lag"] == {"records": 0, "exact": True, "unknown": "not asked yet"}
    assert head["traffic"]["latency_typical_ms"] is None
    assert column_documents.columns_document(state) == (
        {"model_version": None, "columns": [], "left_out": 0},
        [],
    )
    for section in (
        documents.workers_document,
        documents.timeline_document,
        documents.incidents_document,
        documents.metrics_document,
        documents.letters_document,
    ):
        assert as_json(section(state)).startswith(b"{")


def test_the_lag_is_that_of_all_partitions_and_only_exact_when_each_is(state: PipelineState) -> None:
    parts = [PartitionLag(Partition("events", n), n, exact=n != 3) for n in range(5)]
    state.lag = LagView(tuple(parts), None)

    head = documents.head_document(state, "shop", DONE, NOW_MS)
    workers = documents.workers_document(state)

    assert head["lag"] == {"records": 10, "exact": False, "unknown": None}
    assert [one["name"] for one in workers["partitions"]] == ["events/4", "events/3", "events/2", "events/1"]


def test_metrics_of_a_version_are_weighted_by_labels_and_told_by_time(state: PipelineState) -> None:
    for at, value, labels in ((2, 0.5, 100), (1, 1.0, 300)):
        told = measured("accuracy", value, labels)
        attributes = {"coverage": "0.5"}
        state.take_event(event("performance", time=NOW_MS + at, performance=told, attributes=attributes))

    [version] = documents.metrics_document(state)["versions"]

    accuracy = version["metrics"]["accuracy"]
    assert accuracy["overall"] == pytest.approx(0.875)
    assert accuracy["value"] == [1.0, 0.5]
    assert accuracy["coverage"] == 0.5
    assert accuracy["label_delay_ms"] == 2_000


def test_an_estimate_without_labels_is_weighted_by_predictions(state: PipelineState) -> None:
    told = measured("estimated_accuracy", 0.8, 0, predictions=2_000, label_delay_p50_ms=None)
    state.take_event(event("performance", performance=told))

    [(_, metrics)] = state.metrics.by_version()
    assert metrics["estimated_accuracy"].overall() == 0.8


def test_the_timeline_says_why_a_package_was_refused(state: PipelineState) -> None:
    change = {"reason": "SHA-256 does not match", "reason_code": "digest"}
    state.take_event(event("model.rejected", summary="phishing 1.2.0 is refused", model=change))

    [entry] = documents.timeline_document(state)["entries"]

    assert entry["sentence"] == "phishing 1.2.0 is refused: SHA-256 does not match (digest)"


def test_only_the_first_ranges_of_many_are_sent(state: PipelineState) -> None:
    ranges = [
        {"topic": "events", "partition": n, "first_offset": n, "last_offset": None} for n in range(1_000)
    ]
    state.take_event(event("drift.detected", "a", ranges=ranges, drift=drift("amount")))

    [incident] = documents.incidents_document(state)["incidents"]

    assert len(incident["ranges"]) == 50
    assert incident["ranges_total"] == 1_000
    assert incident["ranges"][0] == {"place": "events/0", "first": 0, "last": None}


def test_a_column_has_its_line_and_its_bins(state: PipelineState) -> None:
    state.take_frame(frame([amounts(600, 12.0, bins=(60, 240, 300, 0), nulls=16)]), NOW_MS)
    state.take_event(event("drift.detected", "a", drift=drift("amount")))

    head, [details] = column_documents.columns_document(state)

    [line] = head["columns"]
    assert line["departure"] == 1.0
    assert line["outside"] == 0.1
    assert line["nulls"] == 0.01
    assert line["incidents"] == ["a"]
    assert details["labels"] == ["below 0", "0 to 10", "10 to 20", "above 20"]
    assert details["now"] == [0.1, 0.4, 0.5, 0.0]
    assert details["reference"] == [0.0, 0.5, 0.5, 0.0]


def test_of_five_hundred_classes_the_most_frequent_are_shown_and_the_others_together() -> None:
    classes = tuple(f"c{n:03}" for n in range(500))
    column = ReferenceColumn(
        "label", "output.category", 500, categories=classes, shares=(*[1 / 500] * 500, 0.0)
    )
    state = empty_state(lambda _: Reference(500, {(column.kind, column.name): column}))
    bins = [1] * 500 + [20]
    bins[400] = 480
    state.take_frame(frame([ColumnSummary("label", "output.category", sum(bins), bins=tuple(bins))]), NOW_MS)

    _, [details] = column_documents.columns_document(state)

    assert details["labels"][0] == "c400"
    assert details["labels"][-2:] == ["480 others", "not in training"]
    assert sum(details["now"]) == pytest.approx(1)
    assert sum(details["reference"]) == pytest.approx(1)


def test_numbers_that_json_does_not_have_become_null() -> None:
    assert as_json({"a": float("nan"), "b": [float("inf"), 1.5]}) == b'{"a":null,"b":[null,1.5]}'


def test_a_section_gets_a_new_version_only_when_it_changed() -> None:
    cell = PageCell()
    cell.publish({"head": {"n": 1}, "letters": {}})
    cell.publish({"head": {"n": 2}, "letters": {}}, [{"name": "amount"}])
    cell.publish({"head": {"n": 2}})

    page = cell.current
    assert {name: one.version for name, one in page.sections.items()} == {"head": 2, "letters": 1}
    assert list(page.columns) == [b'{"name":"amount"}']


def wide(names: list[str], at: int) -> list[ColumnSummary]:
    return [
        ColumnSummary(
            name, FEATURE_NUMBER, 200, mean=float(at % 7), m2=200.0, low=-3, high=3, bins=(10,) * 20
        )
        for name in names
    ]


@pytest.mark.slow
def test_a_week_of_two_hundred_features_and_a_thousand_partitions_fits_into_the_memory_that_is_promised() -> (
    None
):
    names = [f"feature_{n}" for n in range(200)]
    shares = (0.0, *[1 / 18] * 18, 0.0)
    columns = {
        (FEATURE_NUMBER, name): ReferenceColumn(
            name, FEATURE_NUMBER, 1_000, mean=0.0, stddev=1.0, low=-3, high=3,
            edges=tuple(map(float, range(19))), shares=shares,
        )
        for name in names
    }  # fmt: skip
    state = empty_state(lambda _: Reference(1_000, columns))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    week_ms = 7 * 86_400_000
    for at in range(2_000):
        written = NOW_MS - week_ms + at * week_ms // 2_000
        state.take_frame(frame(wide(names, at), partition=at % 1_000, first=at * 1_600), written)
        told: dict[str, Any] = measured("accuracy", 0.9, 200)
        state.take_event(event("performance", time=written, performance=told))
    started = time.process_time()
    head, details = column_documents.columns_document(state)
    PageCell().publish(
        {"columns": head, "series": documents.series_document(state, NOW_MS)},
        [
            {**one, "strip": column_documents.strip_document(state, (FEATURE_NUMBER, name), NOW_MS)}
            for name, one in zip(names, details, strict=True)
        ],
    )
    update_s = time.process_time() - started

    assert len(head["columns"]) == 200
    assert len(state.positions) == 1_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000  # kilobytes
    assert update_s < 5
