"""The groups of a batch: its rows by source partition and window of offsets, and the sample of rows.

The sample is a hash of partition and offset, so it does not depend on how a stream was cut into batches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_infer.drift.frames import Ints
from stream_infer.flow.records import Batch
from stream_infer.steps.rows import Rows, numbers_of


@dataclass(frozen=True, slots=True)
class RowGroups:
    """The (partition, window) pairs of a batch, in this order.

    `of_row` (rows) is the group of each row, `offset` and `index` (rows) its offset and partition index.
    `place` (groups) indexes the partitions of the batch, `heads` has the exact numbers of each group
    (groups) by their name in `ObservationFrame`.
    """

    of_row: Rows
    offset: Ints
    index: Ints
    place: Ints
    heads: Mapping[str, Ints]

    @property
    def count(self) -> int:
        return len(self.place)


_EMPTY = np.empty(0, np.int64)
_NO_GROUPS = RowGroups(_EMPTY, _EMPTY, _EMPTY, _EMPTY, {})


def group_rows(batch: Batch, window_offsets: int) -> RowGroups:
    """Return the groups of `batch`; a window is `window_offsets` offsets."""
    if not len(batch):
        return _NO_GROUPS
    place = np.asarray(batch.partition, np.int64)
    offset = np.asarray(batch.offset, np.int64)
    times = np.asarray(batch.timestamp_ms, np.int64)
    if times.min() < 0 or times.max() > batch.received_ms:  # as `Batch.time_ms`
        times = np.where(times < 0, batch.received_ms, np.minimum(times, batch.received_ms))
    windows = offset // window_offsets
    # A group is a few runs of rows, mostly one.
    starts, sizes = row_runs((place[1:] != place[:-1]) | (windows[1:] != windows[:-1]))
    least = windows.min()
    span = int(windows.max() - least) + 1
    keys, of_run = np.unique(place[starts] * span + (windows[starts] - least), return_inverse=True)
    window = (keys % span + least) * window_offsets
    count = len(keys)
    first, first_time = (_extreme(np.minimum, of, starts, of_run, count) for of in (offset, times))
    last, last_time = (_extreme(np.maximum, of, starts, of_run, count) for of in (offset, times))
    return RowGroups(
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


def sample_rows(groups: RowGroups, readable: Rows, bits: int) -> Rows:
    """Return the indices into `readable` of the sampled rows: those whose hash begins with `bits` zeros.

    They are in order of groups. The hash is the finaliser of SplitMix64 (Steele, Lea and Flood 2014) over
    partition and offset.
    """
    mixed = numbers_of(groups.offset, readable).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed += numbers_of(groups.index, readable).astype(np.uint64) * np.uint64(0xD1B54A32D192ED03)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    sampled = np.flatnonzero((mixed >> np.uint64(64 - bits)) == 0) if bits else np.arange(len(readable))
    return sampled[np.argsort(groups.of_row[readable[sampled]], kind="stable")]


def row_runs(changed: NDArray[np.bool_]) -> tuple[Rows, Rows]:
    """Return where each run of equal rows begins, and its size. `changed` is of each row after the first."""
    starts = np.concatenate([[0], np.flatnonzero(changed) + 1])
    return starts, np.diff(starts, append=len(changed) + 1)


def _extreme(extreme: np.ufunc, numbers: Ints, starts: Rows, of_run: Rows, count: int) -> Ints:
    """Return the least or greatest number of each group, whose runs of rows begin at `starts`."""
    of_runs = extreme.reduceat(numbers, starts)
    found = np.empty(count, np.int64)
    found[of_run] = of_runs  # something of the group to begin with
    extreme.at(found, of_run, of_runs)
    return found
