"""Windows of all partitions together, and the states of models that hold them."""

from __future__ import annotations

import json

from stream_infer.drift.baseline import BaselineLearner
from stream_infer.drift.frames import ObservationFrame
from stream_infer.drift.model_states import ModelStates
from stream_infer.drift.pipeline_stream import PipelineStream
from stream_infer.flow.records import Partition


def frame(index: int, number: int, records: int = 250) -> ObservationFrame:
    first = number * records
    ends = first, first + records - 1
    return ObservationFrame(
        "1", "sha256:a", Partition("t", index), *ends, *ends, number, number, records, 0, 30, ()
    )


def stream() -> PipelineStream:
    return PipelineStream(BaselineLearner())


def test_a_window_has_a_thousand_records_of_all_partitions_and_their_places() -> None:
    one = stream()
    taken = [one.take(frame(index, 0), 5) for index in range(4)]

    assert taken[:3] == [None] * 3
    assert taken[3] is not None
    assert taken[3].frame.records == 1_000
    assert [place.partition for place in taken[3].sorted_places()] == [0, 1, 2, 3]
    assert one.is_divided


def test_a_window_waits_for_partitions_that_are_read_one_after_the_other() -> None:
    one = stream()
    order = [index for index in range(4) for _ in range(5)] * 2
    taken = [one.take(frame(index, number), 0) for number, index in enumerate(order)]
    closed = [sorted(place.partition for place in w.sorted_places()) for w in taken if w is not None]

    assert closed[0] == [0]
    assert len(closed[-1]) >= 3


def test_a_partition_that_stays_away_holds_no_window_back_for_ever() -> None:
    one = stream()
    for index in range(4):
        one.take(frame(index, 0), 0)

    closed = [w for number in range(1, 40) if (w := one.take(frame(0, number), 0)) is not None]

    assert [w.frame.records for w in closed] == [4_000, 4_000]


def test_a_stream_of_one_partition_is_not_divided() -> None:
    one = stream()
    for number in range(20):
        one.take(frame(0, number), 0)

    assert not one.is_divided


def test_a_stream_continues_from_its_document() -> None:
    one, restored = stream(), stream()
    for index in range(3):
        one.take(frame(index, 0), 7)
    restored.restore(json.loads(json.dumps(one.to_document())))

    assert restored.to_document() == one.to_document()
    assert restored.seen_ms == 7
    assert restored.take(frame(3, 0), 9) == one.take(frame(3, 0), 9)


def test_states_of_the_newest_models_are_kept_and_a_new_one_gets_the_one_before() -> None:
    before: list[tuple[str, PipelineStream | None]] = []

    def make(digest: str, old: PipelineStream | None) -> PipelineStream:
        before.append((digest, old))
        return stream()

    states = ModelStates("stream/", make, 2)
    for number, digest in enumerate("abc"):
        states.of(digest).take(frame(0, number), number)
        states.mark_changed(digest)

    assert [digest for digest, _ in before] == ["a", "b", "c"]
    assert before[0][1] is None
    assert before[2][1] is states.of("b")
    changed = {key: document() for key, document in states.changed().items()}
    assert changed["stream/a"] is None
    assert changed["stream/c"] == states.of("c").to_document()
    assert states.changed() == {}
