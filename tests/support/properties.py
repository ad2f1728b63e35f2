"""The settings of test brokers: small nodes without delays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a broker, and the port that its listener `PROXIED` advertises.

    Clients of `PROXIED` connect to `proxy`. There `tests.support.proxy` listens during a test and forwards
    to `proxied`.
    """

    plain: int
    proxied: int
    controller: int
    proxy: int


# All operations are allowed until a test denies one. Not in a cluster: its first election would be denied.
_AUTHORIZER = {
    "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
    "allow.everyone.if.no.acl.found": "true",
}


def server_properties(
    ports: Ports, *, host: str, data: str, node: int = 0, controllers: Sequence[int] = ()
) -> dict[str, str]:
    """Return Kafka's own settings for a broker that binds `ports` on `host` and is reached by loopback.

    `controllers` are the controller ports of all nodes of a cluster, and `node` is the index of this one.
    Each node is broker and controller.
    """
    nodes = controllers or (ports.controller,)
    copies = str(len(nodes))
    majority = str(len(nodes) // 2 + 1)
    return {
        "process.roles": "broker,controller",
        "node.id": str(node + 1),
        "controller.quorum.voters": ",".join(f"{i + 1}@127.0.0.1:{port}" for i, port in enumerate(nodes)),
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listeners": (
            f"PLAINTEXT://{host}:{ports.plain},PROXIED://{host}:{ports.proxied},"
            f"CONTROLLER://127.0.0.1:{ports.controller}"
        ),
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{ports.plain},PROXIED://127.0.0.1:{ports.proxy}",
        "listener.security.protocol.map": ("PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,CONTROLLER:PLAINTEXT"),
        "log.dirs": data,
        "auto.create.topics.enable": "false",
        **(_AUTHORIZER if len(nodes) == 1 else {}),
        # every node holds every replica
        "default.replication.factor": copies,
        "min.insync.replicas": majority,
        "offsets.topic.replication.factor": copies,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": majority,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": majority,
        # by default 50 partitions each, created at the first use
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.num.partitions": "1",
        # no delays
        "group.initial.rebalance.delay.ms": "0",
        "group.min.session.timeout.ms": "500",
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "500",
        # small
        "log.cleaner.dedupe.buffer.size": "4194304",
        "num.network.threads": "2",
        "num.io.threads": "3",
    }
