"""Looks after foreign members of the group while a role runs, on a thread of its own.

The broker is asked after each change of the assignment: each consumer that joins or leaves causes one. A
worker without partitions may be kept out of its group and sees no change, so it asks every 30 s. Nobody asks
more often than that, or while the brokers are away: librdkafka ends the process when a connection breaks
under this request (confluentinc/librdkafka#5397).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from functools import partial

from confluent_kafka import KafkaException

from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import StreamInferError
from stream_infer.flow.events import AssignmentChanged, BatchCommitted, ClientFailed, Event
from stream_infer.kafka.client import Properties
from stream_infer.kafka.foreign_members import GroupInquiry
from stream_infer.kafka.woken_thread import WokenThread

_LOG = logging.getLogger(__name__)
_ASK_S = 2.0
_EVERY_S = 30.0
_UNSETTLED_S = 1.0


class GroupWatch(WokenThread):
    """An observer that knows the foreign members of a group while it is entered.

    Any thread may read `foreign_members`: it is replaced whole.
    """

    def __init__(self, properties: Properties, group_id: str) -> None:
        self.foreign_members: tuple[str, ...] = ()
        super().__init__("group-watch", leaves_within_s=_ASK_S)
        self._new_inquiry = partial(GroupInquiry, properties, group_id, timeout_s=_ASK_S)
        self._inquiry: GroupInquiry | None = None
        self._broker_answers = True
        self._has_partitions = False

    def __call__(self, event: Event) -> None:
        match event:
            case ClientFailed():
                self._broker_answers = False
            case AssignmentChanged():
                self._broker_answers = event.kind != "lost"
                self._has_partitions = bool(event.owned)
                self.wake()
            case BatchCommitted():
                self._broker_answers = True

    def look(self) -> float | None:
        """Ask about foreign members, and tell of a change."""
        self._inquiry = self._inquiry or self._new_inquiry()
        found: Sequence[str] | None = self.foreign_members  # without an answer they stay
        answered = False
        if self._broker_answers:
            with contextlib.suppress(StreamInferError, KafkaException):
                found = self._inquiry.ask()
                answered = True
        if found is None:
            return _UNSETTLED_S
        self._tell(found)
        return None if answered and self._has_partitions else _EVERY_S

    def _tell(self, found: Sequence[str]) -> None:
        before, self.foreign_members = self.foreign_members, tuple(found)
        if self.foreign_members and self.foreign_members != before:
            _LOG.warning(LogEvent.FOREIGN_MEMBERS, extra={"members": list(found)})
        elif before and not found:
            _LOG.info(LogEvent.FOREIGN_MEMBERS_LEFT)
