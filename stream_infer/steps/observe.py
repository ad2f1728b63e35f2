"""What a scored batch looked like: an observation frame for each source partition and window in it.

Counted in columns, all groups of a batch at once. A window is a range of offsets and the sample a hash of
partition and offset, so how a stream was cut into batches, by whom and how fast changes nothing once the
frames of a window are merged. What is counted is in `layout`; judging it is the monitor's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stream_infer.avro.encode import Encoder
from stream_infer.drift.frames import Frame, Summary
from stream_infer.drift.reference import Reference
from stream_infer.flow.records import Batch, Output, Rejected
from stream_infer.models.container import Columns
from stream_infer.models.load import Model
from stream_infer.models.scores import Scores
from stream_infer.steps.backlog import frame_output
from stream_infer.steps.layout import HUGE, Categories, Layout, Numbers, layout

Rows = NDArray[np.intp]
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ObserveSettings:
    """`window_offsets` offsets make a window, of which one row in 2 ** `sample_bits` is looked into.

    The defaults put about 200 sampled rows into a window. They belong to the pipeline: changed, windows under
    way are cut anew.
    """

    window_offsets: int = 1600
    sample_bits: int = 3


@dataclass(frozen=True, slots=True)
class Seen:
    """A batch as it was scored.

    `columns` hold the rows `readable` of the batch, `scores` those of `readable[scored]`.
    """

    columns: Columns
    readable: Rows
    scored: Rows
    scores: Scores
    rejected: Sequence[Rejected]


class Observe:
    """Makes the frames of scored batches. Keeps nothing but the layout of the model that serves."""

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
        self.failure: str | None = None
        """Why the last batch has no summaries, for people; None when it has."""

    def __call__(self, batch: Batch, model: Model, seen: Seen) -> Output:
        """Return the frames of `batch`, one record each, all of one partition under one key."""
        return frame_output(self._pipeline, self.frames(batch, model, seen), self._encoder)

    def frames(self, batch: Batch, model: Model, seen: Seen) -> Sequence[Frame]:
        """Return the frames of `batch`, in order of partition and window."""
        if not len(batch):
            return ()
        groups = _groups(batch, self._settings.window_offsets)
        sampled = _sample(groups, seen.readable, self._settings.sample_bits)
        signals = self._signals(model, seen, groups, sampled)
        chosen = np.bincount(groups.of_row[seen.readable[sampled]], minlength=groups.count)
        bad = np.asarray([reject.row for reject in seen.rejected], np.intp)
        dead = np.bincount(groups.of_row[bad], minlength=groups.count)
        version, window = model.manifest.version, self._settings.window_offsets
        return [
            Frame(
                version=version,
                digest=model.digest,
                source=batch.partitions[groups.place[g]],
                first_offset=int(groups.first[g]),
                last_offset=int(groups.last[g]),
                window_first_offset=int(groups.window[g]) * window,
                window_last_offset=int(groups.window[g]) * window + window - 1,
                first_time_ms=int(groups.first_time[g]),
                last_time_ms=int(groups.last_time[g]),
                records=int(groups.records[g]),
                dead_letters=int(dead[g]),
                sampled=int(chosen[g]),
                signals=signals[g],
            )
            for g in range(groups.count)
        ]

    def _signals(
        self, model: Model, seen: Seen, groups: _Groups, sampled: Rows
    ) -> Sequence[tuple[Summary, ...]]:
        """Return the summaries of each group, none when they cannot be made: counting still goes on."""
        try:
            signals = _signals(self._layout(model), seen, groups, sampled)
        except Exception as failure:  # noqa: BLE001 - monitoring can never stop scoring
            self.failure = f"what was scored cannot be summarised: {type(failure).__name__}: {failure}"
            return [()] * groups.count
        self.failure = None
        return signals

    def _layout(self, model: Model) -> Layout:
        if self._laid is None or self._laid[0] != model.digest:
            self._laid = model.digest, layout(model.manifest, self._reference(model))
        return self._laid[1]


@dataclass(frozen=True, slots=True)
class _Groups:
    """The (partition, window) pairs of a batch: which row is in which, and what is exact about each.

    `offset` and `index` are those of each row.
    """

    count: int
    of_row: Rows
    offset: Ints
    index: Ints
    place: Ints
    window: Ints
    records: Ints
    first: Ints
    last: Ints
    first_time: Ints
    last_time: Ints


def _groups(batch: Batch, window_offsets: int) -> _Groups:
    place = np.asarray(batch.partition, np.int64)
    offset = np.asarray(batch.offset, np.int64)
    times = np.asarray(batch.timestamp_ms, np.int64)
    if times.min() < 0:  # a record without a timestamp has -1
        times = np.where(times < 0, batch.received_ms, times)
    windows = offset // window_offsets
    least = windows.min()
    span = int(windows.max() - least) + 1
    dense = np.bincount(place * span + (windows - least), minlength=len(batch.partitions) * span)
    keys = np.flatnonzero(dense)
    rank = np.empty(len(dense), np.intp)
    rank[keys] = np.arange(len(keys))
    of_row = rank[place * span + (windows - least)]
    order = np.argsort(of_row, kind="stable")
    starts = np.concatenate([[0], np.cumsum(dense[keys])[:-1]])
    return _Groups(
        len(keys),
        of_row,
        offset,
        np.asarray([p.index for p in batch.partitions], np.int64)[place],
        keys // span,
        keys % span + least,
        dense[keys],
        np.minimum.reduceat(offset[order], starts),
        np.maximum.reduceat(offset[order], starts),
        np.minimum.reduceat(times[order], starts),
        np.maximum.reduceat(times[order], starts),
    )


def _sample(groups: _Groups, readable: Rows, bits: int) -> Rows:
    """Return which of the readable rows are sampled: those whose hash begins with `bits` zeros.

    The hash is the finaliser of SplitMix64 over partition and offset.
    """
    if not bits:
        return np.arange(len(readable), dtype=np.intp)
    mixed = groups.offset[readable].astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed += groups.index[readable].astype(np.uint64) * np.uint64(0xD1B54A32D192ED03)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return np.flatnonzero((mixed >> np.uint64(64 - bits)) == 0)


def _signals(of_model: Layout, seen: Seen, groups: _Groups, sampled: Rows) -> Sequence[tuple[Summary, ...]]:
    """Return the summaries of each group."""
    group = groups.of_row[seen.readable]
    taken = pa.array(sampled)
    of_feature = [seen.columns[source] for source in of_model.features.sources]
    matrix = _matrix([column.take(taken) for column in of_feature], len(sampled))
    exact = [_exact(column, group, groups.count) for column in of_feature]
    columns = list(_numbers(of_model.features, matrix, group[sampled], exact, groups.count))
    for text in of_model.texts:
        column = seen.columns[text.source]
        nulls, _ = _exact(column, group, groups.count)
        columns.append(_categories(text, column.take(taken), group[sampled], nulls, groups.count))
    columns += _outputs(of_model, seen, group, sampled, groups.count)
    return list(zip(*columns, strict=True)) if columns else [()] * groups.count


def _outputs(
    of_model: Layout, seen: Seen, group: Rows, sampled: Rows, count: int
) -> Iterator[Sequence[Summary]]:
    is_sampled = np.zeros(len(seen.readable), np.bool_)
    is_sampled[sampled] = True
    rows = np.flatnonzero(is_sampled[seen.scored])
    where = group[seen.scored[rows]]
    zeros = np.zeros(count, np.int64)
    answers: list[Floats] = [
        np.empty(0) if column is None else column[rows]
        for column in (getattr(seen.scores, source) for source in of_model.outputs.sources)
    ]
    if answers:
        width = len(rows) if all(len(answer) for answer in answers) else 0
        matrix = np.array([answer[:width] for answer in answers]).reshape(len(answers), width)
        yield from _numbers(of_model.outputs, matrix, where[:width], [(zeros, zeros)] * len(answers), count)
    if of_model.label is not None:
        said = np.empty(0, np.object_) if seen.scores.label is None else seen.scores.label[rows]
        yield _categories(of_model.label, pa.array(said, pa.string()), where[: len(said)], zeros, count)


def _matrix(columns: Sequence[pa.Array], width: int) -> Floats:
    matrix = np.empty((len(columns), width))
    for row, column in enumerate(columns):
        values = column.cast(pa.float64(), safe=False) if column.type != pa.float64() else column
        matrix[row] = values.to_numpy(zero_copy_only=False)  # a null is NaN here
    return matrix


def _exact(column: pa.Array, group: Rows, count: int) -> tuple[Ints, Ints]:
    """Return nulls and non-finite values of each group, of every row; one look when there are none."""
    nulls = wild = np.zeros(count, np.int64)
    if column.null_count:
        missing = column.is_null().to_numpy(zero_copy_only=False)
        nulls = np.bincount(group[missing], minlength=count)
    if pa.types.is_floating(column.type):
        values = (column.fill_null(0) if column.null_count else column).to_numpy()
        # A comparison is also False for NaN; a narrower float cannot hold what is too large.
        tame = np.abs(values) < HUGE if values.dtype == np.float64 else np.isfinite(values)
        if not tame.all():
            wild = np.bincount(group[~tame], minlength=count)
    return nulls, wild


def _numbers(
    of_model: Numbers,
    matrix: Floats,
    group: Rows,
    exact: Sequence[tuple[Ints, Ints]],
    count: int,
) -> Iterator[Sequence[Summary]]:
    """Yield the summaries of each column, one per group. `matrix` is (columns, sampled rows)."""
    moments = _moments(of_model, matrix, group, count)
    bins = _bins(of_model, matrix, group, count)
    for row, name in enumerate(of_model.names):
        nulls, wild = exact[row]
        width = of_model.bins[row]
        cells = zip(
            nulls.tolist(), wild.tolist(), moments[row].tolist(), bins[row, :, :width].tolist(), strict=True
        )
        yield [
            Summary(name, of_model.kind, int(n), missing, other, mean, m2, low, high, tuple(of_bin))
            for missing, other, (n, mean, m2, low, high), of_bin in cells
        ]


def _moments(of_model: Numbers, matrix: Floats, group: Rows, count: int) -> Floats:
    """Return count, mean, m2, least and greatest: (columns, groups, 5)."""
    moments = np.zeros((len(matrix), count, 5))
    sizes = np.bincount(group, minlength=count)
    there = np.flatnonzero(sizes)
    if not len(there) or not len(matrix):
        return moments
    matrix = matrix[:, np.argsort(group, kind="stable")]
    starts = np.concatenate([[0], np.cumsum(sizes[there])[:-1]])
    good = np.abs(matrix) < HUGE  # also False for NaN
    whole = bool(good.all())
    cut = np.clip(matrix, of_model.least[:, None], of_model.most[:, None])
    counts = (
        np.broadcast_to(sizes[there], (len(matrix), len(there)))
        if whole
        else np.add.reduceat(good, starts, axis=1, dtype=np.int64)
    )
    if not whole:
        cut[~good] = 0.0
    mean = np.add.reduceat(cut, starts, axis=1) / np.maximum(counts, 1)
    cut -= np.repeat(mean, sizes[there], axis=1)
    if not whole:
        cut[~good] = 0.0
    m2 = np.add.reduceat(np.square(cut, out=cut), starts, axis=1)
    low = np.minimum.reduceat(matrix if whole else np.where(good, matrix, np.inf), starts, axis=1)
    high = np.maximum.reduceat(matrix if whole else np.where(good, matrix, -np.inf), starts, axis=1)
    some = counts > 0
    moments[:, there] = np.stack(
        [counts, mean, m2, np.where(some, low, 0.0), np.where(some, high, 0.0)], axis=-1
    )
    return moments


def _bins(of_model: Numbers, matrix: Floats, group: Rows, count: int) -> Ints:
    """Return counts (columns, groups, bins): below the edges, in each bin, above; the last bin is closed."""
    columns, edges = of_model.edges.shape
    width = edges + 1
    # A comparison with every edge beats a search for each column: one call for all of them.
    place = np.zeros(matrix.shape, np.int64)
    for edge in range(edges):
        place += matrix >= of_model.edges[:, edge, None]
    place -= matrix == of_model.last[:, None]
    place += group * width + (np.arange(columns) * (count * width))[:, None]
    good = np.abs(matrix) < HUGE
    inside = place.ravel() if good.all() else place[good]
    return np.bincount(inside, minlength=columns * count * width).reshape(columns, count, width)


def _categories(
    of_model: Categories, column: pa.Array, group: Rows, nulls: Ints, count: int
) -> Sequence[Summary]:
    there = column.is_valid().to_numpy(zero_copy_only=False)
    counts = np.bincount(group[there], minlength=count)
    bins = None
    if of_model.known is not None:
        width = len(of_model.known) + 1
        found = pc.index_in(column, value_set=of_model.known).fill_null(width - 1).to_numpy()
        bins = np.bincount((group * width + found)[there], minlength=count * width).reshape(count, width)
    return [
        Summary(
            of_model.name,
            of_model.kind,
            int(counts[g]),
            int(nulls[g]),
            bins=() if bins is None else tuple(bins[g].tolist()),
        )
        for g in range(count)
    ]
