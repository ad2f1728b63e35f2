"""Classifies the errors of transactional calls. The only reader of librdkafka's error flags.

The order of the questions matters: some errors carry wrong flags. `PRODUCER_FENCED` from
TxnOffsetCommit says "abortable" though the epoch is gone, and after a fatal error `abort_transaction()` may
answer "retriable" for ever; so fenced and fatal come first, and a fatal producer is never called again.
"""

from __future__ import annotations

from enum import Enum

from confluent_kafka import KafkaError, KafkaException

from stream_infer.flow.errors import Aborted, OutputRefused, OutputTooLarge

# ruff: noqa: SLF001 - librdkafka's local errors have names with a leading underscore
_FENCED = frozenset({KafkaError._FENCED, KafkaError.PRODUCER_FENCED})
_UNREACHABLE = frozenset(
    {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._TIMED_OUT, KafkaError._RESOLVE}
)
_PERMANENT = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.UNSUPPORTED_VERSION,
        KafkaError._UNSUPPORTED_FEATURE,
        KafkaError._INVALID_ARG,
    }
)


_REFUSALS = {
    KafkaError.MSG_SIZE_TOO_LARGE: OutputTooLarge,
    KafkaError._UNKNOWN_PARTITION: OutputRefused,
}


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


def aborted_by(error: KafkaError) -> Aborted:
    """Return the abort of a batch that `error` causes."""
    return _REFUSALS.get(error.code(), Aborted)(str(error))


def is_unreachable(error: KafkaError) -> bool:
    """Whether `error` means that no broker answered."""
    return error.code() in _UNREACHABLE


def may_pass(error: KafkaError) -> bool:
    """Whether a question to the broker that failed with `error` may have an answer later, unchanged.

    A cluster that restarts, elects leaders or moves a coordinator answers with many codes, and not all are
    marked as retriable. So all count but the few that only an operator changes.
    """
    return error.code() not in _PERMANENT


def error_of(exception: KafkaException) -> KafkaError:
    """Return the `KafkaError` that every `KafkaException` of the client carries."""
    error = exception.args[0]
    if not isinstance(error, KafkaError):
        raise exception
    return error
