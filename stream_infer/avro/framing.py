"""The framing of a datum in a record's value: the bytes before it that name its writer's schema.

These bytes (the head) have one length for each framing. `confluent` has what the Confluent framing allows
beyond that; `decode` and `encode` treat the datum behind the head.
"""

from __future__ import annotations

from enum import StrEnum

from stream_infer.avro.confluent import ID_MAGIC, id_head
from stream_infer.avro.schemas import Schema


class Framing(StrEnum):
    """`NONE`: the datum alone. `SINGLE_OBJECT`: C3 01, the fingerprint of the writer's schema, the datum.

    `CONFLUENT`: 00, the id of the writer's schema in a registry, the datum.
    """

    NONE = "none"
    SINGLE_OBJECT = "single-object"
    CONFLUENT = "confluent"


HEAD_SIZE = {Framing.NONE: 0, Framing.SINGLE_OBJECT: 10, Framing.CONFLUENT: 5}
MAGIC = {Framing.NONE: b"", Framing.SINGLE_OBJECT: b"\xc3\x01", Framing.CONFLUENT: bytes([ID_MAGIC])}


def head(framing: Framing, schema: Schema, schema_id: int | None = None) -> bytes:
    """Return the bytes before each datum that was written with `schema`.

    Raises `ValueError` for the Confluent framing without the id of the schema.
    """
    match framing:
        case Framing.NONE:
            return b""
        case Framing.SINGLE_OBJECT:
            return MAGIC[framing] + schema.fingerprint
        case Framing.CONFLUENT:
            if schema_id is None:
                raise ValueError(f"{schema.name} needs its id in the registry.")
            return id_head(schema_id)
