"""Apache Kafka in a container, if a container engine runs."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker  # type: ignore[import-untyped]  # it has no stubs
from docker.errors import DockerException  # type: ignore[import-untyped]  # it has no stubs
from testcontainers.core.container import DockerContainer

from tests.support.errors import Unavailable
from tests.support.java import KAFKA_VERSION
from tests.support.ports import free_ports
from tests.support.properties import Ports, server_properties
from tests.support.ready import wait_for_broker

_IMAGE = f"apache/kafka:{KAFKA_VERSION}"
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - inside the container
_DATA = "/var/lib/kafka/data"


@contextmanager
def container_broker() -> Iterator[Ports]:
    """Run a broker; the container is removed on leaving. Raises `Unavailable` with the reason."""
    _require_engine()
    ports = Ports(*free_ports(4))
    container = _container(ports)
    try:
        container.start()
        if not wait_for_broker(ports.plain):
            raise Unavailable(f"Docker: the broker in {_IMAGE} did not answer")
        yield ports
    except DockerException as error:
        raise Unavailable(f"Docker: {_IMAGE} did not start: {error}") from error
    finally:
        container.stop()


def _require_engine() -> None:
    # The client leaks a socket when there is no engine, so check for its socket file first.
    if (
        platform.system() == "Linux"
        and "DOCKER_HOST" not in os.environ
        and not Path("/var/run/docker.sock").exists()
    ):
        raise Unavailable("Docker: no engine runs here")
    try:
        client = docker.from_env(timeout=5)
        client.ping()
        client.close()
    except DockerException as error:
        raise Unavailable(f"Docker: no engine answers: {error}") from error


def _container(ports: Ports) -> DockerContainer:
    container = DockerContainer(_IMAGE)
    for key, value in server_properties(ports, host=_EVERYWHERE, data=_DATA).items():
        container.with_env("KAFKA_" + key.upper().replace(".", "_"), value)
    for port in (ports.plain, ports.proxied):
        container.with_bind_ports(port, port)  # the same port inside: the broker connects to its own address
    return container
