"""`[kafka] token_provider`: the function that it names, and what it is used with."""

from __future__ import annotations

from pathlib import Path

import pytest

from stream_infer.config import properties
from stream_infer.config.environment import read_environment
from stream_infer.flow.errors import Problem

OAUTH = {"bootstrap.servers": "b:1", "security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "OAUTHBEARER"}
PROVIDER = "tests.support.tokens:provide"
OIDC = {
    "sasl.oauthbearer.method": "oidc",
    "sasl.oauthbearer.client.id": "fraud",
    "sasl.oauthbearer.client.secret": "correct horse",
    "sasl.oauthbearer.token.endpoint.url": "http://127.0.0.1:9/token",
}


def parsed(**table: object) -> properties.KafkaProperties:
    flat, problems = properties.flatten_scopes(table)
    assert problems == []
    return properties.parse_properties(flat, Path())


def problem(**table: object) -> Problem:
    [found] = parsed(**table).problems
    return found


def test_the_function_is_imported_and_is_no_property_of_librdkafka() -> None:
    found = parsed(**OAUTH, token_provider=PROVIDER)

    assert found.problems == []
    assert found.properties.token_provider is not None
    assert found.properties.token_provider.name == PROVIDER
    assert "token_provider" not in found.properties.common


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("tests.support.tokens", "not of the form module:function"),
        (7, "not of the form module:function"),
        ("tests.support.nowhere:provide", "ModuleNotFoundError"),
        ("tests.support.tokens:nothing", "has no such function"),
        ("tests.support.tokens:LIFETIME_S", "has no such function"),
    ],
)
def test_a_function_that_does_not_exist_is_refused(value: object, message: str) -> None:
    found = problem(**OAUTH, token_provider=value)

    assert found.key == "kafka.token_provider"
    assert message in found.message
    assert found.fix


def test_it_is_for_all_clients_alike() -> None:
    assert (
        problem(**OAUTH, **OIDC, producer={"token_provider": PROVIDER}).key == "kafka.producer.token_provider"
    )


def test_there_is_one_source_of_tokens() -> None:
    assert parsed(**OAUTH, **OIDC).problems == []
    assert "oidc" in problem(**OAUTH, **OIDC, token_provider=PROVIDER).message
    assert "no source of tokens" in problem(**OAUTH).message
    plain = {"bootstrap.servers": "b:1", "security.protocol": "SASL_PLAINTEXT"}
    scram = {**plain, "sasl.mechanism": "SCRAM-SHA-512", "sasl.username": "u", "sasl.password": "p"}
    assert "only with OAUTHBEARER" in problem(**scram, token_provider=PROVIDER).message


def test_a_variable_may_name_it() -> None:
    overlay = read_environment({"STREAM_INFER_KAFKA__TOKEN_PROVIDER": PROVIDER}, {})

    assert overlay.document == {"kafka": {"token_provider": PROVIDER}}
