"""Rows of requests to answers, within limits and in batches across requests, for every protocol."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from stream_infer.models.load import Model
from stream_infer.packaging.scorer import Scorer
from stream_infer.serving.batching import Batcher
from stream_infer.serving.metrics import ServingMetrics
from stream_infer.serving.requests import require_rows
from stream_infer.steps.scoring.answers import NoteRows, RowAnswer, ScoringRequest, answer_requests, row_count
from stream_infer.steps.scoring.isolate import Expired

ModelBatcher: TypeAlias = Batcher[tuple[Scorer, ScoringRequest], list[RowAnswer]]
Watch: TypeAlias = Callable[[asyncio.Future[list[RowAnswer]]], object]


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The largest request, in bytes and rows, and the seconds after which it is given up.

    `bodies_bytes` is the size of all bodies that are read at the same time.
    """

    body_bytes: int = 64 * 2**20
    bodies_bytes: int = 256 * 2**20
    rows: int = 20_000
    seconds: float = 30.0


class Scoring:
    """Scores several requests in one pass for each model that they were read for; `note` is told of it."""

    def __init__(self, note: NoteRows | None = None) -> None:
        self._note = note

    def __call__(
        self, asked: Sequence[tuple[Scorer, ScoringRequest]], expired: Expired
    ) -> list[list[RowAnswer]]:
        """Return the answers to each request. Raises `Aborted` once nobody waits any more."""
        answers: list[list[RowAnswer]] = [[] for _ in asked]
        by_model: dict[str, list[int]] = {}
        for at, (served, _) in enumerate(asked):
            by_model.setdefault(served.model.digest, []).append(at)
        for places in by_model.values():
            served = asked[places[0]][0]
            rows = [asked[at][1] for at in places]
            found = answer_requests(served.model, served.plan, rows, expired, self._note)
            for at, one in zip(places, found, strict=True):
                answers[at] = one
        return answers


class RowScorer:
    """Answers the rows of requests. `current` returns the model that serves now.

    `note_refused` is told of events that are no rows, and so in no pass.
    """

    def __init__(
        self,
        current: Callable[[], Scorer],
        batcher: ModelBatcher,
        limits: RequestLimits,
        metrics: ServingMetrics,
        note_refused: Callable[[Model, int], object] = lambda _model, _rows: None,
    ) -> None:
        self.note_refused = note_refused
        self.current = current
        self.limits = limits
        self.metrics = metrics
        self._batcher = batcher

    @property
    def waiting_rows(self) -> int:
        """The number of rows that wait for a pass."""
        return self._batcher.waiting_rows

    async def ask(self, served: Scorer, rows: ScoringRequest, watch: Watch) -> list[RowAnswer]:
        """Return the answers of `served` to `rows`. `watch` is given what waits for them.

        Raises `BadRequest` (413), `Overloaded`, `TimeoutError`, `ModelFailed`.
        """
        count = row_count(rows)
        require_rows(count, self.limits.rows)
        if not count:
            return []
        answer = self._batcher.submit((served, rows), count)
        watch(answer)
        async with asyncio.timeout(self.limits.seconds):
            return await answer
