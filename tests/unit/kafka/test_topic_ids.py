"""The ids of topics, as the brokers tell them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from confluent_kafka import KafkaError

from stream_infer.flow.errors import BrokerUnreachable
from stream_infer.kafka.topic_ids import NO_ID, TopicIds, differs
from tests.support.topic_ids import MISSING, SILENT, ToldIds, topic_ids

NONE_OF_BROKER = "AAAAAAAAAAAAAAAAAAAAAA"
DENIED = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "denied")


def test_each_topic_has_its_id_or_none_or_is_missing() -> None:
    ids = topic_ids({"a": "x", "b": NONE_OF_BROKER, "c": MISSING})

    assert ids.now() == {"a": "x", "b": NO_ID, "c": None}
    assert [ids.is_missing(topic) for topic in "abcd"] == [False, False, True, False]


def test_the_first_id_counts_as_used_until_offsets_are_committed_under_another() -> None:
    broker = ToldIds({"a": "x"})
    ids = topic_ids(broker)
    ids.now()
    broker.told["a"] = "y"

    assert (ids.now(), ids.used) == ({"a": "y"}, {"a": "x"})


@pytest.mark.parametrize("error", [SILENT, DENIED])
def test_a_topic_is_asked_about_again_while_no_broker_tells_its_id(error: KafkaError) -> None:
    broker = ToldIds({"a": error})
    ids = topic_ids(broker)
    ids.ask()
    broker.told["a"] = "x"

    assert (ids.wait(), broker.asked) == ({"a": "x"}, 2)


def test_a_stop_ends_the_waiting_and_the_error_is_told() -> None:
    with pytest.raises(BrokerUnreachable, match="no broker tells the ids of a: no answer"):
        topic_ids({"a": SILENT}, stopping=True).now()


def test_an_answer_is_looked_at_without_waiting() -> None:
    waiting: list[Future[Any]] = []

    def ask(topics: Sequence[str]) -> Mapping[str, Future[Any]]:
        waiting.extend(Future() for _ in topics)
        return dict(zip(topics, waiting, strict=True))

    ids = TopicIds(ask, ["a"], stopping=lambda: True)
    ids.look()
    ids.ask()
    ids.look()
    with pytest.raises(BrokerUnreachable, match="no answer"):
        ids.wait()

    assert ids.found == {}


def test_a_mock_cluster_is_not_asked() -> None:
    ids = topic_ids({})

    assert ids.now() == {}
    assert ids.asked_at == float("-inf")


@pytest.mark.parametrize(
    ("used", "found", "expected"),
    [
        ("x", "x", False),
        ("x", "y", True),
        ("x", None, True),
        (NO_ID, None, True),
        (None, "y", False),
        (NO_ID, "y", False),
        ("x", NO_ID, False),
    ],
)
def test_only_two_ids_or_a_missing_topic_show_a_difference(
    used: str | None, found: str | None, *, expected: bool
) -> None:
    assert differs(used, found) is expected
