"""Brokers of a test's own, which it pauses, kills and starts again.

They are Java processes: the engine of a container would keep their handles.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.support.broker import Route
from tests.support.errors import Unavailable
from tests.support.java import (
    Runtime,
    end_node,
    find_runtime,
    new_cluster_id,
    new_folder,
    tail_of_log,
    write_properties,
)
from tests.support.ports import free_ports
from tests.support.properties import Ports, server_properties
from tests.support.ready import wait_for_broker

_ENDS_WITHIN_S = 20.0
# A node that was killed may register again only when its session has ended: 9 s by default.
_SHORT_SESSION = {"broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "500"}


class Node:
    """One broker. It keeps its data and its ports when it is killed and started again."""

    def __init__(self, runtime: Runtime, folder: Path, ports: Ports) -> None:
        self.folder = folder
        self.ports = ports
        self._runtime = runtime
        self._leash: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process runs, paused or not."""
        return self._leash is not None and self._leash.poll() is None

    def start(self) -> None:
        """Start the process. It does not answer yet."""
        self._leash = self._runtime.start(self.folder)

    def pause(self) -> None:
        """Stop the process where it stands (SIGSTOP): connections stay open and nothing is answered."""
        self._process.suspend()

    def resume(self) -> None:
        """Let a paused process go on (SIGCONT)."""
        self._process.resume()

    def kill(self) -> None:
        """End the process by SIGKILL, paused or not."""
        process = self._process
        process.kill()
        psutil.wait_procs([process], timeout=_ENDS_WITHIN_S)
        assert self._leash is not None
        self._leash.wait(_ENDS_WITHIN_S)
        self._close_pipe()

    def close(self) -> None:
        """End the process and remove its data."""
        if self.running and self._leash is not None:
            end_node(self._leash, self.folder)
        self._close_pipe()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _close_pipe(self) -> None:
        if self._leash is not None and self._leash.stdin is not None:
            self._leash.stdin.close()

    @property
    def _process(self) -> psutil.Process:
        assert self._leash is not None, "the node was not started"
        [process] = psutil.Process(self._leash.pid).children()
        return process


class Cluster:
    """The nodes of one cluster, by index. Each is broker and controller, and holds every replica."""

    def __init__(self, nodes: Sequence[Node], *, coordinators: bool = True) -> None:
        self.nodes = nodes
        self._coordinators = coordinators

    @property
    def bootstrap(self) -> str:
        """The addresses of all nodes."""
        return ",".join(f"127.0.0.1:{node.ports.plain}" for node in self.nodes)

    @property
    def route(self) -> Route:
        """The way to the first node on which a proxy may listen."""
        return Route(listen=self.nodes[0].ports.proxy, upstream=self.nodes[0].ports.proxied)

    def pause(self, index: int) -> None:
        """Stop a node where it stands (SIGSTOP)."""
        self.nodes[index].pause()

    def resume(self, index: int) -> None:
        """Let a paused node go on (SIGCONT)."""
        self.nodes[index].resume()

    def kill(self, index: int) -> None:
        """End a node by SIGKILL. Its data stays."""
        self.nodes[index].kill()

    def start(self, index: int) -> None:
        """Start a killed node with the same data and ports. Returns when it answers."""
        self.nodes[index].start()
        self.wait(index)

    def wait(self, index: int) -> None:
        """Return when a node answers. Raises `Unavailable` when it ends or takes too long."""
        node = self.nodes[index]
        if not wait_for_broker(node.ports.plain, alive=lambda: node.running, coordinators=self._coordinators):
            raise Unavailable(
                f"Java: a broker did not start. The end of its log:\n{tail_of_log(node.folder)}"
            )


@contextmanager
def running_cluster(
    nodes: int = 1, settings: Mapping[str, str] | None = None, *, coordinators: bool = True
) -> Iterator[Cluster]:
    """Run a cluster whose nodes have `settings` beside the usual ones; end it on leaving.

    Without `coordinators` it is not waited for those of groups and transactions.

    Raises `Unavailable` where Java or the jars are missing.
    """
    runtime = find_runtime()
    ports = [Ports(*free_ports(4)) for _ in range(nodes)]
    cluster = Cluster([_prepared(runtime, each) for each in ports], coordinators=coordinators)
    controllers = [each.controller for each in ports]
    cluster_id = new_cluster_id()
    try:
        for index, node in enumerate(cluster.nodes):
            own = server_properties(
                node.ports,
                host="127.0.0.1",
                data=str(node.folder / "data"),
                node=index,
                controllers=controllers,
            )
            write_properties(node.folder, {**own, **_SHORT_SESSION, **(settings or {})})
            runtime.format(node.folder, cluster_id)
            node.start()
        for index in range(nodes):
            cluster.wait(index)
        yield cluster
    finally:
        for node in cluster.nodes:
            node.close()


def _prepared(runtime: Runtime, ports: Ports) -> Node:
    return Node(runtime, new_folder(), ports)
