"""Errors of the broker whose cause is a setting or a missing right: a restart would only repeat them."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import KafkaError

from stream_infer.flow.errors import Misconfigured, Problem

TRANSACTION_TIMEOUT = "transaction.timeout.ms"
SESSION_TIMEOUT = "session.timeout.ms"


def as_misconfigured(error: KafkaError, config: Mapping[str, object]) -> Misconfigured | None:
    """Return the problem behind `error` of a client with the properties `config`; None for other errors."""
    problem = _problem(error.code(), config)
    return None if problem is None else Misconfigured([problem])


def _problem(code: int, config: Mapping[str, object]) -> Problem | None:
    match code:
        case KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            message = f"this principal may not use the transactional id {config['transactional.id']}"
            fix = 'allow it WRITE on the transactional id, or set `guarantee = "at_least_once"` in [delivery]'
            return Problem("pipeline", "", message, fix)
        case KafkaError.GROUP_AUTHORIZATION_FAILED:
            message = f"this principal may not use the consumer group {config['group.id']}"
            return Problem("pipeline", "", message, "allow it READ on the group")
        case KafkaError.INVALID_TRANSACTION_TIMEOUT:
            fix = "set at most transaction.max.timeout.ms of the brokers, or raise that"
            return _refused_timeout("producer", TRANSACTION_TIMEOUT, config, fix)
        case KafkaError.INVALID_SESSION_TIMEOUT:
            fix = "stay within group.min.session.timeout.ms and group.max.session.timeout.ms of the brokers"
            return _refused_timeout("consumer", SESSION_TIMEOUT, config, fix)
    return None


def _refused_timeout(scope: str, name: str, config: Mapping[str, object], fix: str) -> Problem:
    return Problem(f"kafka.{scope}.{name}", str(config[name]), "the broker refuses it", fix)
