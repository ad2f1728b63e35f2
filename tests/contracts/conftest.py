from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.conftest import Topics
from tests.contracts.kafka_rig import KafkaRig, transactions
from tests.contracts.memory_rig import MemoryRig
from tests.contracts.rigs import Rig
from tests.kafka.broker import Broker


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Return each implementation of the pair in turn. At-least-once keeps all but the last promise of Sink."""
    if request.param == "memory":
        yield MemoryRig()
        return
    broker: Broker = request.getfixturevalue("broker")
    topics: Topics = request.getfixturevalue("topics")
    with closing(KafkaRig(broker.bootstrap, topics, transactions)) as kafka:
        yield kafka
