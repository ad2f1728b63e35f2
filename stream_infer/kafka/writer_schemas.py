"""Writer schemas by head, fetched on a thread of their own, so that no partition waits for another.

A schema is kept for good. "No such schema" expires: registries are replicated, and one that does not know an
id yet may know it soon. No answer is an outage, which says nothing about the data. `confluent_registry` asks.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Protocol

from stream_infer.avro.confluent import Unusable, Writer
from stream_infer.avro.schemas import Schema
from stream_infer.common.backoff import Backoff

_BACKOFF = Backoff(first_s=0.5, most_s=10.0)
# Random heads must not keep the registry busy: a limit for one request, and one for the heads remembered.
_AT_ONCE = 100
_UNUSABLE_KEPT = 10_000
_UNUSABLE_FOR_S = 30.0


class RegistryUnavailable(Exception):
    """The registry did not answer, or not with a valid response: ask again later."""


class SchemaRegistry(Protocol):
    """A schema registry. Every method but `close` raises `RegistryUnavailable`."""

    def writer(self, head: bytes) -> Writer:
        """Return the writer schema that the head of a record names."""

    def latest(self, subject: str) -> Writer | None:
        """Return the newest schema of `subject`, or None when there is none."""

    def id_of(self, subject: str, schema: Schema) -> int | None:
        """Return the id under which `subject` has `schema`, or None."""

    def register(self, subject: str, schema: Schema, *, own: bool = True) -> int:
        """Register `schema` under `subject` and return its id.

        A new subject of our `own` records gets the compatibility of this project; any other keeps what it
        has.
        """

    def close(self) -> None:
        """Close the connections."""


@dataclass(frozen=True, slots=True)
class _Answer:
    head: bytes
    writer: Writer | RegistryUnavailable


class WriterSchemas:
    """Schemas by head. One loop owns it; `fetch` runs on another thread, one request at a time.

    Only `ask` and `take_answers` add to `known`; only `expire` removes what has no schema.
    """

    def __init__(
        self, fetch: Callable[[bytes], Writer], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.known: dict[bytes, Writer] = {}
        self.trouble: str | None = None
        self._fetch = fetch
        self._clock = clock
        self._answers: SimpleQueue[_Answer] = SimpleQueue()
        self._asked: set[bytes] = set()
        self._failed: Counter[bytes] = Counter()
        self._failures = 0
        self._not_before = 0.0
        self._expiry: dict[bytes, float] = {}

    def ask(self, heads: Iterable[bytes], *, patience_s: float) -> None:
        """Request the schemas of `heads`, unless a request runs or the last one failed a moment ago.

        Return when all are answered, or after `patience_s`; later answers are for `take_answers`.
        """
        self.take_answers()
        if self._asked or self._clock() < self._not_before:
            return
        # A head that fails again and again must not delay those that could be answered.
        wanted = sorted(heads, key=lambda head: (self._failed[head], head))[:_AT_ONCE]
        self._asked = set(wanted)
        request = threading.Thread(
            target=_fetch_all, args=(self._fetch, wanted, self._answers), name="schema-registry", daemon=True
        )
        request.start()
        deadline = self._clock() + patience_s
        while self._asked and (left_s := deadline - self._clock()) > 0:
            self._take(left_s)

    def take_answers(self) -> None:
        """Add the schemas that have arrived to `known`."""
        while self._take(None):
            pass

    def expire(self) -> None:
        """Forget heads without a schema after a while, or beyond a number: they are requested again."""
        if not self._expiry:
            return
        now, excess = self._clock(), len(self._expiry) - _UNUSABLE_KEPT
        for at, (head, expires) in enumerate(list(self._expiry.items())):
            if expires > now and at >= excess:
                break
            del self._expiry[head], self.known[head]

    def _take(self, wait_s: float | None) -> bool:
        try:
            answer = self._answers.get(block=wait_s is not None, timeout=wait_s)
        except Empty:
            return False
        self._asked.discard(answer.head)
        if isinstance(answer.writer, RegistryUnavailable):
            self._failed[answer.head] += 1
            self._failures += 1
            self._not_before = self._clock() + _BACKOFF.pause_s(self._failures)
            self.trouble = str(answer.writer)
            return True
        self.known[answer.head] = answer.writer
        if isinstance(answer.writer, Unusable):
            self._expiry[answer.head] = self._clock() + _UNUSABLE_FOR_S
        del self._failed[answer.head]
        self._failures, self._not_before, self.trouble = 0, 0.0, None
        return True


def _fetch_all(
    fetch: Callable[[bytes], Writer], heads: Sequence[bytes], answers: SimpleQueue[_Answer]
) -> None:
    for head in heads:
        try:
            answers.put(_Answer(head, fetch(head)))
        except RegistryUnavailable as silence:
            answers.put(_Answer(head, silence))
        except Exception as defect:  # noqa: BLE001 - a request that dies unseen would pause its partitions for good
            answers.put(
                _Answer(head, RegistryUnavailable(f"the request failed: {type(defect).__name__}: {defect}"))
            )
