"""Texts without known categories, put into a fixed number of bins by a hash, whole columns at a time."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from stream_infer.steps.rows import Rows

HASH_BINS = 32
"""A category that is replaced moves its bin; of two categories one in 32 pairs share theirs."""

_ODD = np.uint64(0x9E3779B97F4A7C15)


def hash_bins(column: pa.Array) -> Rows:
    """Return a bin for each text of `column` (rows): the same for the same text, whatever the batch.

    A sum of bytes, each times a weight of its place, mixed as by SplitMix64 (Steele, Lea and Flood 2014).
    """
    text = column.cast(pa.large_string())
    _, offsets_buffer, data = text.buffers()
    count = len(text)
    offsets = np.frombuffer(offsets_buffer, np.int64, count + 1, text.offset * 8)
    first, last = int(offsets[0]), int(offsets[-1])
    size = last - first
    values = np.frombuffer(data, np.uint8, size, first) if size else np.empty(0, np.uint8)
    lengths = np.diff(offsets)
    place = np.arange(size, dtype=np.uint64) - np.repeat((offsets[:-1] - first).astype(np.uint64), lengths)
    weighted = (values.astype(np.uint64) + np.uint64(1)) * _mixed((place + np.uint64(1)) * _ODD)
    sums = np.concatenate([np.zeros(1, np.uint64), np.cumsum(weighted, dtype=np.uint64)])
    of_text = sums[offsets[1:] - first] - sums[offsets[:-1] - first]
    return (_mixed(of_text + _ODD) >> np.uint64(59)).astype(np.intp)


def _mixed(
    numbers: np.ndarray[tuple[int], np.dtype[np.uint64]],
) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    mixed = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
