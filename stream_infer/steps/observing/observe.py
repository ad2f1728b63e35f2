"""What a scored batch looked like: an observation frame for each source partition and window in it.

Counted in columns, all groups of a batch at once. A window is a range of offsets and the sample a hash of
partition and offset, so how a stream was cut into batches, by whom and how fast changes nothing once the
frames of a window are merged. What is counted is in `layout`; judging it is the monitor's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stream_infer.avro.encode import Encoder
from stream_infer.drift.frames import Floats, FrameTables, Ints, Signals
from stream_infer.drift.reference import Reference
from stream_infer.flow.records import Batch, Output, Rejected
from stream_infer.models.frame_builder import Columns
from stream_infer.models.load import Model
from stream_infer.models.scores import Scores
from stream_infer.steps.observing.backlog import observations
from stream_infer.steps.observing.frame_record import columns_of
from stream_infer.steps.observing.layout import (
    HUGE,
    NO_SIGNALS,
    CategoryLayout,
    Layout,
    NumericLayout,
    make_layout,
)
from stream_infer.steps.rows import Rows, numbers_of


@dataclass(frozen=True, slots=True)
class ObserveSettings:
    """`window_offsets` offsets make a window, of which one row in 2 ** `sample_bits` is looked into.

    The defaults put about 200 sampled rows into a window. They belong to the pipeline: changed, windows under
    way are cut anew.
    """

    window_offsets: int = 1600
    sample_bits: int = 3


@dataclass(frozen=True, slots=True)
class ScoredRows:
    """A batch as it was scored.

    `columns` hold the rows `readable` of the batch, `scores` those of `readable[scored]`.
    """

    columns: Columns
    readable: Rows
    scored: Rows
    scores: Scores
    rejected: Sequence[Rejected]


@dataclass(frozen=True, slots=True)
class ObservedBatch:
    """The frames of a batch, as records. `failure` says why they have no summaries; None when they have."""

    output: Output
    failure: str | None


class Observe:
    """Makes the frames of scored batches. Keeps nothing but the layout of the serving model."""

    def __init__(
        self,
        pipeline: str,
        encoder: Encoder,
        reference: Callable[[Model], Reference | None],
        settings: ObserveSettings | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._encoder = encoder
        self._reference = reference
        self._settings = settings or ObserveSettings()
        self._laid: tuple[str, Layout] | None = None

    def __call__(self, batch: Batch, model: Model, seen: ScoredRows) -> ObservedBatch:
        """Return the frames of `batch`, one record each, all of one partition under one key."""
        frames, failure = self._frames(batch, model, seen)
        values = self._encoder.encode(columns_of(self._pipeline, frames)) if len(frames) else []
        return ObservedBatch(observations(self._pipeline, frames.sources, values), failure)

    def frames(self, batch: Batch, model: Model, seen: ScoredRows) -> FrameTables:
        """Return the frames of `batch`, in order of partition and window."""
        return self._frames(batch, model, seen)[0]

    def _frames(self, batch: Batch, model: Model, seen: ScoredRows) -> tuple[FrameTables, str | None]:
        groups = _groups(batch, self._settings.window_offsets) if len(batch) else _NO_GROUPS
        sampled = _sample(groups, seen.readable, self._settings.sample_bits)
        bad = np.asarray([reject.row for reject in seen.rejected], np.intp)
        signals, tables, failure = self._summaries(model, seen, groups, sampled)
        frames = FrameTables(
            version=model.manifest.version,
            digest=model.digest,
            sources=[batch.partitions[place] for place in groups.place.tolist()],
            heads={
                **groups.heads,
                "dead_letters": np.bincount(groups.of_row[bad], minlength=groups.count),
                "sampled": np.bincount(groups.of_row[seen.readable[sampled]], minlength=groups.count),
            },
            signals=signals,
            counts=tables.counts,
            moments=tables.moments,
            bins=tables.bins,
        )
        return frames, failure

    def _summaries(
        self, model: Model, seen: ScoredRows, groups: _Groups, sampled: Rows
    ) -> tuple[Signals, _Tables, str | None]:
        """Return the summaries of each group; none, and the reason, when they cannot be made."""
        try:
            of_model = self._layout(model)
            with np.errstate(over="ignore", invalid="ignore"):
                tables = _summed(of_model, seen, groups, sampled)
        except Exception as failure:  # noqa: BLE001 - monitoring can never stop scoring
            reason = f"scored rows cannot be summarised: {type(failure).__name__}: {failure}"
            return NO_SIGNALS, _Tables.empty(groups.count, NO_SIGNALS), reason
        return of_model.signals, tables, None

    def _layout(self, model: Model) -> Layout:
        if self._laid is None or self._laid[0] != model.digest:
            self._laid = model.digest, make_layout(model.manifest, self._reference(model))
        return self._laid[1]


@dataclass(frozen=True, slots=True)
class _Groups:
    """The (partition, window) pairs of a batch: which row is in which, and what is exact about each.

    `offset` and `index` are those of each row, `heads` the numbers of each group by their name in `Frame`.
    """

    of_row: Rows
    offset: Ints
    index: Ints
    place: Ints
    heads: Mapping[str, Ints]

    @property
    def count(self) -> int:
        return len(self.place)


_NOTHING = np.empty(0, np.int64)
_NO_GROUPS = _Groups(_NOTHING, _NOTHING, _NOTHING, _NOTHING, {})


def _groups(batch: Batch, window_offsets: int) -> _Groups:
    place = np.asarray(batch.partition, np.int64)
    offset = np.asarray(batch.offset, np.int64)
    times = np.asarray(batch.timestamp_ms, np.int64)
    if times.min() < 0:  # a record without a timestamp has -1
        times = np.where(times < 0, batch.received_ms, times)
    windows = offset // window_offsets
    # A group is a few runs of rows, mostly one.
    starts, sizes = _runs((place[1:] != place[:-1]) | (windows[1:] != windows[:-1]))
    least = windows.min()
    span = int(windows.max() - least) + 1
    keys, of_run = np.unique(place[starts] * span + (windows[starts] - least), return_inverse=True)
    window = (keys % span + least) * window_offsets
    first, first_time = (_joined(np.minimum, of, starts, of_run, len(keys)) for of in (offset, times))
    last, last_time = (_joined(np.maximum, of, starts, of_run, len(keys)) for of in (offset, times))
    return _Groups(
        np.repeat(of_run, sizes),
        offset,
        np.asarray([p.index for p in batch.partitions], np.int64)[place],
        keys // span,
        {
            "first_offset": first,
            "last_offset": last,
            "window_first_offset": window,
            "window_last_offset": window + window_offsets - 1,
            "first_time_ms": first_time,
            "last_time_ms": last_time,
            "records": np.bincount(of_run, sizes).astype(np.int64),
        },
    )


def _runs(changed: NDArray[np.bool_]) -> tuple[Rows, Rows]:
    """Return where each run of equal rows begins, and its size. `changed` is of each row after the first."""
    starts = np.concatenate([[0], np.flatnonzero(changed) + 1])
    return starts, np.diff(starts, append=len(changed) + 1)


def _joined(extreme: np.ufunc, numbers: Ints, starts: Rows, of_run: Rows, count: int) -> Ints:
    """Return the least or greatest number of each group, whose runs of rows begin at `starts`."""
    of_runs = extreme.reduceat(numbers, starts)
    found = np.empty(count, np.int64)
    found[of_run] = of_runs  # something of the group to begin with
    extreme.at(found, of_run, of_runs)
    return found


def _sample(groups: _Groups, readable: Rows, bits: int) -> Rows:
    """Return which of the readable rows are sampled: those whose hash begins with `bits` zeros.

    They are in order of groups. The hash is the finaliser of SplitMix64 over partition and offset.
    """
    mixed = numbers_of(groups.offset, readable).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed += numbers_of(groups.index, readable).astype(np.uint64) * np.uint64(0xD1B54A32D192ED03)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    sampled = np.flatnonzero((mixed >> np.uint64(64 - bits)) == 0) if bits else np.arange(len(readable))
    return sampled[np.argsort(groups.of_row[readable[sampled]], kind="stable")]


@dataclass(frozen=True, slots=True)
class _Tables:
    """The summaries of all groups, as in `FrameTables`; filled signal by signal."""

    counts: Ints
    moments: Floats
    bins: Ints

    @classmethod
    def empty(cls, groups: int, signals: Signals) -> _Tables:
        """Return tables in which nothing is counted yet."""
        shape = groups, len(signals)
        return cls(
            np.zeros((3, *shape), np.int64),
            np.zeros((4, *shape)),
            np.zeros((groups, sum(signals.widths)), np.int64),
        )


def _summed(of_model: Layout, seen: ScoredRows, groups: _Groups, sampled: Rows) -> _Tables:
    """Return the summaries of each group."""
    tables = _Tables.empty(groups.count, of_model.signals)
    group = numbers_of(groups.of_row, seen.readable)
    where = group[sampled]
    columns = [seen.columns[source] for source in of_model.features.sources]
    matrix = np.empty((len(columns), len(sampled)))
    for row, column in enumerate(columns):
        _exact(column, group, tables.counts[:, :, row])
        _pick(column, sampled, matrix[row])
    at = _Place(0, 0)
    at = _numbers(of_model.features, matrix, where, tables, at)
    for text in of_model.texts:
        column = seen.columns[text.source]
        _exact(column, group, tables.counts[:, :, at.signal])
        at = _categories(text, column.take(pa.array(sampled)), where, tables, at)
    _outputs(of_model, seen, where, sampled, tables, at)
    return tables


class _Place(NamedTuple):
    """Where the next signal goes: its number, and the first of its bins."""

    signal: int
    bin: int


def _outputs(
    of_model: Layout, seen: ScoredRows, where: Rows, sampled: Rows, tables: _Tables, at: _Place
) -> None:
    rows = sampled
    if len(seen.scored) < len(seen.readable):
        number = np.full(len(seen.readable), -1)
        number[seen.scored] = np.arange(len(seen.scored))
        rows = number[sampled]
        where, rows = where[rows >= 0], rows[rows >= 0]
    answers = [getattr(seen.scores, source) for source in of_model.outputs.sources]
    if any(answer is None for answer in answers):  # no row was scored
        answers, where, rows = [np.empty(0)] * len(answers), where[:0], rows[:0]
    matrix = np.array([answer[rows] for answer in answers]).reshape(len(answers), len(rows))
    at = _numbers(of_model.outputs, matrix, where, tables, at)
    if of_model.label is not None:
        _categories(of_model.label, _labels(of_model.classes, seen.scores, rows), where, tables, at)


def _labels(classes: pa.Array, scores: Scores, rows: Rows) -> pa.Array:
    """Return the labels of `rows`, of which there are none where nothing was scored."""
    if scores.winner is not None:
        return classes.take(pa.array(scores.winner[rows]))
    return pa.array([] if scores.label is None else scores.label[rows], pa.string())


def _pick(column: pa.Array, rows: Rows, into: Floats) -> None:
    """Write `rows` of a column of numbers into `into`; a null is NaN there."""
    if column.type == pa.float64() and not column.null_count:
        np.take(column.to_numpy(), rows, out=into, mode="clip")  # the mode that needs no copy
        return
    taken = column.take(pa.array(rows))
    values = taken.cast(pa.float64(), safe=False) if column.type != pa.float64() else taken
    into[:] = values.to_numpy(zero_copy_only=False)


def _exact(column: pa.Array, group: Rows, counts: Ints) -> None:
    """Count nulls and non-finite values of every row into `counts` (what, groups)."""
    if column.null_count:
        missing = column.is_null().to_numpy(zero_copy_only=False)
        counts[_NULLS] = np.bincount(group[missing], minlength=counts.shape[1])
    if pa.types.is_floating(column.type):
        values = (column.fill_null(0) if column.null_count else column).to_numpy()
        if not _all_tame(values):
            counts[_NON_FINITE] = np.bincount(group[~_tame(values)], minlength=counts.shape[1])


_NULLS, _NON_FINITE = 1, 2


def _all_tame(values: NDArray[np.floating]) -> bool:
    """Return whether surely no value is wild: one pass in place of three, for nearly every column."""
    if values.dtype != np.float64:
        return bool(np.isfinite(values).all())
    return bool(np.dot(values, values) < HUGE)


def _tame(values: NDArray[np.floating]) -> NDArray[np.bool_]:
    # A comparison is also False for NaN; a narrower float cannot hold what is too large.
    tame: NDArray[np.bool_] = np.abs(values) < HUGE if values.dtype == np.float64 else np.isfinite(values)
    return tame


def _numbers(of_model: NumericLayout, matrix: Floats, group: Rows, tables: _Tables, at: _Place) -> _Place:
    """Count columns of numbers. `matrix` is (columns, sampled rows), `group` ascending.

    Returns where the next signal goes.
    """
    columns, bins = len(of_model.names), sum(of_model.bins)
    good = np.abs(matrix) < HUGE  # also False for NaN
    mine = slice(at.signal, at.signal + columns)
    if len(group) and columns:
        _moments(of_model, matrix, good, group, tables.counts[0, :, mine], tables.moments[:, :, mine])
        tables.bins[:, at.bin : at.bin + bins] = _bins(of_model, matrix, good, group, len(tables.bins))
    return _Place(at.signal + columns, at.bin + bins)


def _moments(
    of_model: NumericLayout,
    matrix: Floats,
    good: NDArray[np.bool_],
    group: Rows,
    counts: Ints,
    moments: Floats,
) -> None:
    """Write count (groups, columns), mean, m2, least and greatest (what, groups, columns)."""
    starts, sizes = _runs(group[1:] != group[:-1])
    there = group[starts]
    whole = bool(good.all())
    cut = np.clip(matrix, of_model.least[:, None], of_model.most[:, None])
    number = (
        np.broadcast_to(sizes, (len(matrix), len(there)))
        if whole
        else np.add.reduceat(good, starts, axis=1, dtype=np.int64)
    )
    if not whole:
        cut[~good] = 0.0
    mean = np.add.reduceat(cut, starts, axis=1) / np.maximum(number, 1)
    cut -= np.repeat(mean, sizes, axis=1)
    if not whole:
        cut[~good] = 0.0
    m2 = np.add.reduceat(np.square(cut, out=cut), starts, axis=1)
    low = np.minimum.reduceat(matrix if whole else np.where(good, matrix, np.inf), starts, axis=1)
    high = np.maximum.reduceat(matrix if whole else np.where(good, matrix, -np.inf), starts, axis=1)
    some = number > 0
    counts[there] = number.T
    for what, values in enumerate((mean, m2, np.where(some, low, 0.0), np.where(some, high, 0.0))):
        moments[what, there] = values.T


def _bins(of_model: NumericLayout, matrix: Floats, good: NDArray[np.bool_], group: Rows, count: int) -> Ints:
    """Return counts (groups, bins): of each column below the edges, in each bin, above.

    The last bin is closed.
    """
    columns, edges = of_model.edges.shape
    width = edges + 1
    # A comparison with every edge beats a search for each column: one call for all of them. Counted in bytes.
    place = np.zeros(matrix.shape, np.int8 if edges < _BYTE else np.int64)
    above = np.empty(matrix.shape, np.bool_)
    for edge in range(edges):
        np.greater_equal(matrix, of_model.edges[:, edge, None], out=above)
        place += above
    place -= matrix == of_model.last[:, None]
    cell = place + (group * (columns * width) + (np.arange(columns) * width)[:, None])
    inside = cell.ravel() if good.all() else cell[good]
    counts = np.bincount(inside, minlength=count * columns * width).reshape(count, columns, width)
    return counts[:, np.arange(width) < np.asarray(of_model.bins)[:, None]]


_BYTE = 127


def _categories(
    of_model: CategoryLayout, column: pa.Array, group: Rows, tables: _Tables, at: _Place
) -> _Place:
    """Count a column of text; return where the next signal goes."""
    count = len(tables.bins)
    there = column.is_valid().to_numpy(zero_copy_only=False)
    tables.counts[0, :, at.signal] = np.bincount(group[there], minlength=count)
    if of_model.known is None:
        return _Place(at.signal + 1, at.bin)
    _, _, width = of_model.signal
    found = pc.index_in(column, value_set=of_model.known).fill_null(width - 1).to_numpy()
    bins = np.bincount((group * width + found)[there], minlength=count * width).reshape(count, width)
    tables.bins[:, at.bin : at.bin + width] = bins
    return _Place(at.signal + 1, at.bin + width)
