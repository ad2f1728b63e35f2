"""Writes the golden rows of a package."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from stream_infer.avro.schemas import Schema
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.manifest import OutputContract
from stream_infer.models.scores import Scores
from stream_infer.packaging.binding import Bound
from stream_infer.packaging.datum import encode_datum
from stream_infer.packaging.event_builder import build_events
from stream_infer.steps.scoring.golden import row_of, write_golden


def golden_file(
    frame: pd.DataFrame, columns: Sequence[Bound], schema: Schema, output: OutputContract, scores: Scores
) -> bytes:
    """Return `golden.avro`: an event for each row of `frame`, with the answers in `scores`.

    Raises `Misconfigured` for a row that no event can hold.
    """
    rows = []
    for row, event in enumerate(build_events(frame, columns, schema)):
        try:
            datum = encode_datum(schema, event)
        except ValueError as error:
            fix = "give rows that your events can carry"
            raise Misconfigured([Problem("--golden", f"row {frame.index[row]}", str(error), fix)]) from error
        rows.append(replace(row_of(scores, row, output), event=datum))
    return write_golden(rows)
