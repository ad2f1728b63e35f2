"""`[kafka]`: the properties of each client, and secrets that no message shows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stream_infer.config import properties
from stream_infer.kafka import client
from stream_infer.kafka.client import OWNED, Properties

UNSPOKEN = "correct horse battery staple"


def parsed(table: object, folder: Path = Path()) -> properties.KafkaProperties:
    flat, problems = properties.flatten_scopes(table)
    outcome = properties.parse_properties(flat, folder)
    outcome.problems[:0] = problems
    return outcome


def usable(table: dict[str, object], folder: Path = Path()) -> Properties:
    outcome = parsed({"bootstrap.servers": "b:1", **table}, folder)
    assert outcome.problems == []
    return outcome.properties


def test_nested_tables_are_flattened_to_dotted_names() -> None:
    found = usable({"sasl": {"username": "u"}, "producer": {"linger": {"ms": 5}}, "check.crcs": True})

    assert found.common == {"bootstrap.servers": "b:1", "sasl.username": "u", "check.crcs": "true"}
    assert found.producer == {"linger.ms": "5"}


def test_each_client_gets_its_own_properties_over_the_common_ones() -> None:
    found = usable({"client.id": "me", "producer": {"linger.ms": 5}, "consumer": {"fetch.min.bytes": 9}})

    producer = client.producer(found, transactional_id="p.score.0", client_id="default")
    consumer = client.consumer(found, group_id="p.score", instance_id="0", client_id="default")

    assert producer["client.id"] == consumer["client.id"] == "me"
    assert (producer["linger.ms"], consumer["fetch.min.bytes"]) == ("5", "9")
    assert "linger.ms" not in consumer
    assert producer["transactional.id"] == "p.score.0"
    assert (consumer["group.id"], consumer["isolation.level"]) == ("p.score", "read_committed")


def test_a_producer_of_single_records_needs_no_right_but_write() -> None:
    found = usable({"producer": {"enable.gapless.guarantee": True, "linger.ms": 5}})

    single = client.single_record_producer(found, client_id="c")

    assert (single["enable.idempotence"], single["acks"], single["max.in.flight"]) == ("false", "all", "1")
    assert "enable.gapless.guarantee" not in single
    assert single["linger.ms"] == "5"


def test_a_property_of_the_user_replaces_the_default_of_the_worker() -> None:
    found = usable({"producer": {"compression.type": "zstd"}})

    assert client.producer(found, transactional_id=None, client_id="c")["compression.type"] == "zstd"
    assert client.max_poll_interval_s(found) == 300
    assert client.max_poll_interval_s(usable({"consumer": {"max.poll.interval.ms": 60_000}})) == 60


@pytest.mark.parametrize("scope", ["", "producer", "consumer"])
@pytest.mark.parametrize("name", OWNED)
def test_a_property_that_the_worker_sets_is_refused_with_the_reason(name: str, scope: str) -> None:
    table: dict[str, object] = {name: "1"}

    [problem] = parsed({"bootstrap.servers": "b:1", **({scope: table} if scope else table)}).problems

    assert OWNED[name] in problem.message


def test_a_secret_reaches_the_client_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "password").write_text(UNSPOKEN + "\n")

    found = usable({"sasl.username": {"file": "password"}, "ssl.key.password": UNSPOKEN}, tmp_path)

    assert client.admin(found)["sasl.username"] == UNSPOKEN
    assert client.admin(found)["ssl.key.password"] == UNSPOKEN
    assert UNSPOKEN not in repr(found)
    assert UNSPOKEN not in f"{found.common['sasl.username']}"


@pytest.mark.parametrize(
    "table",
    [
        {"sasl.password": UNSPOKEN, "linger.ms": -1},
        {"sasl.pasword": UNSPOKEN},
        {"sasl.jaas.config": UNSPOKEN},
        {"ssl.key.pem": UNSPOKEN, "security.protocol": "SSL"},
        {"group.id": {"file": "password"}},
        {"security.protocol": {"file": "password"}},
        {"linger.ms": {"file": "password"}},
        {"sasl.password": [UNSPOKEN, 1]},
        {"sasl.password": {"fil": UNSPOKEN}},
        {"sasl.password": {"file": "password", "text": UNSPOKEN}},
        {"producer": {"sasl.password": UNSPOKEN, "acks": "9"}},
        {"bootstrap.servers": f"SASL_SSL://me:{UNSPOKEN}@b:9093"},
        {"bootstrap.servers": ["b:1", f"me:{UNSPOKEN}@b:9093"]},
        {"metadata.broker.list": f"me:{UNSPOKEN}@b:9093"},
        {"sasl.password": {"file": UNSPOKEN}},
    ],
    ids=json.dumps,
)
def test_no_problem_prints_a_secret(tmp_path: Path, table: dict[str, object]) -> None:
    (tmp_path / "password").write_text(UNSPOKEN)

    outcome = parsed({"bootstrap.servers": "b:1", **table}, tmp_path)

    assert outcome.problems
    assert UNSPOKEN not in repr(outcome)


def test_an_empty_secret_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("\n")

    [problem] = parsed({"bootstrap.servers": "b:1", "sasl.password": {"file": "password"}}, tmp_path).problems

    assert problem.key == "kafka.sasl.password"
    assert problem.message == "the file is empty"


def test_a_property_that_librdkafka_itself_calls_file_is_passed_on() -> None:
    found = usable({"sasl": {"oauthbearer": {"assertion": {"file": "/run/assertion"}}}})

    assert found.common["sasl.oauthbearer.assertion.file"] == "/run/assertion"


def test_addresses_may_be_a_list_and_belong_to_every_client() -> None:
    assert parsed({"bootstrap.servers": ["a:1", "b:2"]}).properties.servers == "a:1,b:2"

    [problem] = parsed({"bootstrap.servers": "a:1", "consumer": {"bootstrap.servers": "b:2"}}).problems
    assert problem.fix == "move it to [kafka]"
