"""Classifies the errors of transactional calls. The only reader of librdkafka's error flags.

The order of the questions matters: some errors carry wrong flags. `PRODUCER_FENCED` from
TxnOffsetCommit says "abortable" though the epoch is gone, and after a fatal error `abort_transaction()` may
answer "retriable" for ever; so fenced and fatal come first, and a fatal producer is never called again.
"""

from __future__ import annotations

from enum import Enum

from confluent_kafka import KafkaError, KafkaException

# ruff: noqa: SLF001 - librdkafka's local errors have names with a leading underscore
_FENCED = frozenset({KafkaError._FENCED, KafkaError.PRODUCER_FENCED})
_UNREACHABLE = frozenset(
    {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._RESOLVE}
)


class ErrorAction(Enum):
    """The action after an error of a transactional call."""

    RETRY = "the same call again"
    ABORT = "abort the transaction, read the records again"
    FENCED = "the epoch belongs to someone newer"
    INSTANCE_FENCED = "the static membership belongs to someone newer"
    FATAL = "discard the producer"


def classify(error: KafkaError) -> ErrorAction:
    """Return the action for `error`, which a transactional call raised."""
    if error.code() == KafkaError.FENCED_INSTANCE_ID:
        return ErrorAction.INSTANCE_FENCED
    if error.code() in _FENCED:
        return ErrorAction.FENCED
    if error.fatal():
        return ErrorAction.FATAL
    if error.txn_requires_abort():
        return ErrorAction.ABORT
    if error.retriable():
        return ErrorAction.RETRY
    return ErrorAction.FATAL


def is_unreachable(error: KafkaError) -> bool:
    """Whether `error` means that no broker answered."""
    return error.code() in _UNREACHABLE


def error_of(exception: KafkaException) -> KafkaError:
    """Return the `KafkaError` that every `KafkaException` of the client carries."""
    error = exception.args[0]
    if not isinstance(error, KafkaError):
        raise exception
    return error
