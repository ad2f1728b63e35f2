"""Our framing is that of Confluent's own serializers, both ways; and our evolution is that of fastavro."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import fastavro
import pyarrow as pa
from confluent_kafka.schema_registry import (
    SchemaRegistryClient,
    header_schema_id_serializer,
    prefix_schema_id_serializer,
)
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stream_infer.avro.confluent import Writer, heads, id_head
from stream_infer.avro.decode import Decoder
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordWriter
from stream_infer.avro.schemas import Schema, leaves, parse_schema
from stream_infer.avro.topic_schemas import topic_schema as contract
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.kafka.confluent_registry import ConfluentRegistry
from tests.properties.test_avro_decode import dig, schemas, values
from tests.properties.test_avro_encode import RECORDS, column

TOPIC = "events"
# Confluent's serializer strips the text of a schema, and the registry in memory compares texts.
PREDICTION = parse_schema(contract("Prediction").text.strip())


class Rig:
    """A registry in memory, Confluent's serializers on it, and what ours knows of it."""

    def __init__(self) -> None:
        self.client = SchemaRegistryClient.new_client({"url": "mock://properties"})
        self.registry = ConfluentRegistry(self.client)

    def serialize(
        self, schema: Schema, rows: Sequence[Any], *, in_header: bool
    ) -> tuple[list[Any], list[Any]]:
        """Return values and headers of `rows` as a producer with Confluent's serializer writes them."""
        place = header_schema_id_serializer if in_header else prefix_schema_id_serializer
        serializer = AvroSerializer(self.client, schema.text, conf={"schema.id.serializer": place})
        written, headers = [], []
        for row in rows:
            context = SerializationContext(TOPIC, MessageField.VALUE, [])
            written.append(serializer(row, context))
            headers.append(context.headers or None)
        return written, headers

    def deserialize(self, value: bytes, headers: Any) -> Any:
        context = SerializationContext(TOPIC, MessageField.VALUE, list(headers or ()))
        return AvroDeserializer(self.client)(value, context)

    def known(self, values: Sequence[bytes | None], headers: Sequence[Any]) -> Mapping[bytes, Writer]:
        return {head: self.registry.writer(head) for head in set(heads(values, headers))}


@settings(deadline=None, max_examples=150)
@given(st.data(), st.booleans())
def test_what_their_serializer_writes_is_read_as_their_deserializer_reads_it(
    draw: st.DataObject,
    in_header: bool,  # noqa: FBT001 - drawn
) -> None:
    rig = Rig()
    schema = draw.draw(schemas())
    rows = draw.draw(st.lists(values(schema.root), min_size=1, max_size=4))
    written, headers = rig.serialize(schema, rows, in_header=in_header)
    assume(all(len(value) > 5 for value in written))  # theirs wants that of any value, also without a prefix

    known = rig.known(written, headers)
    reading = Decoder(Framing.CONFLUENT, [], list(leaves(schema)), reader=schema, registered=known)
    decoded = reading.decode(written, headers)

    # A union of whole numbers and reals is a column of reals, which has no whole number beyond 2^53.
    assert {one.error_class for one in decoded.rejected} <= {DeadLetterClass.OUT_OF_PRECISION}
    theirs = [rig.deserialize(written[row], headers[row]) for row in decoded.rows]
    for path, read in decoded.columns.items():
        expected = pa.array([number_of(dig(row, path)) for row in theirs], read.type)
        assert repr(read.to_pylist()) == repr(expected.to_pylist())


def number_of(value: object) -> object:
    """Return `value`, a decimal as the double that it is in a column."""
    return float(value) if isinstance(value, Decimal) else value


@settings(deadline=None)
@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_what_we_write_is_read_by_their_deserializer(rows: list[dict[str, Any]]) -> None:
    rig = Rig()
    schema_id = rig.registry.register(f"{TOPIC}-value", PREDICTION)
    columns = {field.name: column(field.name, rows) for field in PREDICTION.root.fields}

    written = Encoder(PREDICTION, Framing.CONFLUENT, schema_id=schema_id).encode(columns)

    theirs, _ = rig.serialize(PREDICTION, [raw(value) for value in written], in_header=False)
    assert written == theirs
    assert [repr(raw(value)) for value in written] == [repr(row) for row in map(ordered, rows)]


def raw(value: bytes) -> dict[str, Any]:
    """Read one of our values with their client's library, times as numbers."""
    plain = fastavro.parse_schema(_bare(json.loads(PREDICTION.text)))
    return fastavro.schemaless_reader(io.BytesIO(value[5:]), plain, None)  # type: ignore[return-value]


def ordered(row: dict[str, Any]) -> dict[str, Any]:
    return {field.name: row[field.name] for field in PREDICTION.root.fields}


def _bare(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _bare(value) for key, value in node.items() if key != "logicalType"}
    return [_bare(each) for each in node] if isinstance(node, list) else node


def test_a_prediction_and_an_event_of_ours_are_read_by_their_deserializer_as_it_comes() -> None:
    rig = Rig()
    event = contract("MonitoringEvent")
    for schema in (PREDICTION, event):
        schema_id = rig.registry.register(f"{schema.name}-value", schema)
        value = RecordWriter(schema, Framing.CONFLUENT, schema_id=schema_id).write(example(schema))
        read = rig.deserialize(value, None)
        assert read.keys() == {field.name for field in schema.root.fields}


def example(schema: Schema) -> dict[str, Any]:
    """A record in which everything that may be left out is left out."""
    known = leaves(schema)
    plain: dict[str, Any] = {"string": "x", "long": 5, "int": 5, "double": 0.5, "boolean": True, "float": 0.5}
    return {
        field.name: plain[known[field.name].kind]
        for field in schema.root.fields
        if field.name in known and not known[field.name].nullable
    }


# -- evolution: what a writer and a reader may differ in ----------------------------------------------------

PROMOTED = {"int": ("int", "long", "float", "double"), "long": ("long", "float", "double")}
PROMOTED |= {
    "float": ("float", "double"),
    "double": ("double",),
    "string": ("string",),
    "boolean": ("boolean",),
}
DEFAULTS: dict[str, Any] = {
    "int": 7,
    "long": 8,
    "float": 0.5,
    "double": 1.5,
    "string": "none",
    "boolean": True,
}
PLAIN: dict[str, st.SearchStrategy[Any]] = {
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32),
    "double": st.floats(),
    "string": st.text(max_size=4),
    "boolean": st.booleans(),
}


@st.composite
def families(draw: st.DrawFn) -> tuple[Schema, list[tuple[Schema, list[dict[str, Any]]]]]:
    """A reader, and writers that it can read, each with some records."""
    reader_fields, kinds = [], {}
    for at in range(draw(st.integers(1, 4))):
        kind = draw(st.sampled_from(sorted(PROMOTED)))
        kinds[f"f{at}"] = kind
        nullable = draw(st.booleans())
        reader_fields.append(
            {
                "name": f"f{at}",
                "type": ["null", kind] if nullable else kind,
                "default": None if nullable else DEFAULTS[kind],
                "aliases": [f"old{at}"],
            }
        )
    reader = schema_of(reader_fields)
    written = []
    for _ in range(draw(st.integers(1, 3))):
        fields = []
        for name, kind in kinds.items():
            if draw(st.integers(0, 3)) == 0:
                continue  # added since
            sources = [source for source, targets in PROMOTED.items() if kind in targets]
            renamed = draw(st.booleans())
            fields.append(
                {
                    "name": name.replace("f", "old") if renamed else name,
                    "type": draw(st.sampled_from(sources)),
                }
            )
        fields += [{"name": "gone", "type": "string"}] * draw(st.integers(0, 1))
        fields = draw(st.permutations(fields))
        # A datum without bytes is rejected before its writer is looked up.
        writer = schema_of([*fields, {"name": "last", "type": "int"}])
        row = st.fixed_dictionaries(
            {field["name"]: PLAIN[field["type"]] for field in fields} | {"last": PLAIN["int"]}
        )
        written.append((writer, draw(st.lists(row, min_size=1, max_size=3))))
    return reader, written


def schema_of(fields: Sequence[Mapping[str, Any]]) -> Schema:
    return parse_schema(json.dumps({"type": "record", "name": "Event", "fields": list(fields)}))


@settings(deadline=None, max_examples=200)
@given(families())
def test_events_of_several_writers_in_one_batch_are_resolved_as_fastavro_resolves_them(
    family: tuple[Schema, list[tuple[Schema, list[dict[str, Any]]]]],
) -> None:
    reader, written = family
    registered: dict[bytes, Writer] = {id_head(at): writer for at, (writer, _) in enumerate(written)}
    batch: list[tuple[int, bytes]] = []
    for at, (writer, rows) in enumerate(written):
        batch += [(at, datum(writer, row)) for row in rows]
    batch = batch[::2] + batch[1::2]

    reading = Decoder(Framing.CONFLUENT, [], list(leaves(reader)), reader=reader, registered=registered)
    decoded = reading.decode([id_head(at) + data for at, data in batch])

    theirs = [
        fastavro.schemaless_reader(io.BytesIO(data), written[at][0].parsed, reader.parsed)
        for at, data in batch
    ]
    assert not decoded.rejected
    assert list(decoded.rows) == list(range(len(batch)))
    for path, read in decoded.columns.items():
        expected = pa.array([number_of(dig(row, path)) for row in theirs], read.type)
        assert repr(read.to_pylist()) == repr(expected.to_pylist())


def datum(schema: Schema, row: dict[str, Any]) -> bytes:
    out = io.BytesIO()
    fastavro.schemaless_writer(out, schema.parsed, row)
    return out.getvalue()
