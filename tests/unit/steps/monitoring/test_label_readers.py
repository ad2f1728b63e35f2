"""Labels and predictions that name their writers as Confluent's serializers do."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pyarrow as pa

from stream_infer.avro import schemas, topic_schemas
from stream_infer.avro.confluent import HEADER, guid_head, id_head
from stream_infer.avro.decode import Decoder
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.drift.labels import Truth
from stream_infer.flow.records import Batch, Cursor, Headers, Partition
from stream_infer.steps.monitoring.label_readers import LabelFields, LabelReader

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
