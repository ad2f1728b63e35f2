"""The checks of the broker: topics that exist and fit together, and the rights to use them.

`kafka.topics` asks the broker. Nothing here joins a group or creates anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stream_infer.app.checks.coordination import coordination_problems, group_log_problems
from stream_infer.app.checks.findings import Findings
from stream_infer.config.sections import Follow
from stream_infer.config.settings import Settings
from stream_infer.flow.errors import BrokerUnreachable, Problem
from stream_infer.kafka.admin_requests import is_forbidden
from stream_infer.kafka.broker_settings import broker_settings
from stream_infer.kafka.groups import group_operations
from stream_infer.kafka.output_gate import alteration
from stream_infer.kafka.topics import MissingTopic, Topic, TopicFacts, describe_topics, facts_of
from stream_infer.steps.options import Partitioning

_OPERATIONS = {
    "input.topics": ("READ",),
    "labels.topic": ("READ",),
    "model.control_topic": ("READ",),
    "monitoring.observations_topic": ("WRITE", "READ"),
    "monitoring.state_topic": ("WRITE", "READ"),
}
_MADE_BY_PRODUCERS = {"input.topics", "labels.topic"}
_UNSEEN = (
    "bounds of timeouts: this principal may not see the brokers' settings (DESCRIBE_CONFIGS on the cluster)"
)
_CREATE = "create it with `stream-infer topics create`, or correct the name"
_CREATE_INPUT = (
    "correct the name, have its producers create it, or run `stream-infer topics create --with-input N`"
)


@dataclass(frozen=True, slots=True)
class BrokerAnswer:
    """The facts about the topics when scoring can begin, else problems.

    `monitoring` are problems that only monitoring has; `unplaced` are those of input partitions that wait
    while the others are scored.
    """

    findings: Findings
    topics: TopicFacts | None = None
    unplaced: Sequence[Problem] = ()
    monitoring: Sequence[Problem] = ()


def check_broker(settings: Settings, unusable: frozenset[str], *, timeout_s: float) -> BrokerAnswer:
    """Ask the broker about the topics and groups of `settings`, within a few times `timeout_s`.

    `unusable` are keys with stand-in values: without an address or credentials no broker is asked.
    """
    findings = Findings()
    if any(_is_address(key) for key in unusable):
        findings.skipped.append("broker: not asked, because [kafka] has to be corrected first")
        return BrokerAnswer(findings)
    names = dict.fromkeys(name for _, name in _topics(settings))
    try:
        described = describe_topics(settings.kafka, list(names), timeout_s=timeout_s)
        broker = broker_settings(settings.kafka, timeout_s=timeout_s)
        unkept = list(group_log_problems(broker))
        groups = [] if unkept else list(group_ids(settings))  # without their log nobody answers for groups
        operations = group_operations(settings.kafka, groups, timeout_s=timeout_s) if groups else {}
    except BrokerUnreachable as error:
        findings.add([_unreachable(settings, error)], BrokerUnreachable.exit_code)
        return BrokerAnswer(findings)
    problems = [
        *_topic_problems(settings, described),
        *unkept,
        *_group_problems(settings, operations),
        *coordination_problems(settings, broker),
    ]
    partitioned = not unusable & {"input.topics", "output.topic", "output.partitioning"}
    unplaced = list(_partition_problems(settings, described)) if partitioned else []
    if not broker.values:
        findings.skipped.append(_UNSEEN)
    monitoring = [p for p in problems if p.key.startswith("monitoring.")]
    findings.add(p for p in problems if p not in monitoring)
    if findings.found:
        return BrokerAnswer(findings, unplaced=unplaced, monitoring=monitoring)
    findings.passed.append(_sentence(settings, described))
    return BrokerAnswer(findings, _facts(described), unplaced, monitoring)


def _is_address(key: str) -> bool:
    section, _, name = key.partition(".")
    security = ("bootstrap", "sasl", "ssl", "security", "token")
    return section == "kafka" and (not name or any(word in name for word in security))


def _topics(settings: Settings) -> Sequence[tuple[str, str]]:
    """Return the topics that the pipeline uses, each after the key that names it."""
    topics = [("input.topics", topic) for topic in settings.input.topics]
    topics += [("output.topic", settings.output.topic), ("dlq.topic", settings.dlq.topic)]
    if settings.monitoring.topic is not None:
        topics.append(("monitoring.topic", settings.monitoring.topic))
        topics.append(("monitoring.observations_topic", settings.monitoring.observations_topic))
        topics.append(("monitoring.state_topic", settings.monitoring.state_topic))
    if settings.labels.topic is not None:
        topics.append(("labels.topic", settings.labels.topic))
    if settings.model.store is not None:
        topics.append(("model.status_topic", settings.model.status_topic))
    if settings.model.follow is Follow.TOPIC:
        topics.append(("model.control_topic", settings.model.control_topic))
    return topics


def _topic_problems(settings: Settings, described: Mapping[str, Topic | MissingTopic]) -> Iterator[Problem]:
    for key, name in _topics(settings):
        topic = described[name]
        if isinstance(topic, MissingTopic):
            fix = _CREATE if key not in _MADE_BY_PRODUCERS else _CREATE_INPUT
            yield Problem(key, f'"{name}"', topic.reason, fix)
            continue
        for operation in _OPERATIONS.get(key, ("WRITE",)):
            if is_forbidden(operation, topic.operations):
                message = f"this principal may not {operation.lower()} it"
                yield Problem(key, f'"{name}"', message, f"allow it {operation} on the topic")


def group_ids(settings: Settings) -> Mapping[str, str]:
    """Return the key that each group's name comes from."""
    groups = {settings.group_id: "pipeline"}
    return (
        groups
        if settings.monitoring.topic is None
        else groups | {settings.monitor_group_id: "monitoring.topic"}
    )


def _group_problems(settings: Settings, operations: Mapping[str, frozenset[str]]) -> Iterator[Problem]:
    keys = group_ids(settings)
    for group, permitted in operations.items():
        if is_forbidden("READ", permitted):
            message = f"this principal may not use the consumer group {group}"
            yield Problem(keys[group], f'"{settings.pipeline}"', message, "allow it READ on the group")


def _partition_problems(
    settings: Settings, described: Mapping[str, Topic | MissingTopic]
) -> Iterator[Problem]:
    output = described[settings.output.topic]
    if settings.output.partitioning is not Partitioning.SOURCE or isinstance(output, MissingTopic):
        return
    for name in settings.input.topics:
        source = described[name]
        if isinstance(source, Topic) and source.partitions > output.partitions:
            message = (
                f"{name} has {source.partitions} partitions and {settings.output.topic} has "
                f"{output.partitions}: a prediction goes to the partition of its event; the others would wait"
            )
            alter = alteration(settings.output.topic, source.partitions)
            fix = f'add partitions to the output (`{alter}`), or use partitioning = "key"'
            yield Problem("output.partitioning", '"source"', message, fix)


def _unreachable(settings: Settings, error: BrokerUnreachable) -> Problem:
    fix = "start the broker, or correct the address, security.protocol and credentials in [kafka]"
    return Problem("kafka.bootstrap.servers", f'"{settings.kafka.servers}"', str(error), fix)


def _facts(described: Mapping[str, Topic | MissingTopic]) -> TopicFacts:
    return facts_of({name: topic for name, topic in described.items() if isinstance(topic, Topic)})


def _sentence(settings: Settings, described: Mapping[str, Topic | MissingTopic]) -> str:
    counts = {name: t.partitions for name, t in described.items() if isinstance(t, Topic)}
    parts = [f"{name} ({counts[name]} partitions)" for _, name in _topics(settings) if name in counts]
    return f"topics: {', '.join(parts)}"
