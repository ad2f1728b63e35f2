"""Transactional producers of librdkafka: connecting one, its log, its first epoch, its end."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, Producer

from stream_infer.flow.errors import BrokerUnreachable, Fatal
from stream_infer.kafka.broker_refusals import TRANSACTION_TIMEOUT, as_misconfigured
from stream_infer.kafka.client import SILENT
from stream_infer.kafka.error_policy import ErrorAction, classify, error_of

_LONGEST_MS = "2147483647"  # the longest that librdkafka sends
SLICE_S = 1.0
"""How long one transactional call may block before the caller looks around."""


_NOTHING_SENT = "in state CONNECT"
"""The end of a line about a connection that never was: an address of a broker that is away, or of IPv6."""


class TroubleLog(logging.Handler):
    """A log handler of one producer: `line` is the first line about a request that may be late.

    Its connection broke, or it timed out. The handler gets every line, whatever level the worker logs at, and
    passes on those that `logger` is enabled for.
    """

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self.line: str | None = None
        self._passed_to = logger

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        broken = line.startswith(("FAIL", "REQTMOUT")) or "isconnected" in line
        if self.line is None and broken and _NOTHING_SENT not in line:
            self.line = line
        if self._passed_to.isEnabledFor(record.levelno):
            self._passed_to.handle(record)


@dataclass(frozen=True, slots=True)
class TrackedProducer:
    """A producer, and the log of its broken requests."""

    producer: Producer
    trouble: TroubleLog


def connect_producer(config: Mapping[str, object], logger: logging.Logger) -> TrackedProducer:
    """Return a client that connects in the background; it has no epoch before `init_transactions`."""
    trouble = TroubleLog(logger)
    # One logger per client, outside of the tree of loggers and their levels.
    own = logging.Logger("stream_infer.kafka.producer", logging.DEBUG)  # noqa: LOG001 - see above
    own.addHandler(trouble)
    return TrackedProducer(Producer(dict(config), logger=own), trouble)


def retire_producer(client: TrackedProducer) -> None:
    """Destroy a client on a thread of its own: librdkafka waits for its threads, the loop must not."""
    last_reference = [client]
    threading.Thread(target=last_reference.clear, name="producer-retire", daemon=True).start()


def begin_epoch(
    producer: Producer,
    config: Mapping[str, object],
    *,
    stopping: Callable[[], bool],
    patience_s: float | None,
) -> None:
    """Call `init_transactions` until it succeeds; `patience_s=None` waits for the broker's return.

    `config` is that of the producer. Raises `BrokerUnreachable` after `patience_s` and when a stop ends the
    waiting, `Misconfigured` for a setting or a right that the broker refuses, and `Fatal` for another error
    that no retry repairs.
    """
    started = time.monotonic()
    while True:
        try:
            producer.init_transactions(SLICE_S)
        except KafkaException as exception:
            error = error_of(exception)
            if classify(error) is not ErrorAction.RETRY:
                misconfigured = as_misconfigured(error, config)
                if misconfigured is not None:
                    raise misconfigured from exception
                raise Fatal(f"cannot begin transactions: {error.str()}") from exception
            if stopping():
                raise BrokerUnreachable(f"stopped while no broker began an epoch: {error.str()}") from None
            if patience_s is not None and time.monotonic() - started > patience_s:
                raise BrokerUnreachable(
                    f"no transaction coordinator after {patience_s:.0f} s: {error.str()}"
                ) from None
            producer.poll(0)  # its log and its errors are told meanwhile
        else:
            return


def try_transactional_id(config: Mapping[str, object], *, within_s: float) -> None:
    """Raise `Misconfigured` where this principal may not use the transactional id of `config`.

    The request names a timeout that no broker allows. The broker tests the right first, and refuses the
    timeout before it changes the epoch: a worker that runs under this id is not fenced. Raises
    `BrokerUnreachable` when no coordinator answers.
    """
    probe = connect_producer({**config, TRANSACTION_TIMEOUT: _LONGEST_MS}, SILENT)
    try:
        probe.producer.init_transactions(within_s)
    except KafkaException as exception:
        error = error_of(exception)
        if error.code() == KafkaError.INVALID_TRANSACTION_TIMEOUT:
            return
        reason = f"no transaction coordinator within {within_s:.0f} s: {error.str()}"
        raise as_misconfigured(error, config) or BrokerUnreachable(reason) from exception
    finally:
        retire_producer(probe)
