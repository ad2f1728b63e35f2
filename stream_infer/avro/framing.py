"""How a datum is wrapped in a record's value: which bytes say who wrote it.

Every framing puts bytes of one length before the datum, which name its writer; another framing is another row
in `head` and `HEAD_SIZE`. What follows the head is in `decode` and `encode`.
"""

from __future__ import annotations

from enum import StrEnum

from stream_infer.avro.schemas import Schema


class Framing(StrEnum):
    """`NONE`: the datum alone. `SINGLE_OBJECT`: C3 01, the fingerprint of the writer's schema, the datum."""

    NONE = "none"
    SINGLE_OBJECT = "single-object"


HEAD_SIZE = {Framing.NONE: 0, Framing.SINGLE_OBJECT: 10}
MAGIC = {Framing.NONE: b"", Framing.SINGLE_OBJECT: b"\xc3\x01"}


def head(framing: Framing, schema: Schema) -> bytes:
    """Return the bytes before each datum that was written with `schema`."""
    match framing:
        case Framing.NONE:
            return b""
        case Framing.SINGLE_OBJECT:
            return MAGIC[framing] + schema.fingerprint
