"""A batch as it was scored: the input of the summaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stream_infer.flow.records import Rejected
from stream_infer.models.frame_builder import Columns
from stream_infer.models.scores import Scores
from stream_infer.steps.rows import Rows


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """The rows of a batch that could be decoded, and the answers of the model.

    `columns` hold the rows `readable` of the batch, `scores` those of `readable[scored]`. `rejected` are the
    rows of the batch that became dead letters.
    """

    columns: Columns
    readable: Rows
    scored: Rows
    scores: Scores
    rejected: Sequence[Rejected]
