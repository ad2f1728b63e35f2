"""Dead letters: how many of each reason, and the newest ones."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stream_infer.dashboard.time_buckets import SPANS, Resolution, TimeBuckets
from stream_infer.flow.records import Headers

MOST_LETTERS = 50
_CLASS, _STAGE = "streaminfer.error.class", "streaminfer.error.stage"
_MOST_CLASSES, _MOST_BYTES, _MOST_HEADERS = 100, 2_000, 50
OTHER_CLASS = "other"


@dataclass(frozen=True, slots=True)
class ShownLetter:
    """A dead letter as it is shown; `key` and `value` are None unless payloads are shown."""

    topic: str
    partition: int
    offset: int
    time_ms: int
    headers: Sequence[tuple[str, str | None]]
    value_bytes: int | None
    key: str | None
    value: str | None


class LetterHistory:
    """Counts by class and time, and the newest letters. Payloads are not even kept unless they are shown."""

    def __init__(self, *, shows_payload: bool) -> None:
        self._shows_payload = shows_payload
        self._newest: deque[ShownLetter] = deque(maxlen=MOST_LETTERS)
        self._buckets: dict[str, Mapping[Resolution, TimeBuckets]] = {}
        self.by_class: Counter[str] = Counter()

    def take(
        self,
        place: tuple[str, int, int],
        time_ms: int,
        key: bytes | None,
        value: bytes | None,
        headers: Headers,
    ) -> None:
        """Take the letter at a place (topic, partition, offset)."""
        shown = [(name, _text(content)) for name, content in headers[:_MOST_HEADERS]]
        of_name = dict(shown)
        reason = of_name.get(_CLASS) or OTHER_CLASS
        if reason not in self._buckets and len(self._buckets) >= _MOST_CLASSES:
            reason = OTHER_CLASS
        self.by_class[reason] += 1
        buckets = self._buckets.setdefault(reason, {span: TimeBuckets(span, 1) for span in SPANS})
        for one in buckets.values():
            one.note(time_ms, (1.0,))
        self._newest.append(
            ShownLetter(
                *place,
                time_ms,
                shown,
                None if value is None else len(value),
                _text(key) if self._shows_payload else None,
                _text(value) if self._shows_payload else None,
            )
        )

    def newest_first(self) -> Sequence[ShownLetter]:
        """Return the newest letters by the time at which they were written."""
        return sorted(self._newest, key=lambda one: (-one.time_ms, one.partition, -one.offset))

    def series(self, span: Resolution, now_ms: int) -> Mapping[str, tuple[list[int], list[float]]]:
        """Return start times (ms) and counts of each class."""
        found = {}
        for reason, buckets in sorted(self._buckets.items()):
            starts, values = buckets[span].points(now_ms)
            if len(starts):
                found[reason] = starts.tolist(), values[:, 0].tolist()
        return found


def _text(content: bytes | None) -> str | None:
    """Return bytes as text for people, at most 2,000 of them."""
    return None if content is None else content[:_MOST_BYTES].decode("utf-8", "backslashreplace")
