"""What is encoded in bulk is, byte for byte, what fastavro writes."""

from __future__ import annotations

import io
from dataclasses import asdict
from typing import Any

import fastavro
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_infer.avro.decode import Decoder
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Leaf, Schema, leaves
from stream_infer.avro.topic_schemas import topic_schema
from stream_infer.drift.frames import ColumnSummary, ObservationFrame
from stream_infer.flow.records import Partition
from stream_infer.steps.observing.frame_record import frame_columns

PREDICTION = topic_schema("Prediction")
OBSERVATION = topic_schema("ObservationFrame")
ARROW = {
    "int": pa.int32(),
    "long": pa.int64(),
    "double": pa.float64(),
    "string": pa.string(),
}
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(),
    "string": st.text(max_size=8),
}
NUMBERS = st.none() | st.dictionaries(st.text(max_size=3), st.floats(), max_size=3)
MAPS = {
    "class_scores": NUMBERS,
    "copied": st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=3),
    "values": NUMBERS,
}
MAP_TYPES = {
    "class_scores": pa.map_(pa.string(), pa.float64()),
    "copied": pa.map_(pa.string(), pa.string()),
    "values": pa.map_(pa.string(), pa.float64()),
}


def values(leaf: Leaf) -> st.SearchStrategy[Any]:
    return st.none() | VALUES[leaf.kind] if leaf.nullable else VALUES[leaf.kind]


RECORDS = st.fixed_dictionaries({path: values(leaf) for path, leaf in leaves(PREDICTION).items()} | MAPS)


def column(name: str, rows: list[dict[str, Any]]) -> pa.Array:
    if name in MAP_TYPES:
        pairs = [None if row[name] is None else list(row[name].items()) for row in rows]
        return pa.array(pairs, MAP_TYPES[name])
    return pa.array([row[name] for row in rows], ARROW[leaves(PREDICTION)[name].kind])


@settings(deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=5), st.sampled_from(Framing))
def test_predictions_are_encoded_as_fastavro_does_and_decode_to_themselves(
    rows: list[dict[str, Any]], framing: Framing
) -> None:
    columns = {field.name: column(field.name, rows) for field in PREDICTION.root.fields}

    data = Encoder(PREDICTION, framing, schema_id=258).encode(columns)

    size = {Framing.NONE: 0, Framing.SINGLE_OBJECT: 10, Framing.CONFLUENT: 5}[framing]
    assert [datum[size:] for datum in data] == [written(row) for row in rows]
    registered = {b"\0\0\0\1\2": PREDICTION}
    decoder = Decoder(
        framing, [PREDICTION], list(leaves(PREDICTION)), reader=PREDICTION, registered=registered
    )
    decoded = decoder.decode(data)
    for path, back in decoded.columns.items():
        assert repr(back.to_pylist()) == repr(columns[path].to_pylist())


@settings(deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=5))
def test_both_ways_of_encoding_write_the_same_bytes(rows: list[dict[str, Any]]) -> None:
    columns = {field.name: column(field.name, rows) for field in PREDICTION.root.fields}
    in_batch = Encoder(PREDICTION, Framing.NONE)
    by_row = Encoder(PREDICTION, Framing.NONE)
    by_row._fast = None

    assert in_batch._fast is not None
    assert in_batch.encode(columns) == by_row.encode(columns)


LONGS = st.integers(-(2**63), 2**63 - 1)
TEXTS = st.text(max_size=3)
SUMMARIES = st.builds(
    ColumnSummary,
    TEXTS,
    TEXTS,
    LONGS,
    LONGS,
    LONGS,
    *[st.floats()] * 4,
    st.lists(LONGS, max_size=3).map(tuple),
)
PLACES = st.builds(Partition, TEXTS, st.integers(-(2**31), 2**31 - 1))
FRAMES = st.builds(
    ObservationFrame, TEXTS, TEXTS, PLACES, *[LONGS] * 9, st.lists(SUMMARIES, max_size=3).map(tuple)
)


@settings(deadline=None)
@given(st.lists(FRAMES, max_size=4), TEXTS)
def test_frames_are_encoded_as_fastavro_does(frames: list[ObservationFrame], pipeline: str) -> None:
    encoder = Encoder(OBSERVATION, Framing.NONE)
    assert encoder._fast is not None

    data = encoder.encode(frame_columns(pipeline, frames))

    assert data == [written(as_record(frame, pipeline), OBSERVATION) for frame in frames]


def as_record(frame: ObservationFrame, pipeline: str) -> dict[str, Any]:
    whole = asdict(frame)
    signals = [
        {**signal, "min": signal.pop("low"), "max": signal.pop("high")} for signal in whole.pop("signals")
    ]
    source = whole.pop("source")
    renamed = {
        "model_version": whole.pop("version"),
        "model_digest": whole.pop("digest"),
        "source_topic": source["topic"],
        "source_partition": source["index"],
        "first_event_time": whole.pop("first_time_ms"),
        "last_event_time": whole.pop("last_time_ms"),
    }
    return {"pipeline": pipeline, **whole, **renamed, "signals": signals}


def written(row: dict[str, Any], of: Schema = PREDICTION) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, of.parsed, row)
    return out.getvalue()
