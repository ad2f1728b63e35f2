"""A Kafka broker for the tests: a configured one, else a container, else a Java process.

`container` and `java` start a broker; `properties` has its settings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass

from tests.support.errors import Unavailable
from tests.support.java import java_broker
from tests.support.properties import Ports
from tests.support.ready import answers, wake_coordinators

GIVEN = "STREAM_INFER_TEST_BOOTSTRAP"


@dataclass(frozen=True, slots=True)
class Route:
    """Clients that bootstrap from `listen` stay on it; a proxy there must forward to `upstream`."""

    listen: int
    upstream: int

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.listen}"


@dataclass(frozen=True, slots=True)
class Broker:
    """A running broker. A configured one has no route for a proxy: it does not advertise any."""

    bootstrap: str
    route: Route | None


@contextmanager
def running_broker() -> Iterator[Broker]:
    """Find or start a broker; end it on leaving if started here. Raises `Unavailable` with all reasons."""
    given = os.environ.get(GIVEN)
    if given:
        yield _given(given)
        return
    reasons = [f"{GIVEN} is not set"]
    with ExitStack() as stack:
        for start in (_container, java_broker):
            try:
                ports = stack.enter_context(start())
            except Unavailable as reason:
                reasons.append(str(reason))
                continue
            yield Broker(f"127.0.0.1:{ports.plain}", Route(listen=ports.proxy, upstream=ports.proxied))
            return
    raise Unavailable("; ".join(reasons))


def _container() -> AbstractContextManager[Ports]:
    from tests.support.container import container_broker  # noqa: PLC0415 - docker's imports cost every test run 0.5 s

    return container_broker()


def _given(bootstrap: str) -> Broker:
    if not answers(bootstrap, within_s=10.0):
        raise Unavailable(f"{GIVEN}: no broker answers at {bootstrap}")
    wake_coordinators(bootstrap)
    return Broker(bootstrap, route=None)
