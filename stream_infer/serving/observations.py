"""What was asked and answered, as observation frames for the monitor, beside the answers.

Rows have a sequence in place of offsets. It begins at the time of the start in microseconds, so that it grows
over restarts and no monitor takes it for a replay. A thread of its own makes and publishes the frames; while
no broker takes them, answers go on, and what does not fit is left out.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Self

import numpy as np
import pyarrow as pa

from stream_infer.common.clock import unix_ms
from stream_infer.flow.codes import DeadLetterClass, LogEvent
from stream_infer.flow.records import Batch, Cursor, Output, Partition, Rejected, Stage
from stream_infer.models.frame_builder import Columns
from stream_infer.models.load import Model
from stream_infer.models.scores import Scores
from stream_infer.steps.observing.observe import Observe
from stream_infer.steps.observing.scored import ScoredRows

_LOG = logging.getLogger("stream_infer.serve")
_EVERY_S = 5.0
_MANY_ROWS = 1_600
_MOST_ROWS = 200_000


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows that one model answered or refused at one time; without `scored` all of them were refused."""

    model: Model
    rows: int
    time_ms: int
    scored: ScoredRows | None


class Observations:
    """Collects rows, and publishes their frames as those of the source `serve/<slot>` while it is entered."""

    def __init__(
        self,
        slot: str,
        observe: Observe,
        publish: Callable[[Output], object],
        *,
        clock_ms: Callable[[], int] = unix_ms,
    ) -> None:
        self._source = Partition(f"serve/{slot}", 0)
        self._observe = observe
        self._publish = publish
        self._clock_ms = clock_ms
        self._next = clock_ms() * 1_000
        self._parts: deque[_Part] = deque()
        self._added = 0
        self._taken = 0
        self._left_out = 0
        self._wake = threading.Event()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="serve-observations", daemon=True)

    def add(self, model: Model, rows: int, scored: ScoredRows | None) -> None:
        """Take note of `rows` rows of a pass; without `scored` they were refused before. Never waits."""
        if self._added - self._taken + rows > _MOST_ROWS:
            self._left_out += rows
            return
        self._parts.append(_Part(model, rows, self._clock_ms(), scored))
        self._added += rows
        if self._added - self._taken >= _MANY_ROWS:
            self._wake.set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_closed = True
        self._wake.set()
        self._thread.join(_EVERY_S)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            self._wake.wait(_EVERY_S)
            self._wake.clear()
            is_last = self._is_closed
            try:
                self._flush()
            except Exception as error:  # noqa: BLE001 - monitoring can never stop answers
                _LOG.warning(LogEvent.MONITORING_PROBLEM, extra={"reason": type(error).__name__})

    def _flush(self) -> None:
        parts = [self._parts.popleft() for _ in range(len(self._parts))]
        self._taken += sum(part.rows for part in parts)
        for _, of_model in groupby(parts, key=lambda part: part.model.digest):
            self._publish_parts(list(of_model))
        if self._left_out:
            left_out, self._left_out = self._left_out, 0
            reason = f"{left_out} rows came faster than they could be summarised"
            _LOG.warning(LogEvent.MONITORING_PROBLEM, extra={"reason": reason})

    def _publish_parts(self, parts: Sequence[_Part]) -> None:
        rows = sum(part.rows for part in parts)
        first, self._next = self._next, self._next + rows
        nothing = [None] * rows
        batch = Batch(
            cursor=Cursor({}),
            partitions=[self._source],
            partition=np.zeros(rows, np.int32),  # type: ignore[arg-type]  # a column
            offset=range(first, first + rows),
            timestamp_ms=np.repeat([part.time_ms for part in parts], [part.rows for part in parts]),  # type: ignore[arg-type]  # a column
            keys=nothing,
            values=nothing,
            headers=nothing,
            received_ms=self._clock_ms(),
        )
        observed = self._observe(batch, parts[0].model, _joined_parts(parts))
        if observed.failure is not None:
            _LOG.warning(LogEvent.MONITORING_PROBLEM, extra={"reason": observed.failure})
        self._publish(observed.output)


def _joined_parts(parts: Sequence[_Part]) -> ScoredRows:
    """Return the rows of `parts`, one after the other."""
    readable, scored, rejected, at, read = [], [], [], 0, 0
    found = [part.scored for part in parts if part.scored is not None]
    for part in parts:
        one = part.scored
        if one is None:
            rejected += list(range(at, at + part.rows))
        else:
            readable.append(np.asarray(one.readable, np.intp) + at)
            scored.append(np.asarray(one.scored, np.intp) + read)
            rejected += [reject.row + at for reject in one.rejected]
            read += len(one.readable)
        at += part.rows
    empty = np.empty(0, np.intp)
    return ScoredRows(
        _joined_columns([one.columns for one in found if len(one.readable)]),
        np.concatenate(readable) if readable else empty,
        np.concatenate(scored) if scored else empty,
        _joined_scores([one.scores for one in found if len(one.scored)]),
        [_refused(row) for row in rejected],
    )


def _joined_columns(parts: Sequence[Columns]) -> Columns:
    return {path: pa.concat_arrays([part[path] for part in parts]) for path in (parts[0] if parts else ())}


def _joined_scores(parts: Sequence[Scores]) -> Scores:
    joined = {}
    for field in fields(Scores):
        columns = [getattr(part, field.name) for part in parts]
        if columns and all(column is not None for column in columns):
            joined[field.name] = np.concatenate(columns)
    return Scores(**joined)


def _refused(row: int) -> Rejected:
    """Return a refused row: a frame only counts them."""
    return Rejected(row, Stage.DECODE, DeadLetterClass.INVALID, "")
