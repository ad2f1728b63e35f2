"""Golden rows as a gate: a loaded model that does not give the golden answers of its package is refused.

`package create`, `package verify`, `check` and rehearsals prove the same, here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import cycle, islice

from stream_infer.avro.schemas import Schema, SchemaRefused, parse_schema
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.load import Model
from stream_infer.models.package import Verified
from stream_infer.steps.scoring.golden import (
    Golden,
    GoldenReport,
    golden_columns,
    read_golden,
    replay,
    replay_rows,
)

_SHOWN_FAILURES = 3
ALONE = 32
"""The number of golden rows that are also scored alone in a batch."""
FULL = 1_000
"""Rows of a full batch."""


def prove_answers(model: Model, verified: Verified) -> GoldenReport:
    """Replay the golden rows together, alone, in reverse order and in a full batch; return the first report.

    Raises `Refused`: `SCHEMA`, `GOLDEN`, and `BATCH_OF_ONE` where an answer depends on the batch.
    """
    together = check_golden(model, verified)
    schema, rows = input_schema(verified), read_golden(verified.files["golden.avro"])
    batches: list[tuple[str, Sequence[Golden]]] = [
        ("alone in its batch, ", [row]) for row in rows[:: -(-len(rows) // ALONE)]
    ]
    batches += [
        ("in reverse order, ", rows[::-1]),
        (f"in a batch of {FULL:,}, ", list(islice(cycle(rows), max(FULL, len(rows))))),
    ]
    for where, batch in batches:
        require_agreement(replay_rows(model, schema, batch), where, RefusalCode.BATCH_OF_ONE)
    return together


def check_golden(model: Model, verified: Verified, where: str = "") -> GoldenReport:
    """Replay the golden rows of a package on its model; raise `Refused`: `GOLDEN`, `SCHEMA`."""
    return require_agreement(replay(model, input_schema(verified), verified.files["golden.avro"]), where)


def with_golden(model: Model, verified: Verified) -> Model:
    """Return `model` with golden rows, by which bad data is told from a broken model while it serves."""
    columns = golden_columns(model, input_schema(verified), verified.files["golden.avro"])
    return replace(model, golden=columns)


def input_schema(verified: Verified) -> Schema:
    """Return the input schema of a package. Raises `Refused(RefusalCode.SCHEMA)`."""
    try:
        return parse_schema(verified.files["input.avsc"].decode())
    except (SchemaRefused, UnicodeDecodeError) as error:
        raise Refused(RefusalCode.SCHEMA, f"input.avsc: {error}") from error


def require_agreement(
    replayed: GoldenReport, where: str = "", code: RefusalCode = RefusalCode.GOLDEN
) -> GoldenReport:
    """Return `replayed`; raise `Refused` with `code` where an answer disagrees or there are no rows."""
    if not replayed.ok:
        shown = replayed.failures[:_SHOWN_FAILURES] or ["there are no golden rows"]
        more = len(replayed.failures) - len(shown)
        raise Refused(code, where + "; ".join(shown) + (f", and {more} more" if more > 0 else ""))
    return replayed
