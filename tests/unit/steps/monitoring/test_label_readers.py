"""Labels and predictions that name their writers as Confluent's serializers do."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import pyarrow as pa
import pytest

from stream_infer.app.label_join import prediction_decoders
from stream_infer.avro import schemas, topic_schemas
from stream_infer.avro.confluent import HEADER, guid_head, id_head
from stream_infer.avro.decode import Decoder
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordWriter
from stream_infer.drift.labels import Truth
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.flow.records import Batch, Cursor, Headers, Partition
from stream_infer.steps.monitoring.label_readers import (
    PREDICTION_FIELDS,
    LabelFields,
    LabelReader,
    PredictionReader,
)
from stream_infer.steps.options import JoinBy
from tests.support import label_records
from tests.support.label_oracle import RawLabel, RawPrediction

LABEL = topic_schemas.topic_schema("Label")
# As another team writes it: a field of its own beside ours, another order, and nothing may be null.
OTHERS = schemas.parse_schema(
    json.dumps(
        {
            "type": "record",
            "name": "Label",
            "namespace": "io.streaminfer.v1",
            "fields": [
                {"name": "label", "type": "string"},
                {"name": "annotator", "type": "string"},
                {"name": "prediction_id", "type": "string"},
                {"name": "labelled_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
            ],
        }
    )
)
GUID = bytes(range(16))
FIELDS = LabelFields("prediction_id", "label", None, "labelled_at")
_WITH_VALUE = LabelFields("prediction_id", "label", "value", "labelled_at")
LABELS = LabelReader(Decoder(Framing.NONE, [LABEL], _WITH_VALUE.paths), _WITH_VALUE)
PREDICTIONS = PredictionReader(
    Decoder(Framing.NONE, [topic_schemas.topic_schema("Prediction")], PREDICTION_FIELDS),
    JoinBy.PREDICTION_ID,
)


def batch(values: Sequence[bytes], headers: Sequence[Headers | None]) -> Batch:
    count = len(values)
    return Batch(
        cursor=Cursor({}),
        partitions=[Partition("labels", 0)],
        partition=[0] * count,
        offset=range(count),
        timestamp_ms=[1_000] * count,
        keys=[None] * count,
        values=values,
        headers=headers,
        received_ms=2_000,
    )


def of_others(name: str, label: str) -> bytes:
    columns = {
        "label": pa.array([label]),
        "annotator": pa.array(["someone"]),
        "prediction_id": pa.array([name]),
        "labelled_at": pa.array([500], pa.int64()),
    }
    return Encoder(OTHERS, Framing.NONE).encode(columns)[0]


def test_labels_of_registered_writers_are_read_and_those_of_unknown_writers_are_rejected() -> None:
    ours = Encoder(LABEL, Framing.CONFLUENT, schema_id=7).encode(
        {
            "prediction_id": pa.array(["in/0/1"]),
            "label": pa.array(["yes"]),
            "labelled_at": pa.array([400], pa.int64()),
        }
    )
    known = {id_head(7): LABEL, guid_head(GUID): OTHERS}
    reading = LabelReader(
        Decoder(Framing.CONFLUENT, [], FIELDS.paths, reader=LABEL, registered=known), FIELDS
    )
    values = [ours[0], of_others("in/0/2", "no"), id_head(8) + ours[0][5:], b"{}"]
    headers: list[Headers | None] = [None, [(HEADER, guid_head(GUID))], None, None]

    found, rejected = reading.read(batch(values, headers), range(4))

    assert found == [
        (0, Truth("in/0/1", 1_000, 400, "yes", None)),
        (1, Truth("in/0/2", 1_000, 500, "no", None)),
    ]
    assert [(one.row, one.error_class) for one in rejected] == [(2, "unknown_schema"), (3, "bad_magic")]


@pytest.mark.parametrize("length", [1_024, 1_025, 900_000])
def test_labels_and_predictions_with_texts_that_are_too_long_to_keep_are_refused(length: int) -> None:
    long = "x" * length
    labels = [RawLabel(long, 0, 0, "yes"), RawLabel("a", 0, 0, long), RawLabel("a", 0, 0, "yes")]
    said = [
        RawPrediction(long, "d", 0, 0),
        RawPrediction("a", "d", 0, 0, long),
        RawPrediction("a", "d", 0, 0),
    ]

    found, refused = LABELS.read(batch([label_records.label(one) for one in labels], [None] * 3), range(3))
    predicted, rejected = PREDICTIONS.read(
        batch([label_records.prediction(one) for one in said], [None] * 3), range(3)
    )

    taken = [0, 1, 2] if length <= 1_024 else [2]
    assert [row for row, _ in found] == [row for row, _ in predicted] == taken
    expected = [(row, DeadLetterClass.TOO_LONG) for row in range(3) if row not in taken]
    assert [(one.row, one.error_class) for one in refused] == expected
    assert [(one.row, one.error_class) for one in rejected] == expected
    assert all(long not in one.message for one in refused)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, 1e100, -1e308])
def test_a_number_that_is_too_large_to_be_squared_is_no_label_and_no_value(number: float) -> None:
    label = label_records.label(RawLabel("a", 0, 0, None, number))
    said = label_records.prediction(RawPrediction("a", "d", 0, 0, None, number, number))

    found, refused = LABELS.read(batch([label], [None]), range(1))
    [(_, predicted)], _ = PREDICTIONS.read(batch([said], [None]), range(1))

    assert (list(found), refused[0].error_class) == ([], DeadLetterClass.NO_LABEL)
    assert (predicted.score, predicted.value) == (None, None)


@pytest.mark.parametrize("framing", [Framing.NONE, Framing.SINGLE_OBJECT])
def test_predictions_of_this_release_and_of_the_earlier_one_are_read_in_their_order(framing: Framing) -> None:
    now, [earlier] = (
        topic_schemas.topic_schema("Prediction"),
        topic_schemas.earlier_schemas("Prediction"),
    )
    fields = {
        "id": "in/0/1", "source_topic": "in", "source_partition": 0, "source_offset": 1, "event_time": 7,
        "scored_at": 8, "pipeline": "p", "model_name": "m", "model_version": "1", "model_digest": "d",
        "value": 2.5,
    }  # fmt: skip
    values = [
        RecordWriter(earlier, framing).write({**fields, "id": "in/0/1"}),
        RecordWriter(now, framing).write({**fields, "id": "in/0/2", "values": {"low": 1.0, "high": 2.5}}),
        RecordWriter(earlier, framing).write({**fields, "id": "in/0/3"}),
        RecordWriter(now, framing).write({**fields, "id": "in/0/4"}),
        RecordWriter(now, framing).write(fields)[:-20],
    ]
    decoder, *others = prediction_decoders(framing, {})

    found, rejected = PredictionReader(decoder, JoinBy.PREDICTION_ID, others).read(
        batch(values, [None] * 5), range(5)
    )

    assert [(row, one.id, one.value) for row, one in found] == [
        (0, "in/0/1", 2.5),
        (1, "in/0/2", 2.5),
        (2, "in/0/3", 2.5),
        (3, "in/0/4", 2.5),
    ]
    assert [one.row for one in rejected] == [4]
