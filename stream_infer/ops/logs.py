"""Logging: one configuration for stdlib and structlog, and the observer that logs the flow.

A log line is a fixed phrase with fields. It never has a payload: no key, value or header of a record, and no
local variables in a traceback. The stream is standard error; standard output is for commands.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TextIO

import structlog
from structlog.typing import EventDict, Processor

from stream_infer.common.printable import printable
from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.flow.events import (
    AssignmentChanged,
    AssignmentDelayed,
    BatchAborted,
    BatchCommitted,
    Degraded,
    Event,
    OffsetsLost,
    PartitionsHalted,
    PartitionsPaused,
    ProducerRenewed,
    ReadingBegins,
    SlotRejoined,
    TopicsMissing,
)
from stream_infer.flow.records import Partition
from stream_infer.ops.repeated import INTERVAL_S, RepetitionHandler

LEVEL_VARIABLE = "STREAM_INFER_LOG_LEVEL"
FORMAT_VARIABLE = "STREAM_INFER_LOG_FORMAT"
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_FORMATS = ("json", "text")

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
    handler = RepetitionHandler(stream)
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
    """An observer that logs changes and failures: no line for each record or each committed batch.

    `rejected` is the event of the summary of rejected records.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        rejected: LogEvent = LogEvent.DEAD_LETTERS,
    ) -> None:
        self._clock = clock
        self._rejected = rejected
        self._dead_letters = DeadLetterTally(interval_s=INTERVAL_S)
        self._degraded: tuple[str, ...] = ()

    def __call__(self, event: Event) -> None:
        match event:
            case BatchCommitted():
                self._dead_letters.add(event.rejected)
            case Degraded():
                self._degrade(event)
            case PartitionsHalted():
                _log_halted(event.reasons)
            case _:
                line = _line_of(event)
                if line is not None:
                    _LOG.log(line.level, line.event, extra=line.fields)
        self._summarise(self._dead_letters.due(self._clock()))

    def started(self, *, pipeline: str, slot: str, model: str, model_version: str) -> None:
        """Log the start of scoring."""
        fields = {"pipeline": pipeline, "slot": slot, "model": model, "model_version": model_version}
        _LOG.info(LogEvent.WORKER_STARTED, extra=fields)

    def stopped(self, reason: str) -> None:
        """Log the dead letters that were not summarised yet, and the end of the worker."""
        self._summarise(self._dead_letters.drain())
        _LOG.info(LogEvent.WORKER_STOPPED, extra={"reason": reason})

    def _degrade(self, event: Degraded) -> None:
        if event.reasons == self._degraded:
            return
        self._degraded = event.reasons
        if event.reasons:
            fields = {"reasons": list(event.reasons), "held_records": event.held_records}
            _LOG.warning(LogEvent.DEGRADED, extra=fields)
        else:
            _LOG.info(LogEvent.RECOVERED)

    def _summarise(self, counts: Mapping[tuple[str, str], int]) -> None:
        if counts:
            fields = {
                "records": sum(counts.values()),
                "counts": {f"{stage}/{reason}": count for (stage, reason), count in sorted(counts.items())},
            }
            _LOG.warning(self._rejected, extra=fields)


def _log_halted(reasons: Mapping[Partition, str]) -> None:
    for partition, reason in sorted(reasons.items()):
        fields = {"topic": partition.topic, "partition": partition.index, "reason": reason}
        _LOG.error(LogEvent.PARTITION_HALTED, extra=fields)


class _Line(NamedTuple):
    level: int
    event: LogEvent
    fields: Mapping[str, object]


def _line_of(event: Event) -> _Line | None:
    """Return the line about a change or failure; None for an event of the ordinary course."""
    match event:
        case BatchAborted():
            fields = {"records": event.records, "reason": event.reason}
            return _Line(logging.WARNING, LogEvent.BATCH_ABORTED, fields)
        case AssignmentChanged():
            owned = {"kind": event.kind, "owned": _by_topic(event.owned)}
            return _Line(logging.INFO, LogEvent.ASSIGNMENT_CHANGED, owned)
        case SlotRejoined():
            return _Line(logging.WARNING, LogEvent.SLOT_REJOINED, {"reason": event.reason})
        case ProducerRenewed():
            renewed = {"reason": event.reason, "renew_s": round(event.renew_s, 3)}
            return _Line(logging.INFO, LogEvent.PRODUCER_RENEWED, renewed)
        case PartitionsPaused() if event.paused:
            paused = {
                "waiting_for": event.cause.value,
                "reason": event.reason,
                "paused": _by_topic(event.paused),
            }
            return _Line(logging.WARNING, LogEvent.PARTITIONS_PAUSED, paused)
        case PartitionsPaused():
            return _Line(logging.INFO, LogEvent.PARTITIONS_RESUMED, {"waiting_for": event.cause.value})
        case _:
            return _line_of_input(event)


def _line_of_input(event: Event) -> _Line | None:
    """Return the line about where the input is read, or why it is not."""
    match event:
        case AssignmentDelayed() if event.waiting:
            waiting = {"reason": event.reason, "waiting": _by_topic(event.waiting)}
            return _Line(logging.WARNING, LogEvent.ASSIGNMENT_DELAYED, waiting)
        case AssignmentDelayed():
            return _Line(logging.INFO, LogEvent.ASSIGNMENT_BEGUN, {})
        case ReadingBegins():
            return _Line(logging.INFO, LogEvent.READING_BEGINS, {"offsets": _named(event.offsets)})
        case OffsetsLost():
            lost = {"reasons": _named(event.reasons), "offsets": _named(event.offsets)}
            return _Line(logging.WARNING, LogEvent.OFFSETS_LOST, lost)
        case TopicsMissing() if event.topics:
            return _Line(logging.WARNING, LogEvent.TOPICS_MISSING, {"topics": list(event.topics)})
        case TopicsMissing():
            return _Line(logging.INFO, LogEvent.TOPICS_BACK, {})
        case _:
            return None


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
    return [_without_controls, structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=plain)]


def _without_controls(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Clean what others wrote, package and topic names for one; JSON escapes it by itself."""
    return {key: printable(value) if isinstance(value, str) else value for key, value in event.items()}


def _at_most_warning(record: logging.LogRecord) -> bool:
    if record.levelno > logging.WARNING:
        record.levelno = logging.WARNING
        record.levelname = logging.getLevelName(logging.WARNING)
    return logging.getLogger(record.name).isEnabledFor(record.levelno)


def _named(values: Mapping[Partition, object]) -> dict[str, object]:
    return {f"{p.topic}/{p.index}": value for p, value in sorted(values.items())}


def _by_topic(partitions: Sequence[Partition]) -> dict[str, list[int]]:
    owned: dict[str, list[int]] = {}
    for partition in sorted(partitions):
        owned.setdefault(partition.topic, []).append(partition.index)
    return owned
