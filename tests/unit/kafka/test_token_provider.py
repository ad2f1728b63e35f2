"""Tokens from a function of the user: what is a token, what a client gets, and what the log says."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import BrokerUnreachable
from stream_infer.kafka import client
from stream_infer.kafka.client import Properties
from stream_infer.kafka.token_provider import NoToken, TokenProvider

LATER = time.time() + 86_400


def provider(*answers: Any) -> TokenProvider:
    """Return a provider that gives or raises one answer after the other."""
    waiting = iter(answers)

    def function(_config: str) -> tuple[object, ...]:
        answer = next(waiting)
        if isinstance(answer, BaseException):
            raise answer
        result: tuple[object, ...] = answer
        return result

    return TokenProvider("tokens:kafka", function)


MAKERS: Sequence[Callable[[Properties], dict[str, Any]]] = (
    client.admin,
    lambda given: client.consumer(given, group_id="g", instance_id="0", client_id="c"),
    lambda given: client.producer(given, transactional_id="t", client_id="c"),
)


@pytest.mark.parametrize("make", MAKERS)
def test_every_client_gets_the_provider(make: Callable[[Properties], dict[str, Any]]) -> None:
    tokens = provider(("t", LATER), ("t2", LATER))

    assert make(Properties({}, token_provider=tokens))["oauth_cb"] is tokens
    assert "oauth_cb" not in make(Properties({}))


def test_the_function_is_given_the_property_and_is_asked_only_once_before_there_are_clients() -> None:
    asked: list[str] = []

    def function(config: str) -> tuple[str, float]:
        asked.append(config)
        return "t", LATER

    given = Properties({"sasl.oauthbearer.config": "scope=a"}, token_provider=TokenProvider("m:f", function))
    for make in MAKERS:
        make(given)

    assert asked == ["scope=a"]


@pytest.mark.parametrize("more", [(), ("principal",), ("principal", {"cluster": "a"})])
def test_a_principal_and_extensions_may_follow(more: tuple[object, ...]) -> None:
    assert provider(("t", LATER, *more))("") == ("t", LATER, *more)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "t",
        ("t",),
        (b"t", LATER),
        ("", LATER),
        ("t", "soon"),
        ("t", LATER * 1000),
        ("t", 5),
        ["t", LATER],
    ],
)
def test_anything_else_is_no_token(answer: object) -> None:
    with pytest.raises(NoToken, match="Unix seconds"):
        provider(answer)("")


@pytest.mark.parametrize("raised", [OSError("away"), SystemExit("away")])
def test_a_provider_that_raises_at_the_start_is_named_with_the_reason(raised: BaseException) -> None:
    reason = f"tokens:kafka gave no token: {type(raised).__name__}: away"
    with pytest.raises(BrokerUnreachable, match=reason):
        client.admin(Properties({}, token_provider=provider(raised)))


def test_the_log_says_once_that_there_is_no_token_until_there_is_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    away = OSError("away")
    tokens = provider(away, away, ("t", LATER), away)

    with caplog.at_level(logging.WARNING, "stream_infer.kafka.tokens"):
        for fails in (True, True, False, True):
            if fails:
                with pytest.raises(NoToken, match="OSError: away"):
                    tokens("")
            else:
                tokens("")

    assert [record.message for record in caplog.records] == [LogEvent.NO_TOKEN] * 2
