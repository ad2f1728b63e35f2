from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from tests.conftest import Topics
from tests.contracts.file_rig import FileRig
from tests.contracts.kafka_rig import KafkaRig, at_least_once, transactions
from tests.contracts.memory_rig import MemoryRig
from tests.contracts.rigs import Rig
from tests.support.broker import Broker

_ATOMIC = ["memory", pytest.param("transactions", marks=pytest.mark.kafka)]
_ALL = [*_ATOMIC, pytest.param("at_least_once", marks=pytest.mark.kafka)]


@pytest.fixture
def make_rig(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Rig]]:
    """Return a factory of rigs by name. The rigs are closed when the test ends."""
    with ExitStack() as stack:

        def make(name: str) -> Rig:
            if name == "memory":
                return MemoryRig()
            if name == "files":
                return FileRig(request.getfixturevalue("tmp_path"))
            broker: Broker = request.getfixturevalue("broker")
            topics: Topics = request.getfixturevalue("topics")
            publisher = transactions if name == "transactions" else at_least_once
            return stack.enter_context(closing(KafkaRig(broker.bootstrap, topics, publisher)))

        yield make


@pytest.fixture(params=[*_ALL, "files"])
def rig(request: pytest.FixtureRequest, make_rig: Callable[[str], Rig]) -> Rig:
    """Return each implementation of the session in turn."""
    return make_rig(request.param)


@pytest.fixture(params=_ALL)
def endless_rig(request: pytest.FixtureRequest, make_rig: Callable[[str], Rig]) -> Rig:
    """Return each implementation whose input grows while it is read: all but files."""
    return make_rig(request.param)


@pytest.fixture(params=_ATOMIC)
def atomic_rig(request: pytest.FixtureRequest, make_rig: Callable[[str], Rig]) -> Rig:
    """Return each implementation whose aborted outputs stay invisible: all but at-least-once."""
    return make_rig(request.param)
