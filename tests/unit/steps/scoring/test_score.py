"""The step of the online role: one answer for each record, in order."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pyarrow as pa
import pytest

from stream_infer.flow.errors import Aborted, ModelFailed
from stream_infer.flow.records import Channel, Partition, Stage
from stream_infer.models.active import ActiveModel, ServingModel
from stream_infer.steps.options import Partitioning, Tombstones
from stream_infer.steps.scoring.size import RecordLimits
from tests.unit.steps.world import (
    EVENTS,
    GIVES_NAN,
    GIVES_TWO,
    RAISES,
    RECEIVED_MS,
    SETTINGS,
    Estimator,
    batch,
    event,
    model,
    output,
    predictions,
    score,
)


def test_each_event_becomes_a_prediction_with_its_identity_and_the_model_that_made_it() -> None:
    served = model()

    outcome = score(served)(batch([event(1.0), event(3.0)]))

    assert outcome.predicted == 2
    assert outcome.model_version == "1.2.0"
    assert outcome.cursor.lease == "lease"
    assert predictions(outcome) == [
        {
            "id": f"payments.events/3/{100 + row}",
            "source_topic": "payments.events",
            "source_partition": 3,
            "source_offset": 100 + row,
            "event_time": 1_700_000_000_000 + row,
            "scored_at": RECEIVED_MS,
            "pipeline": "payments.fraud",
            "model_name": "fraud",
            "model_version": "1.2.0",
            "model_digest": served.digest,
            "label": label,
            "score": value,
            "value": None,
            "class_scores": None,
            "copied": {},
            "values": None,
        }
        for row, label, value in [(0, "no", 0.5), (1, "no", 0.25)]
    ]


def test_a_prediction_has_the_key_of_its_event_and_goes_to_the_partition_of_its_event() -> None:
    sources = [Partition("a", 7), Partition("b", 2)]
    read = batch([event(), None, event()], partitions=sources, partition=[1, 0, 0])

    written = output(score()(read), Channel.PREDICTIONS)

    assert list(written.keys) == [b"k0", b"k2"]
    assert written.partitions is not None
    assert list(written.partitions) == [2, 7]
    assert list(written.headers) == [None, None]
    assert list(written.rows) == [0, 2]


def test_with_partitioning_by_key_the_partition_is_left_to_the_key() -> None:
    by_key = score(settings=replace(SETTINGS, partitioning=Partitioning.KEY))

    assert output(by_key(batch([event()])), Channel.PREDICTIONS).partitions is None


def test_rows_of_several_partitions_keep_their_own_identity() -> None:
    sources = [Partition("a", 7), Partition("b", 2)]
    read = batch([event(), event()], partitions=sources, partition=[1, 0], offset=[5, 6])

    assert [p["id"] for p in predictions(score()(read))] == ["b/2/5", "a/7/6"]


def test_each_bad_row_is_a_dead_letter_of_its_stage_and_its_neighbours_are_predicted() -> None:
    values = [
        event(1.0),
        None,
        b"",
        event(2.0) + b"x",
        event(float("nan")),
        event(float("inf")),
        event(RAISES),
        event(GIVES_NAN),
        event(GIVES_TWO),
        event(3.0),
    ]

    outcome = score()(batch(values))

    assert [p["source_offset"] for p in predictions(outcome)] == [100, 109]
    assert [(r.row, r.stage, r.error_class) for r in outcome.rejected] == [
        (1, Stage.DECODE, "null_value"),
        (2, Stage.DECODE, "empty"),
        (3, Stage.DECODE, "trailing_bytes"),
        (4, Stage.VALIDATE, "nan"),
        (5, Stage.VALIDATE, "infinite"),
        (6, Stage.PREDICT, "raised"),
        (7, Stage.PREDICT, "output_nan"),
        (8, Stage.PREDICT, "output_range"),
    ]
    letters = output(outcome, Channel.DEAD_LETTERS)
    assert list(letters.rows) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert list(letters.values) == values[1:9]
    assert list(letters.keys) == [f"k{row}".encode() for row in range(1, 9)]
    assert (outcome.predicted, outcome.skipped) == (2, 0)


def test_a_reason_never_quotes_the_payload() -> None:
    outcome = score()(batch([event(RAISES), event(2.0)]))

    assert "666" not in outcome.rejected[0].message
    assert "ValueError in predict_proba (world.py:" in outcome.rejected[0].message


def test_tombstones_are_skipped_where_the_configuration_says_so() -> None:
    skipping = score(settings=replace(SETTINGS, tombstones=Tombstones.SKIP))

    outcome = skipping(batch([None, event(1.0), None, b"", event(RAISES), event(3.0)]))

    assert [p["source_offset"] for p in predictions(outcome)] == [101, 105]
    assert [(r.row, r.error_class) for r in outcome.rejected] == [(3, "empty"), (4, "raised")]
    assert (outcome.predicted, outcome.skipped) == (2, 2)


def test_a_batch_of_tombstones_only_writes_nothing_and_moves_on() -> None:
    skipping = score(settings=replace(SETTINGS, tombstones=Tombstones.SKIP))

    outcome = skipping(batch([None, None]))

    assert (outcome.outputs, outcome.predicted, outcome.rejected, outcome.skipped) == ([], 0, [], 2)


def test_a_batch_without_one_readable_record_is_dead_letters_only() -> None:
    outcome = score()(batch([b"", None]))

    assert [found.channel for found in outcome.outputs] == [Channel.DEAD_LETTERS]
    assert len(outcome.rejected) == 2


def test_no_records_lead_to_nothing() -> None:
    outcome = score()(batch([]))

    assert (outcome.outputs, outcome.predicted, outcome.rejected, outcome.skipped) == ([], 0, [], 0)


def test_only_the_trace_headers_of_an_event_are_passed_on() -> None:
    headers = [[("traceparent", b"00-1"), ("secret", b"s"), ("baggage", b"a=1")], None, [("other", b"x")]]

    written = output(score()(batch([event()] * 3, headers=headers)), Channel.PREDICTIONS)

    assert written.headers == [(("traceparent", b"00-1"), ("baggage", b"a=1")), None, None]


def test_a_dead_letter_keeps_all_headers_of_its_event() -> None:
    headers = [[("traceparent", b"00-1"), ("secret", b"s")]]

    letters = output(score()(batch([b""], headers=headers)), Channel.DEAD_LETTERS)

    assert letters.headers[0] is not None
    assert list(letters.headers[0])[:2] == headers[0]
    assert dict(letters.headers[0])["streaminfer.model.version"] == b"1.2.0"
    assert dict(letters.headers[0])["__dlq.errors.group"] == b"payments.fraud.score"


def test_a_prediction_that_its_topic_would_not_take_is_a_dead_letter() -> None:
    events = replace(EVENTS, copy=("id",))
    limited = score(events=events, settings=replace(SETTINGS, limits=lambda: RecordLimits(predictions=2000)))

    outcome = limited(batch([event(), event(id="x" * 3000), event()]))

    assert [p["source_offset"] for p in predictions(outcome)] == [100, 102]
    assert [(r.row, r.stage, r.error_class) for r in outcome.rejected] == [(1, Stage.ENCODE, "too_large")]
    written = output(outcome, Channel.PREDICTIONS)
    assert (list(written.rows), list(written.keys)) == ([0, 2], [b"k0", b"k2"])
    assert written.partitions is not None
    assert (len(written.headers), list(written.partitions)) == (2, [3, 3])


def test_trace_headers_count_for_the_size_of_a_prediction() -> None:
    limited = score(settings=replace(SETTINGS, limits=lambda: RecordLimits(predictions=2000)))
    headers = [[("baggage", b"x" * 3000)], [("baggage", b"x")]]

    outcome = limited(batch([event(), event()], headers=headers))

    assert [(r.row, r.error_class) for r in outcome.rejected] == [(0, "too_large")]


def test_a_model_is_replaced_between_two_batches_and_has_a_plan_of_its_own() -> None:
    active = ActiveModel(ServingModel(model(), 1))
    scoring = score(active)
    before = scoring(batch([event(1.0)]))

    active.swap(ServingModel(model(version="2.0.0", features=model().manifest.features[:1]), 2))
    after = scoring(batch([event(1.0)]))

    assert [p["model_version"] for p in predictions(before) + predictions(after)] == ["1.2.0", "2.0.0"]
    assert after.model_version == "2.0.0"


def test_a_batch_on_which_a_sound_model_raises_throughout_is_all_dead_letters() -> None:
    golden = {"amount": pa.array([1.0, 2.0]), "items": pa.array([1, None], pa.int64())}

    outcome = score(replace(model(), golden=golden))(batch([event(RAISES)] * 50))

    assert Counter(reject.error_class for reject in outcome.rejected) == {"raised": 50}


@pytest.mark.parametrize("bad", [RAISES, GIVES_NAN])
def test_a_model_that_does_not_answer_its_golden_rows_either_stops_the_worker(bad: float) -> None:
    golden = {"amount": pa.array([1.0, bad]), "items": pa.array([1, 1], pa.int64())}
    scoring = score(replace(model(), golden=golden))
    assert scoring(batch([event(1.0)] * 50)).predicted == 50

    with pytest.raises(ModelFailed, match=r"on golden rows too \(1 of 2\); the first: "):
        scoring(batch([event(1.0), event(bad)]))


def test_values_that_validation_rejects_never_count_against_the_model() -> None:
    golden = {"amount": pa.array([RAISES]), "items": pa.array([1], pa.int64())}

    outcome = score(replace(model(), golden=golden))(batch([event(float("nan")), b"", None] * 40))

    assert Counter(str(reject.stage) for reject in outcome.rejected) == {"validate": 40, "decode": 80}


def test_time_that_ran_out_while_isolating_aborts_the_batch() -> None:
    with pytest.raises(Aborted):
        score(expired=lambda: True)(batch([event(RAISES), event(1.0)]))


def test_a_batch_read_again_has_the_same_outcome() -> None:
    scoring = score()
    read = batch([event(1.0), b"", event(RAISES), event(2.0)])
    first = scoring(read)
    scoring.forget()

    assert scoring(read) == first


def test_a_model_that_writes_into_its_input_spoils_no_other_answer() -> None:
    outcome = score(model(Estimator()))(batch([event(1.0), event(RAISES), event(3.0), event(4.0)]))

    assert [p["score"] for p in predictions(outcome)] == [0.5, 0.25, 0.2]


def test_a_record_whose_headers_cannot_be_decoded_is_a_dead_letter() -> None:
    outcome = score()(batch([event(), event(), event()], unreadable_headers=[1]))

    [reject] = outcome.rejected
    assert (reject.row, reject.stage, reject.error_class) == (1, Stage.DECODE, "invalid_headers")
    assert list(output(outcome, Channel.PREDICTIONS).rows) == [0, 2]
    assert (outcome.predicted, outcome.skipped) == (2, 0)
    assert len(output(outcome, Channel.DEAD_LETTERS)) == 1


def test_a_skipped_tombstone_is_skipped_whatever_its_headers() -> None:
    skipping = score(settings=replace(SETTINGS, tombstones=Tombstones.SKIP))

    outcome = skipping(batch([event(), None], unreadable_headers=[1]))

    assert (outcome.predicted, outcome.skipped, outcome.rejected) == (1, 1, [])
