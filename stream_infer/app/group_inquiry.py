"""Asks the brokers about the group of a pipeline, on a thread of its own: its lag, and its members."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace

from stream_infer.config.settings import Settings
from stream_infer.dashboard.pipeline_state import LagView, PartitionLag
from stream_infer.flow.errors import Fatal
from stream_infer.flow.records import Partition
from stream_infer.kafka.group_lag import GroupLag
from stream_infer.kafka.groups import static_members

_EVERY_S = 2.0
_MEMBERS_EVERY = 3
_ASK_S = 5.0
_LEAVE_S = 8.0

Positions = Callable[[], Mapping[Partition, int]]
"""The offsets up to which there are answers, by partition, as observation frames tell them."""


@dataclass(frozen=True, slots=True)
class GroupNow:
    """What is known of the group; `members` is None while the brokers do not tell."""

    lag: LagView = field(default_factory=LagView)
    members: frozenset[str] | None = None


class GroupAnswers:
    """Holds the newest answers."""

    def __init__(self, settings: Settings, positions: Positions) -> None:
        self._settings = settings
        self._positions = positions
        self._ended = threading.Event()
        self._now = GroupNow()

    @property
    def now(self) -> GroupNow:
        """The newest answers."""
        return self._now

    def run(self) -> None:
        """Ask until `end`. An answer that does not come is told in its place."""
        settings = self._settings
        with closing(GroupLag(settings.kafka, settings.group_id, settings.input.topics)) as lag:
            turn = 0
            while not self._ended.is_set():
                self._now = replace(self._now, lag=self._lag(lag))
                if turn % _MEMBERS_EVERY == 0 and not lag.is_mock:
                    self._now = replace(self._now, members=self._members())
                turn += 1
                self._ended.wait(_EVERY_S)

    def end(self) -> None:
        """Let `run` return."""
        self._ended.set()

    def _lag(self, lag: GroupLag) -> LagView:
        try:
            found = lag.measure(self._positions())
        except Fatal as failure:
            return LagView((), str(failure))
        views = [PartitionLag(p, one.records, one.exact) for p, one in sorted(found.items())]
        return LagView(tuple(views), None)

    def _members(self) -> frozenset[str] | None:
        try:
            return static_members(self._settings.kafka, self._settings.group_id, timeout_s=_ASK_S)
        except Fatal:
            return None


@contextmanager
def asking_about_group(inquiry: GroupAnswers) -> Iterator[None]:
    """Let the inquiry run while the block does."""
    thread = threading.Thread(target=inquiry.run, name="dashboard-inquiry", daemon=True)
    thread.start()
    try:
        yield
    finally:
        inquiry.end()
        thread.join(_LEAVE_S)
