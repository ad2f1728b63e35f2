"""The step of the online role: a batch of events to predictions and dead letters, one answer for each record.

Reads no clock and does no I/O: bytes in, bytes out. What a model may answer and what happens to values it
cannot take is in `infer`; what is inside a prediction is in `prediction`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import chain, compress
from operator import itemgetter

import numpy as np
import pyarrow as pa

from stream_infer.avro.encode import Encoder
from stream_infer.flow.codes import DeadLetterClass
from stream_infer.flow.records import Batch, Channel, Headers, Outcome, Output, Rejected, Stage
from stream_infer.models.active import ActiveModel, ServingModel
from stream_infer.models.frame_builder import Columns
from stream_infer.models.load import Model
from stream_infer.steps.observing.observe import Observe
from stream_infer.steps.observing.scored import ScoredRows
from stream_infer.steps.options import Partitioning, Tombstones
from stream_infer.steps.rows import Rows, cells_of, numbers_of
from stream_infer.steps.scoring.activation import Announced, Announcer
from stream_infer.steps.scoring.deadletter import DeadLetterContext, dead_letters
from stream_infer.steps.scoring.infer import Inferred, infer, move_rows
from stream_infer.steps.scoring.isolate import Budget, Streak
from stream_infer.steps.scoring.plan import ScoringPlan
from stream_infer.steps.scoring.prediction import prediction_columns
from stream_infer.steps.scoring.size import longest_headers_bytes, record_bytes

TRACE_HEADERS = frozenset({"traceparent", "tracestate", "baggage"})
"""What a prediction takes over from its event's headers (W3C trace context and baggage)."""


@dataclass(frozen=True, slots=True)
class ScoreSettings:
    """What a pipeline wants. The limits are the most bytes that each topic takes as one record."""

    pipeline: str
    group_id: str
    tombstones: Tombstones = Tombstones.DEAD_LETTER
    partitioning: Partitioning = Partitioning.SOURCE
    prediction_limit_bytes: int = 1_000_000
    dead_letter_limit_bytes: int = 1_000_000


@dataclass(frozen=True, slots=True)
class _Predictions:
    """The predictions of a batch as an output, and rows whose prediction no topic would take."""

    output: Output
    rejected: Sequence[Rejected]


@dataclass(frozen=True, slots=True)
class _State:
    """What one batch leaves for the next: how long the model has been raising, and what was announced."""

    streak: Streak = field(default_factory=Streak)
    announced: Announced | None = None


class Score:
    """A `Step`. Which model serves is read once per batch, so a model is replaced between two batches.

    `plan` makes the plan of a model when it first serves. `budget` is called once per batch, so that a
    deadline in it begins with the batch. With an `announcer` the outcome announces a new model or assignment;
    with `observe` it has observation frames. The state is small (`_State`), and `forget` takes it back to
    that of the last committed outcome.
    """

    def __init__(
        self,
        active: ActiveModel,
        plan: Callable[[Model], ScoringPlan],
        encoder: Encoder,
        settings: ScoreSettings,
        *,
        budget: Callable[[], Budget] = Budget,
        announcer: Announcer | None = None,
        observe: Observe | None = None,
    ) -> None:
        self._active = active
        self._plan = plan
        self._encoder = encoder
        self._settings = settings
        self._budget = budget
        self._announcer = announcer
        self._observe = observe
        self._head = DeadLetterContext(settings.group_id, settings.dead_letter_limit_bytes)
        self._planned: tuple[str, ScoringPlan] | None = None
        self._committed = _State()
        self._state = _State()

    def __call__(self, batch: Batch) -> Outcome:
        """Answer each record of `batch`.

        1. take the model that serves, and its plan; 2. leave tombstones out, where they are skipped; 3.
        decode; 4. infer; 5. encode predictions; 6. write a dead letter for each row turned away on the
        way; 7. announce the model, if it is new here; 8. summarise what was seen, where it is observed.
        """
        self._committed = self._state  # called again, so the last outcome was committed
        budget = self._budget()
        serving = self._active.current
        model = serving.model
        plan = self._plan_of(model)

        present = self._present(batch)
        decoded = plan.decoder.decode(cells_of(batch.values, present), cells_of(batch.headers, present))
        readable = present[_index(decoded.rows)]
        inferred = infer(model, decoded.columns, budget)
        streak = self._committed.streak.after(
            model.digest, answered=inferred.answered, raised=inferred.raised
        )
        rejected = [*move_rows(decoded.rejected, present), *move_rows(inferred.rejected, readable)]

        rows = readable[inferred.rows]
        predictions = self._predictions(batch, rows, decoded.columns, inferred, model, plan)
        rejected += predictions.rejected
        rejected.sort(key=lambda reject: reject.row)
        letters = dead_letters(batch, rejected, self._head, model_version=model.manifest.version)
        announced, announcement = self._announce(batch, serving)
        self._state = _State(streak, announced)
        outputs = [predictions.output, letters, *announcement]
        degraded: tuple[str, ...] = ()
        if self._observe is not None:
            seen = ScoredRows(decoded.columns, readable, inferred.rows, inferred.scores, rejected)
            observed = self._observe(batch, model, seen)
            outputs.append(observed.output)
            degraded = () if observed.failure is None else (observed.failure,)
        return Outcome(
            cursor=batch.cursor,
            outputs=[output for output in outputs if len(output)],
            predicted=len(predictions.output),
            rejected=rejected,
            skipped=len(batch) - len(present),
            model_version=model.manifest.version,
            degraded=degraded,
        )

    def forget(self) -> None:
        self._state = self._committed

    def _announce(self, batch: Batch, serving: ServingModel) -> tuple[Announced | None, Sequence[Output]]:
        if self._announcer is None:
            return None, ()
        announced, output = self._announcer.announce(batch, serving, self._committed.announced)
        return announced, () if output is None else (output,)

    def _plan_of(self, model: Model) -> ScoringPlan:
        if self._planned is None or self._planned[0] != model.digest:
            self._planned = model.digest, self._plan(model)
        return self._planned[1]

    def _present(self, batch: Batch) -> Rows:
        """Return the rows to answer: all, or all that have a value."""
        if self._settings.tombstones is Tombstones.SKIP and None in batch.values:
            return np.asarray([row for row, value in enumerate(batch.values) if value is not None], np.intp)
        return np.arange(len(batch), dtype=np.intp)

    def _predictions(
        self, batch: Batch, rows: Rows, columns: Columns, inferred: Inferred, model: Model, plan: ScoringPlan
    ) -> _Predictions:
        if not len(rows):
            return _Predictions(Output(Channel.PREDICTIONS, [], [], [], []), [])
        values = self._encoder.encode(
            prediction_columns(
                batch,
                rows,
                _rows_of(columns, inferred.rows, plan),
                inferred.scores,
                model=model,
                plan=plan,
                pipeline=self._settings.pipeline,
            )
        )
        output = Output(
            channel=Channel.PREDICTIONS,
            rows=range(len(batch)) if len(rows) == len(batch) else rows.tolist(),
            keys=cells_of(batch.keys, rows),
            values=values,
            headers=_trace_headers(cells_of(batch.headers, rows)),
            partitions=self._partitions(batch, rows),
        )
        return _within(output, self._settings.prediction_limit_bytes)

    def _partitions(self, batch: Batch, rows: Rows) -> Sequence[int] | None:
        if self._settings.partitioning is Partitioning.KEY:
            return None
        indexes = np.asarray([source.index for source in batch.partitions])
        places: list[int] = indexes[numbers_of(np.asarray(batch.partition), rows)].tolist()
        return places


def _index(rows: Sequence[int]) -> Rows:
    # The decoder's rows are a range when all is well, which numpy would walk through in Python.
    if isinstance(rows, range):
        return np.arange(rows.start, rows.stop, rows.step, dtype=np.intp)
    return np.asarray(rows, dtype=np.intp)


def _rows_of(columns: Columns, rows: Rows, plan: ScoringPlan) -> Columns:
    """Return the fields that a prediction takes from the event, as they came: nothing imputed."""
    paths = {*plan.copy, *([plan.event_time.path] if plan.event_time else [])}
    wanted = {path: columns[path] for path in paths}
    if all(len(column) == len(rows) for column in wanted.values()):
        return wanted
    taken = pa.array(rows)
    return {path: column.take(taken) for path, column in wanted.items()}


def _trace_headers(headers: Sequence[Headers | None]) -> Sequence[Headers | None]:
    if not any(headers):  # most batches
        return [None] * len(headers)
    if TRACE_HEADERS.issuperset(map(itemgetter(0), chain.from_iterable(filter(None, headers)))):
        return headers  # most of the others
    return [
        tuple(header for header in of_row or () if header[0] in TRACE_HEADERS) or None for of_row in headers
    ]


def _longest(output: Output) -> int:
    """Return the size of a record made of the longest key, value and headers."""
    longest = (max(map(len, filter(None, cells)), default=0) for cells in (output.keys, output.values))
    return record_bytes(None, None, ()) + sum(longest) + longest_headers_bytes(output.headers)


def _within(output: Output, limit_bytes: int) -> _Predictions:
    """Take predictions over the limit out of `output`: a broker would refuse the whole batch for one."""
    if _longest(output) <= limit_bytes:  # most batches
        return _Predictions(output, [])
    fits = [
        record_bytes(key, value, headers or ()) <= limit_bytes
        for key, value, headers in zip(output.keys, output.values, output.headers, strict=True)
    ]
    if all(fits):
        return _Predictions(output, [])
    message = f"the prediction is over the {limit_bytes} bytes that its topic takes"
    return _Predictions(
        Output(
            channel=output.channel,
            rows=list(compress(output.rows, fits)),
            keys=list(compress(output.keys, fits)),
            values=list(compress(output.values, fits)),
            headers=list(compress(output.headers, fits)),
            partitions=None if output.partitions is None else list(compress(output.partitions, fits)),
        ),
        [
            Rejected(row, Stage.ENCODE, DeadLetterClass.TOO_LARGE, message)
            for row, fit in zip(output.rows, fits, strict=True)
            if not fit
        ],
    )
