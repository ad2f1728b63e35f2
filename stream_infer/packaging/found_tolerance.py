"""Finds the tolerance of a model in single precision, whose answers to a row depend a little on its batch.

A worker scores batches of any size: a package must agree with its golden rows in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_infer.flow.errors import Misconfigured
from stream_infer.models.frame_builder import Frame
from stream_infer.models.manifest import OutputContract, Tolerance
from stream_infer.models.scores import Scores
from stream_infer.packaging import expected
from stream_infer.packaging.options import CreateOptions
from stream_infer.rollout.golden_check import ALONE, FULL

_LARGEST = 1e-5
"""Rounding in single precision is 6e-8 for one operation. What differs by more than this is no rounding."""
_MARGIN = 10.0


def agree_tolerance(
    options: CreateOptions,
    estimator: Any,  # noqa: ANN401 - any estimator
    frame: Frame,
    output: OutputContract,
) -> tuple[Tolerance, Sequence[str]]:
    """Return the tolerance, and a note where it is not the default and was not asked for."""
    default = Tolerance()
    absolute, relative = options.absolute_tolerance, options.relative_tolerance
    if absolute is not None or relative is not None:
        given = default.absolute if absolute is None else absolute
        return Tolerance(given, default.relative if relative is None else relative), ()
    found = find_tolerance(estimator, frame, output, default)
    if found == default:
        return found, ()
    note = (
        "the model answers a row a little differently in other batches, as single precision does: the"
        f" tolerance is {found.absolute:g} + {found.relative:g} of the golden answer"
    )
    return found, (note,)


def find_tolerance(
    estimator: Any,  # noqa: ANN401 - any estimator
    frame: Frame,
    contract: OutputContract,
    least: Tolerance,
) -> Tolerance:
    """Return the tolerance within which `estimator` answers each row of `frame` in batches of all kinds.

    `least` where that suffices, and where the differences are too large for rounding: those are refused when
    the package is verified.
    """
    try:
        together = expected.outputs(estimator, frame, contract)
        found = [
            (rows, expected.outputs(estimator, _rows(frame, rows), contract)) for rows in _batches(len(frame))
        ]
    except Misconfigured:
        return least
    pairs = [
        (getattr(part, name), getattr(together, name)[rows])
        for rows, part in found
        for name in _numbers(together)
    ]
    if all((np.abs(a - b) <= least.absolute + least.relative * np.abs(b)).all() for a, b in pairs):
        return least
    scale = max(float(np.abs(getattr(together, name)).max()) for name in _numbers(together))
    share = max(float((np.abs(a - b) / scale).max()) for a, b in pairs)
    if share > _LARGEST:
        return least
    relative = _power_of_ten(share * _MARGIN)
    return Tolerance(max(least.absolute, _power_of_ten(relative * scale)), max(least.relative, relative))


def _power_of_ten(number: float) -> float:
    """Return the smallest power of ten that is at least `number`."""
    return float(f"1e{int(np.ceil(np.log10(number)))}")


def _numbers(scores: Scores) -> list[str]:
    return [
        name for name in ("score", "value", "values", "class_scores") if getattr(scores, name) is not None
    ]


def _batches(count: int) -> Iterator[NDArray[np.intp]]:
    """Yield the batches of `rollout.golden_check.prove_answers`, as row numbers."""
    rows = np.arange(count)
    yield from (rows[[row]] for row in rows[:: -(-count // ALONE)])
    yield rows[::-1]
    yield np.resize(rows, max(FULL, count))


def _rows(frame: Frame, rows: NDArray[np.intp]) -> Any:  # noqa: ANN401 - a frame or an array
    return frame[rows] if isinstance(frame, np.ndarray) else frame.iloc[rows]
