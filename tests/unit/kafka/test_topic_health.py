from __future__ import annotations

import pytest

from stream_infer.flow.records import Channel
from stream_infer.kafka import topic_health as topic_health_module
from stream_infer.kafka.client import Properties
from stream_infer.kafka.topic_health import TopicHealth, reason_against
from stream_infer.kafka.topics import MissingTopic, Topic

NOBODY = Properties({"bootstrap.servers": "127.0.0.1:1"})


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        (Topic(1, frozenset({"WRITE", "READ"})), None),
        (Topic(1, frozenset()), None),
        (Topic(1, frozenset({"READ"})), "frames may not be written by this principal"),
        (MissingTopic(exists=False, reason="does not exist"), "frames does not exist"),
    ],
)
def test_a_topic_accepts_records_unless_it_is_deleted_or_forbidden(
    topic: Topic | MissingTopic, reason: str | None
) -> None:
    assert reason_against("frames", topic) == reason


def test_without_an_answer_the_known_state_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topic_health_module, "_ASK_S", 0.2)
    with TopicHealth(NOBODY, {Channel.OBSERVATIONS: "frames", Channel.EVENTS: "events"}) as health:
        health.refresh()

        assert health.unavailable == {}
        assert not health.cannot_succeed({"frames"})
