"""Scoring goes on when the topics of its monitoring do not take records: what is for them waits.

A batch is one act, so one topic that is denied or gone would abort it for ever. When a batch was aborted, the
`ChannelHealth` asks which topics are to blame. Outputs for those are left out of the commits that follow, and
kept; the first commit after their return has them too. An output is kept only after its batch was committed,
and dropped only after it was written: nothing is missing, and nothing is there twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Protocol

from stream_infer.flow.errors import Aborted
from stream_infer.flow.events import Degraded
from stream_infer.flow.ports import Observer, Sink, Source
from stream_infer.flow.records import Batch, Channel, Cursor, Outcome, Output


class ChannelHealth(Protocol):
    """Knows which channels take no records, and looks again by itself while there are any."""

    @property
    def unavailable(self) -> Mapping[Channel, str]:
        """Return those channels, and a reason for each."""

    def refresh(self) -> None:
        """Find out anew. Bounded in time; when nobody answers, what was known stays."""


class Backlog(Protocol):
    """Outputs of one channel that wait: bounded, whatever comes."""

    def __len__(self) -> int:
        """Return how many records wait."""

    def keep(self, output: Output) -> None:
        """Take `output` in."""

    def output(self) -> Output:
        """Return everything that waits, oldest first."""

    def clear(self) -> None:
        """Let go of everything."""


class DegradableSink:
    """A `Sink` around another one: the channels of `backlogs` cannot stop the rest.

    `complaints` adds what else monitoring suffers from to what observers are told.
    """

    def __init__(
        self,
        sink: Sink,
        health: ChannelHealth,
        backlogs: Mapping[Channel, Backlog],
        *,
        observe: Observer,
        complaints: Callable[[], Sequence[str]] = tuple,
    ) -> None:
        self._sink = sink
        self._health = health
        self._backlogs = backlogs
        self._observe = observe
        self._complaints = complaints
        self._told = Degraded((), 0)
        self._lease: object = None

    def commit(self, outcome: Outcome) -> None:
        self._lease = outcome.cursor.lease
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
            self._tell()
            raise
        for output in waiting:
            self._backlogs[output.channel].clear()
        for output in outcome.outputs:
            if output.channel in unavailable:
                self._backlogs[output.channel].keep(output)
        self._tell()

    def flush(self) -> None:
        """Write what waits for channels that are back, when there is no batch to go with. Never `Aborted`."""
        unavailable = self._health.unavailable
        if any(len(one) for channel, one in self._backlogs.items() if channel not in unavailable):
            with suppress(Aborted):  # it waits on
                self.commit(Outcome(Cursor({}, self._lease), [], 0, [], 0, ""))
        self._tell()

    def _tell(self) -> None:
        reasons = (*dict.fromkeys(self._health.unavailable.values()), *self._complaints())
        now = Degraded(reasons, sum(map(len, self._backlogs.values())))
        if now != self._told:
            self._told = now
            self._observe(now)


class FlushWhenIdle:
    """A `Source` around another one: when nothing comes, what waits in the shelter is written."""

    def __init__(self, source: Source, shelter: DegradableSink) -> None:
        self._source = source
        self._shelter = shelter

    def read(self, limit: int, wait_s: float) -> Batch | None:
        batch = self._source.read(limit, wait_s)
        if batch is None:
            self._shelter.flush()
        return batch

    def rewind(self, cursor: Cursor) -> None:
        self._source.rewind(cursor)

    @property
    def finished(self) -> bool:
        return self._source.finished
