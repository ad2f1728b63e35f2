"""The isolation of poison rows, on which a model raises: the batch is halved until single rows are left.

A model that raises on more rows than bad data explains has failed. Models and their answers are not known
here: an answer is the result of `predict`.

The limits: one poison row among `n` costs about log2(n) predicts, and the 19 rows that any batch may have, up
to 160. A fixed limit near that (128 find 8 rows of 4,000) would halt the worker on 0.2 % of poison, and again
after each restart, because catching up reads large batches. So the limit grows with the batch until the share
of poison decides: finding 5 % of a batch costs up to 0.45 predicts a row. The time that a slow model may take
is limited by `expired`, the caller's clock.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Generic, TypeVar

from stream_infer.flow.errors import ModelFailed

Answer = TypeVar("Answer")

TOLERATED_ROWS = 19
"""So many rows of any batch may raise, however small the batch."""

TOLERATED_SHARE = 0.05

STREAK_LIMIT = 100
"""So many rows in succession that raise, over any number of batches, are a model that has failed."""


def _never() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits of isolation: predicts (the larger of two numbers), and the time that the caller allows."""

    predicts: int = 192
    predicts_per_row: float = 0.5
    expired: Callable[[], bool] = _never

    def limit(self, rows: int) -> int:
        """Return the most predicts that a batch of `rows` may take."""
        return max(self.predicts, int(rows * self.predicts_per_row))


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
    error: type[Exception]
    cause: str


@dataclass(frozen=True, slots=True)
class Isolated(Generic[Answer]):
    """Every row of a batch once, in order: in a part or as poison."""

    parts: Sequence[BatchPart[Answer]]
    poison: Sequence[Poison]


@dataclass(frozen=True, slots=True)
class Streak:
    """The number of rows in succession on which one model has raised, without an answer in between."""

    digest: str = ""
    rows: int = 0

    def after(self, digest: str, *, answered: int, raised: int) -> Streak:
        """Return the streak after a batch; raise `ModelFailed` when it has become too long."""
        if answered or digest != self.digest:
            return Streak(digest, 0 if answered else raised)
        rows = self.rows + raised
        if rows >= STREAK_LIMIT:
            raise ModelFailed(f"the model raised on {rows} rows in succession, without one answer")
        return Streak(digest, rows)


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


def isolate(predict: Callable[[int, int], Answer], rows: int, budget: Budget = Budget()) -> Isolated[Answer]:
    """Return the answers of `predict(start, stop)` for all rows but the single ones on which it raises.

    A range that raises is halved until one row is left. When the left half answers, the right half is halved
    at once: it must hold the fault. A row is poison only if it raises alone, so none is lost for the company
    it was in. Raises `ModelFailed` when more rows raise than bad data explains, or over budget.
    """
    parts: list[BatchPart[Answer]] = []
    poison: list[Poison] = []
    pending = [_Range(0, rows)] if rows else []
    limit = budget.limit(rows)
    tolerated = max(TOLERATED_ROWS, int(rows * TOLERATED_SHARE))
    spent = 0
    while pending:
        part = pending.pop()
        if part.suspect and part.size > 1:
            pending.extend(part.halves())
            continue
        if spent and (spent >= limit or budget.expired()):
            raise ModelFailed(
                f"the model raises; {spent} predicts found {len(poison)} of {rows} rows to blame"
            )
        spent += 1
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
            if len(poison) > tolerated:
                raise ModelFailed(
                    f"the model raised on more than {tolerated} of {rows} rows; last: {answer.cause}"
                )
    return Isolated(parts, poison)


def _ask(predict: Callable[[int, int], Answer], part: _Range) -> BatchPart[Answer] | Poison:
    try:
        return BatchPart(part.start, part.stop, predict(part.start, part.stop))
    except MemoryError:
        # The process is short of memory: no row is to blame, a dead letter would throw good data away.
        raise ModelFailed("the model ran out of memory") from None
    except Exception as error:  # noqa: BLE001 - foreign code may raise anything
        return Poison(part.start, type(error), error_cause(error))


def error_cause(error: Exception) -> str:
    """Return the type of an error and the place that raised it, without its text."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return type(error).__name__
    place = frames[-1]
    return f"{type(error).__name__} in {place.name} ({PurePath(place.filename).name}:{place.lineno})"
