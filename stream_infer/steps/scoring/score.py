"""The step of the online role: a batch of events to predictions and dead letters, one answer for each record.

Reads no clock and does no I/O: bytes in, bytes out. `infer` asks the model, `prediction_output` and
`deadletter` write the answers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from stream_infer.avro.decode import Decoded
from stream_infer.avro.encode import Encoder
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.flow.records import Batch, Outcome, Output, Rejected, Stage
from stream_infer.models.active import ActiveModel, ServingModel
from stream_infer.models.load import Model
from stream_infer.steps.observing.observe import Observe
from stream_infer.steps.observing.scored import ScoredRows
from stream_infer.steps.options import Partitioning, Tombstones
from stream_infer.steps.rows import Rows, cells_of
from stream_infer.steps.scoring.activation import Announced, Announcer
from stream_infer.steps.scoring.deadletter import DeadLetterContext, dead_letters
from stream_infer.steps.scoring.infer import Inferred, infer, move_rows
from stream_infer.steps.scoring.isolate import Expired, untimed
from stream_infer.steps.scoring.plan import ScoringPlan
from stream_infer.steps.scoring.prediction_output import PredictionWriter, within
from stream_infer.steps.scoring.size import RecordLimits


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """The choices of a pipeline, and the limits of its topics, which are asked once per batch."""

    pipeline: str
    group_id: str
    tombstones: Tombstones = Tombstones.DEAD_LETTER
    partitioning: Partitioning = Partitioning.SOURCE
    limits: Callable[[], RecordLimits] = RecordLimits


class Score:
    """A `Step`. The serving model is read once per batch, so a model is replaced between two batches.

    `plan` makes the plan of a model when it first serves. `deadline` is called once per batch, so that it
    begins with the batch. With an `announcer` the outcome announces a new model or assignment; with `observe`
    it has observation frames. The state is the last announcement, and `forget` takes it back to that of the
    last committed outcome.
    """

    def __init__(
        self,
        active: ActiveModel,
        plan: Callable[[Model], ScoringPlan],
        encoder: Encoder,
        settings: ScoreSettings,
        *,
        deadline: Callable[[], Expired] = lambda: untimed,
        announcer: Announcer | None = None,
        observe: Observe | None = None,
    ) -> None:
        self._active = active
        self._make_plan = plan
        self._skips_tombstones = settings.tombstones is Tombstones.SKIP
        self._deadline = deadline
        self._announcer = announcer
        self._observe = observe
        self._predictions = PredictionWriter(
            settings.pipeline,
            encoder,
            partitioning=settings.partitioning,
        )
        self._group_id = settings.group_id
        self._limits = settings.limits
        self._plan: tuple[str, ScoringPlan] | None = None
        self._committed: Announced | None = None
        self._announced: Announced | None = None

    def __call__(self, batch: Batch) -> Outcome:
        """Answer each record of `batch`.

        1. take the serving model and its plan; 2. leave tombstones out, where they are skipped; 3. decode;
        4. infer; 5. encode predictions; 6. write a dead letter for each rejected row; 7. announce the model,
        if it is new here; 8. summarise the scored rows, where they are observed.
        """
        self._committed = self._announced  # called again, so the last outcome was committed
        expired, limits = self._deadline(), self._limits()
        serving = self._active.current
        model, version = serving.model, serving.model.manifest.version
        plan = self._plan_of(model)
        present = self._present(batch)
        skipped, unreadable = len(batch) - len(present), _unreadable(batch, present)
        present = np.setdiff1d(present, [one.row for one in unreadable]) if unreadable else present
        decoded = plan.decoder.decode(cells_of(batch.values, present), cells_of(batch.headers, present))
        readable = present[_as_rows(decoded.rows)]
        inferred = infer(model, decoded.columns, expired)
        written = within(
            self._predictions.write(batch, readable[inferred.rows], decoded.columns, inferred, model, plan),
            limits.predictions,
        )
        rejected = [
            *unreadable,
            *move_rows(decoded.rejected, present),
            *move_rows(inferred.rejected, readable),
            *written.rejected,
        ]
        rejected.sort(key=lambda reject: reject.row)
        context = DeadLetterContext(self._group_id, limits.dead_letters)
        letters = dead_letters(batch, rejected, context, model_version=version)
        self._announced, announcement = self._announce(batch, serving)
        observations, degraded = self._observed(batch, model, decoded, readable, inferred, rejected)
        outputs = [written.output, letters, *announcement, *observations]
        return Outcome(
            cursor=batch.cursor,
            outputs=[output for output in outputs if len(output)],
            predicted=len(written.output),
            rejected=rejected,
            skipped=skipped,
            model_version=version,
            degraded=degraded,
        )

    def forget(self) -> None:
        self._announced = self._committed

    def _announce(self, batch: Batch, serving: ServingModel) -> tuple[Announced | None, Sequence[Output]]:
        if self._announcer is None:
            return None, ()
        announced, output = self._announcer.announce(batch, serving, self._committed)
        return announced, () if output is None else (output,)

    def _observed(
        self,
        batch: Batch,
        model: Model,
        decoded: Decoded,
        readable: Rows,
        inferred: Inferred,
        rejected: Sequence[Rejected],
    ) -> tuple[Sequence[Output], tuple[str, ...]]:
        """Return the observation frames of `batch`, and the reason why they have no summaries, if any."""
        if self._observe is None:
            return (), ()
        scored = ScoredRows(decoded.columns, readable, inferred.rows, inferred.scores, rejected)
        observed = self._observe(batch, model, scored)
        return (observed.output,), () if observed.failure is None else (observed.failure,)

    def _plan_of(self, model: Model) -> ScoringPlan:
        if self._plan is None or self._plan[0] != model.digest:
            self._plan = model.digest, self._make_plan(model)
        return self._plan[1]

    def _present(self, batch: Batch) -> Rows:
        """Return the rows to answer: all, or all that have a value."""
        if self._skips_tombstones and None in batch.values:
            return np.asarray([row for row, value in enumerate(batch.values) if value is not None], np.intp)
        return np.arange(len(batch), dtype=np.intp)


def _unreadable(batch: Batch, present: Rows) -> list[Rejected]:
    """Return a reject for each present row whose headers cannot be decoded; nearly always none."""
    if not batch.unreadable_headers:
        return []
    message = "A header name is not UTF-8; the headers are left out."
    rows = sorted(set(batch.unreadable_headers).intersection(present.tolist()))
    return [Rejected(row, Stage.DECODE, DeadLetterClass.INVALID_HEADERS, message) for row in rows]


def _as_rows(rows: Sequence[int]) -> Rows:
    # The decoder's rows are a range when all is well, which numpy would walk through in Python.
    if isinstance(rows, range):
        return np.arange(rows.start, rows.stop, rows.step, dtype=np.intp)
    return np.asarray(rows, dtype=np.intp)
