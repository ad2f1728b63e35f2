"""One observer that calls several others. A failure in one harms neither the loop nor the rest."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from stream_infer.flow.codes import LogEvent
from stream_infer.flow.events import Event
from stream_infer.flow.ports import Observer

_LOG = logging.getLogger(__name__)


class Fanout:
    """Passes each event to every observer, in order. One that raises is logged and not called again."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = tuple(observers)

    def __call__(self, event: Event) -> None:
        for observer in self._observers:
            try:
                observer(event)
            except Exception:  # noqa: BLE001 - monitoring never stops scoring
                self._observers = tuple(o for o in self._observers if o is not observer)
                _LOG.exception(LogEvent.OBSERVER_FAILED, extra={"observer": type(observer).__name__})
