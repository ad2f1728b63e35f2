"""A sink for scoring that goes on when the topics of its monitoring do not take records.

A batch is one act, so one topic that is denied or gone would abort it for ever. When a batch was aborted, the
`ChannelHealth` asks which topics are to blame. Outputs for those are left out of the commits that follow, and
wait; the first commit after the topics are back has them too. An output is kept only after its batch was
committed, and dropped only after it was written: nothing is missing, and nothing is there twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from stream_infer.flow.errors import Aborted
from stream_infer.flow.events import Degraded
from stream_infer.flow.ports import Observer, Sink, Source
from stream_infer.flow.records import Batch, Channel, Cursor, Outcome, Output


class ChannelHealth(Protocol):
    """Knows which channels take no records, and asks again by itself while there are any."""

    @property
    def unavailable(self) -> Mapping[Channel, str]:
        """Return those channels, and a reason for each."""

    def refresh(self) -> None:
        """Ask the broker again, within a time limit; without an answer the last result stays."""


class Backlog(Protocol):
    """Outputs of one channel that wait: bounded, whatever comes."""

    def __len__(self) -> int:
        """Return how many records wait."""

    def keep(self, output: Output) -> None:
        """Add `output`."""

    def output(self) -> Output:
        """Return all waiting records, oldest first."""

    def clear(self) -> None:
        """Drop all waiting records."""


class DegradableSink:
    """A `Sink` around another one: the channels of `backlogs` cannot stop the others.

    Observers get a `Degraded` whenever the reasons or the number of waiting records change. The reasons are
    the unavailable channels, and what the last outcome itself is `degraded` for.
    """

    def __init__(
        self, sink: Sink, health: ChannelHealth, backlogs: Mapping[Channel, Backlog], *, observe: Observer
    ) -> None:
        self._sink = sink
        self._health = health
        self._backlogs = backlogs
        self._observe = observe
        self._lease: object = None
        self._degraded: Sequence[str] = ()
        self._reported = Degraded((), 0)

    def commit(self, outcome: Outcome) -> None:
        self._lease, self._degraded = outcome.cursor.lease, outcome.degraded
        unavailable = self._health.unavailable
        present = [one for one in outcome.outputs if one.channel not in unavailable]
        waiting = [
            one.output() for channel, one in self._backlogs.items() if len(one) and channel not in unavailable
        ]
        try:
            self._sink.commit(replace(outcome, outputs=[*waiting, *present]))
        except Aborted:
            if any(output.channel in self._backlogs for output in (*waiting, *present)):
                self._health.refresh()
            self._report()
            raise
        for output in waiting:
            self._backlogs[output.channel].clear()
        for output in outcome.outputs:
            if output.channel in unavailable:
                self._backlogs[output.channel].keep(output)
        self._report()

    def flush(self) -> None:
        """Write the waiting records of channels that are back, without a batch. Never raises `Aborted`."""
        unavailable = self._health.unavailable
        if any(len(one) for channel, one in self._backlogs.items() if channel not in unavailable):
            with suppress(Aborted):  # the records wait on
                self.commit(Outcome(Cursor({}, self._lease), [], 0, [], 0, "", self._degraded))
        self._report()

    def _report(self) -> None:
        reasons = (*dict.fromkeys(self._health.unavailable.values()), *self._degraded)
        now = Degraded(reasons, sum(map(len, self._backlogs.values())))
        if now != self._reported:
            self._reported = now
            self._observe(now)


class FlushWhenIdle:
    """A `Source` around another one: when a read finds nothing, waiting records are written."""

    def __init__(self, source: Source, sink: DegradableSink) -> None:
        self._source = source
        self._sink = sink

    def read(self, limit: int, wait_s: float) -> Batch | None:
        batch = self._source.read(limit, wait_s)
        if batch is None:
            self._sink.flush()
        return batch

    def rewind(self, cursor: Cursor) -> None:
        self._source.rewind(cursor)

    @property
    def finished(self) -> bool:
        return self._source.finished
