from __future__ import annotations

from collections.abc import Sequence

import pytest
from confluent_kafka import ConsumerGroupState, ConsumerGroupType, Node, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # public names, not marked as exported
    ConsumerGroupDescription,
    MemberAssignment,
    MemberDescription,
)

from stream_infer.kafka.client import Properties
from stream_infer.kafka.foreign_members import foreign_members

PLAIN = Properties({})


def member(client_id: str, *partitions: int, slot: str | None = None) -> MemberDescription:
    assigned = MemberAssignment([TopicPartition("events", index) for index in partitions])
    return MemberDescription(client_id, client_id, "/10.0.0.7", assigned, group_instance_id=slot)


def group(
    *members: MemberDescription,
    assignor: str = "cooperative-sticky",
    kind: ConsumerGroupType = ConsumerGroupType.CLASSIC,
) -> ConsumerGroupDescription:
    return ConsumerGroupDescription(
        "shop.score", False, list(members), assignor, ConsumerGroupState.STABLE, Node(0, "", 0), type=kind
    )


def told(found: Sequence[str]) -> str:
    [sentence] = found
    return sentence


def test_workers_are_not_foreign() -> None:
    workers = [member("shop.score.a", 0, slot="a"), member("shop.score.b.5f3a", 1, slot="b")]

    assert foreign_members(group(*workers), PLAIN) == []


@pytest.mark.parametrize(
    "stranger",
    [member("shop.score.a", 2, 0), member("console", 2, 0), member("console", 2, 0, slot="a")],
    ids=["not static", "neither", "another client.id"],
)
def test_a_member_that_is_not_static_or_has_another_client_id_is_told_with_its_partitions(
    stranger: MemberDescription,
) -> None:
    sentence = told(foreign_members(group(member("shop.score.b", 1, slot="b"), stranger), PLAIN))

    assert sentence.startswith(f"consumer {stranger.client_id} at 10.0.0.7 is no worker")
    assert "records of events/0, events/2;" in sentence
    assert "no worker can join" not in sentence


@pytest.mark.parametrize(
    "properties", [Properties({"client.id": "own"}), Properties({}, {}, {"client.id": "own"})]
)
def test_the_client_id_in_the_settings_is_that_of_all_workers(properties: Properties) -> None:
    members = [member("own", 0, slot="a"), member("shop.score.b", 1, slot="b")]

    assert told(foreign_members(group(*members), properties)).startswith("consumer shop.score.b ")


def test_another_assignor_keeps_workers_out() -> None:
    sentence = told(foreign_members(group(member("console", 0), assignor="range"), PLAIN))

    assert "no worker can join: the group assigns by range, not cooperative-sticky" in sentence


def test_the_assignor_of_a_kip_848_group_keeps_nobody_out() -> None:
    described = group(member("console"), assignor="uniform", kind=ConsumerGroupType.CONSUMER)

    sentence = told(foreign_members(described, PLAIN))

    assert "it has no partitions" in sentence
    assert "no worker can join" not in sentence
