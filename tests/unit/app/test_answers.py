from __future__ import annotations

import io
from typing import Any

import fastavro
import pytest

from stream_infer.app.answers import AnswerReader, EventPrediction, EventRejection, read_dead_letter
from stream_infer.avro import topic_schemas
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordWriter

RECORD = {
    "id": "shop.visits/1/7",
    "source_topic": "shop.visits",
    "source_partition": 1,
    "source_offset": 7,
    "event_time": 0,
    "scored_at": 0,
    "pipeline": "shop",
    "model_name": "fraud",
    "model_version": "1.0",
    "model_digest": "abc",
    "label": "yes",
    "score": 0.75,
}


@pytest.mark.parametrize(
    ("framing", "schema_id"), [(Framing.NONE, None), (Framing.SINGLE_OBJECT, None), (Framing.CONFLUENT, 9)]
)
def test_a_prediction_is_read_in_every_framing(framing: Framing, schema_id: int | None) -> None:
    writer = RecordWriter(topic_schemas.topic_schema("Prediction"), framing, schema_id=schema_id)

    read = AnswerReader(framing).prediction(writer.write(RECORD))

    assert read == EventPrediction(
        id="shop.visits/1/7",
        label="yes",
        score=0.75,
        value=None,
        values=None,
        model_name="fraud",
        model_version="1.0",
    )


def test_a_prediction_of_the_earlier_release_has_no_values() -> None:
    [earlier] = topic_schemas.earlier_schemas("Prediction")

    read = AnswerReader(Framing.NONE).prediction(RecordWriter(earlier, Framing.NONE).write(RECORD))

    assert (read.id, read.values) == ("shop.visits/1/7", None)


def test_a_reader_of_the_earlier_release_reads_the_prediction_of_today() -> None:
    [earlier] = topic_schemas.earlier_schemas("Prediction")
    now = topic_schemas.topic_schema("Prediction")
    value = RecordWriter(now, Framing.NONE).write({**RECORD, "values": {"low": 1.0}})

    by_itself: Any = fastavro.schemaless_reader(io.BytesIO(value), earlier.parsed, None)
    resolved: Any = fastavro.schemaless_reader(io.BytesIO(value), now.parsed, earlier.parsed)

    assert by_itself == resolved
    assert (by_itself["score"], "values" in by_itself) == (0.75, False)


def test_a_value_that_is_no_prediction_is_refused() -> None:
    with pytest.raises(ValueError, match="Prediction"):
        AnswerReader(Framing.NONE).prediction(b"\x02")


def test_a_dead_letter_tells_its_event_and_the_last_reason() -> None:
    headers = [
        ("streaminfer.error.class", b"the event's own"),
        ("__dlq.errors.topic", b"shop.visits"),
        ("__dlq.errors.partition", b"1"),
        ("__dlq.errors.offset", b"7"),
        ("__dlq.errors.message", b"balance is NaN"),
        ("streaminfer.error.stage", b"validate"),
        ("streaminfer.error.class", b"nan"),
    ]

    assert read_dead_letter(headers) == EventRejection(
        id="shop.visits/1/7", stage="validate", error_class="nan", message="balance is NaN"
    )


def test_a_record_without_these_headers_is_no_dead_letter() -> None:
    with pytest.raises(ValueError, match=r"without the header '__dlq.errors.topic'"):
        read_dead_letter([("other", None)])
