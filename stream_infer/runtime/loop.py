"""The loop that every role runs: read, step, commit. Start reading the code here.

What a record means is the step's business, what durable means is the sink's. The loop only promises that a
batch is either committed whole or read again.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from stream_infer.flow.errors import Aborted
from stream_infer.flow.events import BatchAborted, BatchCommitted, Paced, ReadFinished
from stream_infer.flow.ports import Observer, Sink, Source, Step
from stream_infer.flow.records import Batch, Outcome
from stream_infer.runtime.pacing import Decision, Pacing
from stream_infer.runtime.stop import Stop


class Pacer(Protocol):
    """How much to read and when: `pacing` for a stream, `steady_pace` for a finite input."""

    policy: Pacing
    decision: Decision

    def pause_s(self, now: float) -> float:
        """Return how many seconds to wait before the next read."""

    def wait_s(self, now: float) -> float:
        """Return how many seconds a read may wait for records."""

    def was_read(self, values: Sequence[bytes | None], now: float) -> None:
        """Take note that a batch of `values` was read at `now`."""

    def was_committed(self, now: float) -> None:
        """Take note that the batch became durable at `now`."""

    def was_aborted(self, now: float) -> None:
        """Take note that the batch was aborted at `now`."""


def run(
    source: Source,
    step: Step,
    sink: Sink,
    *,
    stop: Stop,
    pace: Pacer,
    observe: Observer,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Turn until `stop` is requested or the source is finished. Raises `Fatal` from any of the three.

    1. Wait out the pace (commits too close together are waste, replays too close together are a storm).
    2. Read. Nothing is open meanwhile: no transaction, no file.
    3. Step and commit. On `Aborted` nothing is visible: forget, rewind, and the same records come again.
    """
    while not (stop.wait(pace.pause_s(clock())) or source.finished):
        started = clock()
        batch = source.read(pace.decision.limit, pace.wait_s(started))
        observe(ReadFinished(0 if batch is None else len(batch), clock() - started))
        if batch is None:
            continue
        pace.was_read(batch.values, clock())
        try:
            committed = _step_and_commit(batch, step, sink, clock)
        except Aborted as aborted:
            step.forget()
            source.rewind(batch.cursor)
            pace.was_aborted(clock())
            observe(BatchAborted(len(batch), str(aborted), tuple(batch.cursor.spans)))
        else:
            pace.was_committed(clock())
            observe(committed)
            observe(_paced(pace.decision))


def _step_and_commit(batch: Batch, step: Step, sink: Sink, clock: Callable[[], float]) -> BatchCommitted:
    started = clock()
    outcome = step(batch)
    stepped = clock()
    sink.commit(outcome)
    return _committed(batch, outcome, step_s=stepped - started, commit_s=clock() - stepped)


def _committed(batch: Batch, outcome: Outcome, *, step_s: float, commit_s: float) -> BatchCommitted:
    return BatchCommitted(
        records=len(batch),
        predicted=outcome.predicted,
        skipped=outcome.skipped,
        rejected=Counter((str(r.stage), r.error_class) for r in outcome.rejected),
        model_version=outcome.model_version,
        step_s=step_s,
        commit_s=commit_s,
    )


def _paced(decision: Decision) -> Paced:
    return Paced(
        limit_records=decision.limit,
        interval_s=decision.interval_s,
        behind=decision.behind,
        batch_s=decision.cost.fixed_s,
        record_s=decision.cost.record_s,
    )
