from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from confluent_kafka import ConsumerGroupState, KafkaError, KafkaException

from stream_infer.flow.errors import BrokerUnreachable
from stream_infer.kafka import admin_requests
from stream_infer.kafka.admin_requests import AdminRequests
from stream_infer.kafka.client import Properties
from tests.support.ports import free_ports

GROUP = "shop.score"


class Client:
    """Answers with `result` or an exception; not at all without one."""

    def __init__(self, result: object = None) -> None:
        self.future: Future[object] = Future()
        self.request_timeout_s = 0.0
        if isinstance(result, Exception):
            self.future.set_exception(result)
        elif result is not None:
            self.future.set_result(result)

    def poll(self, _timeout_s: float) -> int:
        return 0

    def describe_consumer_groups(
        self, group_ids: list[str], *, request_timeout: float, **_: object
    ) -> dict[str, Future[object]]:
        self.request_timeout_s = request_timeout
        return dict.fromkeys(group_ids, self.future)


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Client]]:
    """The clients that are made next, in order."""
    waiting: list[Client] = []
    monkeypatch.setattr(admin_requests, "AdminClient", lambda *_, **__: waiting.pop(0))
    yield waiting
    assert not waiting


def requests() -> AdminRequests:
    return AdminRequests(Properties({"bootstrap.servers": "127.0.0.1:9"}), 0.01)


def test_a_request_about_a_group_outlives_the_time_that_it_is_waited_for(clients: list[Client]) -> None:
    silent = Client()
    clients.append(silent)

    with pytest.raises(BrokerUnreachable, match="no answer from"):
        requests().describe_groups([GROUP])

    assert silent.request_timeout_s == 3_600.0
    assert not silent.future.done()


def test_a_client_without_an_answer_is_let_go(clients: list[Client]) -> None:
    clients += [Client(), Client(ConsumerGroupState.STABLE)]
    asked = requests()
    with pytest.raises(BrokerUnreachable):
        asked.describe_groups([GROUP])

    assert asked.describe_groups([GROUP]) == {GROUP: ConsumerGroupState.STABLE}


def test_a_client_that_has_answered_is_let_go(clients: list[Client]) -> None:
    clients += [Client(ConsumerGroupState.EMPTY), Client(ConsumerGroupState.STABLE)]
    asked = requests()

    assert asked.describe_groups([GROUP]) == {GROUP: ConsumerGroupState.EMPTY}
    assert asked.describe_groups([GROUP]) == {GROUP: ConsumerGroupState.STABLE}


def test_a_refusal_is_the_answer_of_its_group(clients: list[Client]) -> None:
    refused = KafkaError(KafkaError.GROUP_AUTHORIZATION_FAILED)
    clients.append(Client(KafkaException(refused)))

    assert requests().describe_groups([GROUP]) == {GROUP: refused}


def test_a_failed_connection_is_told_in_place_of_a_timeout(clients: list[Client]) -> None:
    clients.append(Client(KafkaException(KafkaError(KafkaError._TRANSPORT, "connection refused"))))

    with pytest.raises(BrokerUnreachable, match="connection refused"):
        requests().describe_groups([GROUP])


def test_a_real_client_without_a_broker_is_let_go_at_once() -> None:
    [port] = free_ports(1)
    asked = AdminRequests(Properties({"bootstrap.servers": f"127.0.0.1:{port}"}), 0.01)
    first = asked.client

    with pytest.raises(BrokerUnreachable):
        asked.describe_groups([GROUP])

    assert asked.client is not first
