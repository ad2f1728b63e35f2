"""The isolation of poison rows, on which a model raises: the batch is halved until single rows are left.

Models and their answers are not known here: an answer is the result of `predict`. Any share of rows may be
poison; the model itself is to blame only when `check` says so. One poison row among `n` costs about log2(n)
predicts, a batch of nothing else twice as many as it has rows.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Generic, TypeVar

from stream_infer.common.foreign_code import raise_interrupt
from stream_infer.flow.errors import Aborted

Answer = TypeVar("Answer")


Expired = Callable[[], bool]
"""Tells whether the time that a batch may take is over."""


def untimed() -> bool:
    """Return that there is time."""
    return False


@dataclass(frozen=True, slots=True)
class BatchPart(Generic[Answer]):
    """The answer for the rows from `start` up to `stop`."""

    start: int
    stop: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Poison:
    """A row on which the model raises, with type and place of the error; its text could quote payload."""

    row: int
    error: type[BaseException]
    cause: str


@dataclass(frozen=True, slots=True)
class Isolated(Generic[Answer]):
    """Every row of a batch once, in order: in a part or as poison."""

    parts: Sequence[BatchPart[Answer]]
    poison: Sequence[Poison]


@dataclass(frozen=True, slots=True)
class _Range:
    """Rows without an answer yet; `suspect` if they must hold the fault: the other half of them did not."""

    start: int
    stop: int
    is_left: bool = False
    suspect: bool = False

    @property
    def size(self) -> int:
        return self.stop - self.start

    def halves(self) -> tuple[_Range, _Range]:
        middle = self.start + self.size // 2
        return _Range(middle, self.stop), _Range(self.start, middle, is_left=True)


def isolate(
    predict: Callable[[int, int], Answer],
    rows: int,
    *,
    check: Callable[[], None],
    expired: Expired = untimed,
    part_rows: int | None = None,
) -> Isolated[Answer]:
    """Return the answers of `predict(start, stop)` for all rows but the single ones on which it raises.

    A range that raises is halved until one row is left. When the left half answers, the right half is halved
    at once: it must hold the fault. A row is poison only if it raises alone, so none is lost for the company
    it was in. `check` raises when the model is broken; it is called at the first poison row, which spares a
    broken model the others, and at the end, because a model may break meanwhile. No range has more than
    `part_rows`. Raises `Aborted` when the time is over and ranges are left: fewer rows take less.
    """
    parts: list[BatchPart[Answer]] = []
    poison: list[Poison] = []
    size = part_rows or max(rows, 1)
    pending = [_Range(start, min(start + size, rows)) for start in range(0, rows, size)][::-1]
    asked = False
    while pending:
        part = pending.pop()
        if part.suspect and part.size > 1:
            pending.extend(part.halves())
            continue
        if asked and expired():
            raise Aborted(
                f"no time is left to score {rows} rows; if the model raises, to find the rows to blame"
            )
        asked = True
        answer = _ask(predict, part)
        if isinstance(answer, BatchPart):
            parts.append(answer)
            if part.is_left:
                other = pending.pop()
                pending.append(_Range(other.start, other.stop, suspect=True))
        elif part.size > 1:
            pending.extend(part.halves())
        else:
            poison.append(answer)
            if len(poison) == 1:
                check()
    if len(poison) > 1:
        check()
    return Isolated(parts, poison)


def _ask(predict: Callable[[int, int], Answer], part: _Range) -> BatchPart[Answer] | Poison:
    try:
        return BatchPart(part.start, part.stop, predict(part.start, part.stop))
    except BaseException as error:  # noqa: BLE001 - foreign code may raise anything: SystemExit, for one
        raise_interrupt(error)
        return Poison(part.start, type(error), error_cause(error))


def error_cause(error: BaseException) -> str:
    """Return the type of an error and the place that raised it, without its text."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    place = frames[-1]
    return f"{type(error).__name__} in {place.name} ({PurePath(place.filename).name}:{place.lineno})"
