"""Logging: one configuration for stdlib and structlog, and the observer that logs the flow.

A log line is a fixed phrase with fields. It never has a payload: no key, value or header of a record, and no
local variables in a traceback. The stream is standard error; standard output is for commands.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

import structlog
from structlog.typing import Processor

from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.flow.events import (
    AssignmentChanged,
    BatchAborted,
    BatchCommitted,
    Degraded,
    Event,
    PartitionsPaused,
    ProducerRenewed,
)
from stream_infer.flow.records import Partition

LEVEL_VARIABLE = "STREAM_INFER_LOG_LEVEL"
FORMAT_VARIABLE = "STREAM_INFER_LOG_FORMAT"
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_FORMATS = ("json", "text")
_SUMMARY_INTERVAL_S = 10.0

_LOG = logging.getLogger("stream_infer")


def configure(stream: TextIO, environ: Mapping[str, str]) -> None:
    """Route stdlib logging, structlog and warnings to `stream`: JSON lines, or text on a terminal.

    Raises `Misconfigured` for an unknown level or format. The last call counts.
    """
    level = environ.get(LEVEL_VARIABLE, "INFO").upper()
    form = environ.get(FORMAT_VARIABLE, "text" if stream.isatty() else "json").lower()
    problems = _problems(level, form)
    if problems:
        raise Misconfigured(problems)
    shared = _shared_processors()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *(
                    _json()
                    if form == "json"
                    else _text(colours=stream.isatty() and "NO_COLOR" not in environ)
                ),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )


def librdkafka_logger() -> logging.Logger:
    """Return the logger for the `logger=` of `confluent_kafka`.

    librdkafka logs every lost connection as an error and reconnects by itself, so its errors are logged as
    warnings. What it cannot repair is raised as an exception.
    """
    logger = logging.getLogger("librdkafka")
    if _at_most_warning not in logger.filters:
        logger.addFilter(_at_most_warning)
    return logger


class LogObserver:
    """An observer that logs changes and failures: no line for each record or each committed batch."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._dead_letters = DeadLetterTally(interval_s=_SUMMARY_INTERVAL_S)
        self._degraded: tuple[str, ...] = ()

    def __call__(self, event: Event) -> None:
        match event:
            case BatchCommitted():
                self._dead_letters.add(event.rejected)
            case BatchAborted():
                _LOG.warning(
                    LogEvent.BATCH_ABORTED,
                    extra={"records": event.records, "reason": event.reason},
                )
            case AssignmentChanged():
                _LOG.info(
                    LogEvent.ASSIGNMENT_CHANGED, extra={"kind": event.kind, "owned": _by_topic(event.owned)}
                )
            case ProducerRenewed():
                fields = {"reason": event.reason, "renew_s": round(event.renew_s, 3)}
                _LOG.warning(LogEvent.PRODUCER_RENEWED, extra=fields)
            case PartitionsPaused() if event.paused:
                fields = {"reason": event.reason, "paused": _by_topic(event.paused)}
                _LOG.warning(LogEvent.PARTITIONS_PAUSED, extra=fields)
            case PartitionsPaused():
                _LOG.info(LogEvent.PARTITIONS_RESUMED)
            case Degraded() if event.reasons != self._degraded:
                self._degraded = event.reasons
                if event.reasons:
                    fields = {"reasons": list(event.reasons), "held_records": event.held_records}
                    _LOG.warning(LogEvent.DEGRADED, extra=fields)
                else:
                    _LOG.info(LogEvent.RECOVERED)
            case _:
                pass
        self._summarise(self._dead_letters.due(self._clock()))

    def started(self, *, pipeline: str, slot: str, model: str, model_version: str) -> None:
        """Log the start of scoring."""
        fields = {"pipeline": pipeline, "slot": slot, "model": model, "model_version": model_version}
        _LOG.info(LogEvent.WORKER_STARTED, extra=fields)

    def stopped(self, reason: str) -> None:
        """Log the dead letters that were not summarised yet, and the end of the worker."""
        self._summarise(self._dead_letters.drain())
        _LOG.info(LogEvent.WORKER_STOPPED, extra={"reason": reason})

    def _summarise(self, counts: Mapping[tuple[str, str], int]) -> None:
        if counts:
            fields = {
                "records": sum(counts.values()),
                "counts": {f"{stage}/{reason}": count for (stage, reason), count in sorted(counts.items())},
            }
            _LOG.warning(LogEvent.DEAD_LETTERS, extra=fields)


class DeadLetterTally:
    """Counts dead letters by (stage, class); returns them at once, then every `interval_s` at most."""

    def __init__(self, *, interval_s: float) -> None:
        self._interval_s = interval_s
        self._next_at = float("-inf")
        self._counts: Counter[tuple[str, str]] = Counter()

    def add(self, rejected: Mapping[tuple[str, str], int]) -> None:
        """Add the counts of a batch."""
        self._counts.update(rejected)

    def due(self, now: float) -> Mapping[tuple[str, str], int]:
        """Return the counts since the last call and reset them; nothing before the interval is over."""
        if not self._counts or now < self._next_at:
            return {}
        self._next_at = now + self._interval_s
        return self.drain()

    def drain(self) -> Mapping[tuple[str, str], int]:
        """Return the counts since the last call, whatever the time, and reset them."""
        counts, self._counts = self._counts, Counter()
        return counts


def _problems(level: str, form: str) -> Sequence[Problem]:
    problems = []
    if level not in _LEVELS:
        fix = f"use one of {', '.join(_LEVELS)}"
        problems.append(Problem(LEVEL_VARIABLE, level, "unknown log level", fix))
    if form not in _FORMATS:
        fix = f"use one of {', '.join(_FORMATS)}"
        problems.append(Problem(FORMAT_VARIABLE, form, "unknown log format", fix))
    return problems


def _shared_processors() -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]


def _json() -> list[Processor]:
    return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=str)]


def _text(*, colours: bool) -> list[Processor]:
    # The default of structlog, rich, prints the local variables of each frame: records would be in the log.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain)]


def _at_most_warning(record: logging.LogRecord) -> bool:
    if record.levelno > logging.WARNING:
        record.levelno = logging.WARNING
        record.levelname = logging.getLevelName(logging.WARNING)
    return logging.getLogger(record.name).isEnabledFor(record.levelno)


def _by_topic(partitions: Sequence[Partition]) -> dict[str, list[int]]:
    owned: dict[str, list[int]] = {}
    for partition in sorted(partitions):
        owned.setdefault(partition.topic, []).append(partition.index)
    return owned
