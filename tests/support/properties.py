"""The settings of the test broker: one small node without delays."""

from __future__ import annotations

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


def server_properties(ports: Ports, *, host: str, data: str) -> dict[str, str]:
    """Return Kafka's own settings for a broker that binds `ports` on `host` and is reached by loopback."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{ports.controller}",
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
        # all operations are allowed until a test denies one
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
        # one node holds every replica
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
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
