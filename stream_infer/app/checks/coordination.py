"""The checks of what transactions and groups need of the brokers: bounds of timeouts, logs, rights.

Nothing here begins a transaction or joins a group.
"""

from __future__ import annotations

from collections.abc import Iterator

from stream_infer.app.checks.findings import Findings
from stream_infer.app.kit.member import GroupMember
from stream_infer.config.sections import Guarantee
from stream_infer.config.settings import Settings
from stream_infer.flow.errors import BrokerUnreachable, Misconfigured, Problem
from stream_infer.kafka.broker_refusals import SESSION_TIMEOUT, TRANSACTION_TIMEOUT
from stream_infer.kafka.broker_settings import GROUP_LOG, TRANSACTION_LOG, BrokerSettings
from stream_infer.kafka.producers import try_transactional_id


def coordination_problems(settings: Settings, broker: BrokerSettings) -> Iterator[Problem]:
    """Yield why no worker could join its group or begin a transaction, as far as the brokers tell."""
    yield from _session_problems(settings, broker)
    if settings.delivery.guarantee is Guarantee.EXACTLY_ONCE:
        yield from _log_problems(TRANSACTION_LOG, "transaction.state.log", broker)
        yield from _timeout_problems(settings, broker)


def group_log_problems(broker: BrokerSettings) -> Iterator[Problem]:
    """Yield why the brokers cannot keep groups and their offsets."""
    yield from _log_problems(GROUP_LOG, "offsets.topic", broker)


def transactional_id_findings(settings: Settings, *, timeout_s: float) -> Findings:
    """Return which transactional ids of this slot this principal may not use. Fences no worker."""
    findings = Findings()
    groups = []
    if settings.delivery.guarantee is Guarantee.EXACTLY_ONCE:
        groups.append(settings.group_id)
    if settings.monitoring.topic is not None:
        groups.append(settings.monitor_group_id)
    for group_id in groups:
        member = GroupMember(settings.kafka, group_id, settings.worker.slot)
        try:
            try_transactional_id(member.producer_config(transactional=True), within_s=timeout_s)
        except Misconfigured as refused:
            findings.add(refused.problems)
        except BrokerUnreachable as silent:
            fix = "read the brokers' logs: the partitions of __transaction_state need a leader"
            problem = Problem("kafka.bootstrap.servers", f'"{settings.kafka.servers}"', str(silent), fix)
            findings.add([problem], BrokerUnreachable.exit_code)
    return findings


def _log_problems(log: str, prefix: str, broker: BrokerSettings) -> Iterator[Problem]:
    """Yield why the brokers cannot keep `log`, whose settings begin with `prefix`."""
    name = f"{prefix}.replication.factor"
    wanted, replicas = broker.number(name), broker.replicas.get(log)
    if wanted is not None and replicas == 0 and wanted > broker.nodes:
        message = (
            f"the brokers cannot make {log}: it wants more replicas than brokers are up ({broker.nodes})"
        )
        yield Problem(name, str(wanted), message, f"start more brokers, or lower {name} at the brokers")
        return
    in_sync, copies = broker.number(f"{prefix}.min.isr"), replicas or wanted
    if in_sync is not None and copies is not None and in_sync > copies:
        message = f"{log} has fewer replicas ({copies}), so that the brokers never write it"
        fix = f"lower {prefix}.min.isr at the brokers, or add replicas to {log}"
        yield Problem(f"{prefix}.min.isr", str(in_sync), message, fix)


def _session_problems(settings: Settings, broker: BrokerSettings) -> Iterator[Problem]:
    config = GroupMember(settings.kafka, settings.group_id, settings.worker.slot).consumer_config()
    value = int(config[SESSION_TIMEOUT])
    least, most = (broker.number(f"group.{end}.session.timeout.ms") for end in ("min", "max"))
    if (least is not None and value < least) or (most is not None and value > most):
        message = f"the brokers take from {least} to {most} (group.min and group.max.session.timeout.ms)"
        fix = "set a value between the two, or change them at the brokers"
        yield Problem(_key(settings, "consumer", SESSION_TIMEOUT), str(value), message, fix)


def _timeout_problems(settings: Settings, broker: BrokerSettings) -> Iterator[Problem]:
    member = GroupMember(settings.kafka, settings.group_id, settings.worker.slot)
    value = int(member.producer_config(transactional=True)[TRANSACTION_TIMEOUT])
    most = broker.number("transaction.max.timeout.ms")
    if most is not None and value > most:
        message = f"the brokers take at most {most} (transaction.max.timeout.ms)"
        fix = "set at most that, or raise transaction.max.timeout.ms at the brokers"
        yield Problem(_key(settings, "producer", TRANSACTION_TIMEOUT), str(value), message, fix)


def _key(settings: Settings, scope: str, name: str) -> str:
    """Return the key of worker.toml that sets a property, or may set it."""
    kafka = settings.kafka
    own = kafka.producer if scope == "producer" else kafka.consumer
    return f"kafka.{name}" if name in kafka.common and name not in own else f"kafka.{scope}.{name}"
