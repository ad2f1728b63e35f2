"""The action for each error of a transactional call. The order of the checks decides."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from stream_infer.kafka.error_policy import ErrorAction, classify, error_of, is_unreachable


def error(code: int, *flags: str) -> KafkaError:
    """Return an error with `code` and the given flags: fatal, retriable, abortable."""
    return KafkaError(
        code,
        "reason",
        fatal="fatal" in flags,
        retriable="retriable" in flags,
        txn_requires_abort="abortable" in flags,
    )


@pytest.mark.parametrize(
    ("found", "action"),
    [
        # One flag alone decides.
        (error(KafkaError._TIMED_OUT, "retriable"), ErrorAction.RETRY),
        (error(KafkaError.CONCURRENT_TRANSACTIONS, "retriable"), ErrorAction.RETRY),
        (error(KafkaError.COORDINATOR_LOAD_IN_PROGRESS, "retriable"), ErrorAction.RETRY),
        (error(KafkaError.ILLEGAL_GENERATION, "abortable"), ErrorAction.ABORT),
        (error(KafkaError.UNKNOWN_MEMBER_ID, "abortable"), ErrorAction.ABORT),
        (error(KafkaError.TRANSACTION_ABORTABLE, "abortable"), ErrorAction.ABORT),
        (error(KafkaError.INVALID_TXN_STATE, "fatal"), ErrorAction.FATAL),
        (error(KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER, "fatal"), ErrorAction.FATAL),
        # Without a flag the state of the producer is unknown.
        (error(KafkaError._STATE), ErrorAction.FATAL),
        (error(KafkaError._TIMED_OUT), ErrorAction.FATAL),
        # Fenced comes before every flag: the epoch is lost, whatever the flags are.
        (error(KafkaError._FENCED), ErrorAction.FENCED),
        (error(KafkaError._FENCED, "fatal"), ErrorAction.FENCED),
        (error(KafkaError._FENCED, "abortable"), ErrorAction.FENCED),
        (error(KafkaError._FENCED, "retriable"), ErrorAction.FENCED),
        (error(KafkaError.PRODUCER_FENCED, "abortable"), ErrorAction.FENCED),
        (error(KafkaError.PRODUCER_FENCED, "fatal", "retriable"), ErrorAction.FENCED),
        (error(KafkaError.FENCED_INSTANCE_ID), ErrorAction.INSTANCE_FENCED),
        (error(KafkaError.FENCED_INSTANCE_ID, "abortable"), ErrorAction.INSTANCE_FENCED),
        (error(KafkaError.FENCED_INSTANCE_ID, "fatal"), ErrorAction.INSTANCE_FENCED),
        # Fatal comes before abort and retry: after it, `abort_transaction` answers "retriable" for ever.
        (error(KafkaError._CONFLICT, "fatal", "retriable"), ErrorAction.FATAL),
        (error(KafkaError.INVALID_TXN_STATE, "fatal", "abortable"), ErrorAction.FATAL),
        (error(KafkaError._TIMED_OUT, "fatal", "abortable", "retriable"), ErrorAction.FATAL),
        # Abort comes before retry: the same call again cannot succeed in this transaction.
        (error(KafkaError._TIMED_OUT, "abortable", "retriable"), ErrorAction.ABORT),
        (error(KafkaError.TOPIC_AUTHORIZATION_FAILED, "abortable", "retriable"), ErrorAction.ABORT),
    ],
    ids=str,
)
def test_an_error_has_one_action(found: KafkaError, action: ErrorAction) -> None:
    assert classify(found) is action


@pytest.mark.parametrize(
    ("code", "unreachable"),
    [
        (KafkaError._TRANSPORT, True),
        (KafkaError._ALL_BROKERS_DOWN, True),
        (KafkaError._TIMED_OUT, True),
        (KafkaError._RESOLVE, True),
        (KafkaError._AUTHENTICATION, False),
        (KafkaError.UNKNOWN_TOPIC_OR_PART, False),
        (KafkaError.REQUEST_TIMED_OUT, False),
    ],
)
def test_only_errors_without_an_answer_are_unreachable(code: int, *, unreachable: bool) -> None:
    assert is_unreachable(error(code, "retriable")) is unreachable


def test_the_error_of_an_exception_is_the_one_it_carries() -> None:
    carried = error(KafkaError._TIMED_OUT)

    assert error_of(KafkaException(carried)) is carried


def test_an_exception_without_an_error_stays_itself() -> None:
    with pytest.raises(KafkaException, match="no error object"):
        error_of(KafkaException("no error object"))
