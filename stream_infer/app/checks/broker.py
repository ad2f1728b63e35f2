"""The checks of the broker: topics that exist and fit together, and the rights to use them.

`kafka.topics` asks the broker. Nothing here joins a group or creates anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stream_infer.app.checks.findings import Findings
from stream_infer.config.sections import Follow
from stream_infer.config.settings import Settings
from stream_infer.flow.errors import BrokerUnreachable, Problem
from stream_infer.kafka.groups import group_operations
from stream_infer.kafka.topics import MissingTopic, Topic, TopicFacts, describe_topics
from stream_infer.steps.options import Partitioning

_OPERATIONS = {
    "input.topics": ("READ",),
    "labels.topic": ("READ",),
    "model.control_topic": ("READ",),
    "monitoring.observations_topic": ("WRITE", "READ"),
    "monitoring.state_topic": ("WRITE", "READ"),
}
_MADE_BY_PRODUCERS = {"input.topics", "labels.topic"}
_CREATE = "create it with `stream-infer topics create`, or correct the name"
_CREATE_INPUT = (
    "correct the name, have its producers create it, or run `stream-infer topics create --with-input N`"
)


@dataclass(frozen=True, slots=True)
class BrokerAnswer:
    """The facts about the topics when scoring can begin, else problems.

    `monitoring` are problems that only monitoring has.
    """

    findings: Findings
    topics: TopicFacts | None = None
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
        operations = group_operations(settings.kafka, list(_groups(settings)), timeout_s=timeout_s)
    except BrokerUnreachable as error:
        findings.add([_unreachable(settings, error)], BrokerUnreachable.exit_code)
        return BrokerAnswer(findings)
    problems = [
        *_topic_problems(settings, described),
        *_group_problems(settings, operations),
    ]
    if not unusable & {"input.topics", "output.topic", "output.partitioning"}:
        problems += _partition_problems(settings, described)
    monitoring = [p for p in problems if p.key.startswith("monitoring.")]
    findings.add(p for p in problems if p not in monitoring)
    if findings.found:
        return BrokerAnswer(findings, monitoring=monitoring)
    findings.passed.append(_sentence(settings, described))
    return BrokerAnswer(findings, _facts(described), monitoring)


def _is_address(key: str) -> bool:
    section, _, name = key.partition(".")
    security = ("bootstrap", "sasl", "ssl", "security")
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
            if _forbidden(operation, topic.operations):
                message = f"this principal may not {operation.lower()} it"
                yield Problem(key, f'"{name}"', message, f"allow it {operation} on the topic")


def _groups(settings: Settings) -> Mapping[str, str]:
    """Return the key that each group's name comes from."""
    groups = {settings.group_id: "pipeline"}
    return (
        groups
        if settings.monitoring.topic is None
        else groups | {settings.monitor_group_id: "monitoring.topic"}
    )


def _group_problems(settings: Settings, operations: Mapping[str, frozenset[str]]) -> Iterator[Problem]:
    for group, key in _groups(settings).items():
        if _forbidden("READ", operations[group]):
            message = f"this principal may not use the consumer group {group}"
            yield Problem(key, f'"{settings.pipeline}"', message, "allow it READ on the group")


def _forbidden(operation: str, operations: frozenset[str]) -> bool:
    """Whether `operation` is missing. A broker before 2.3 lists no operations and forbids none."""
    return bool(operations) and operation not in operations


def _partition_problems(
    settings: Settings, described: Mapping[str, Topic | MissingTopic]
) -> Iterator[Problem]:
    output = described[settings.output.topic]
    if settings.output.partitioning is not Partitioning.SOURCE or isinstance(output, MissingTopic):
        return
    for name in settings.input.topics:
        source = described[name]
        if isinstance(source, Topic) and source.partitions != output.partitions:
            message = (
                f"{name} has {source.partitions} partitions and {settings.output.topic} has "
                f"{output.partitions}: a prediction goes to the partition of its event"
            )
            yield Problem("output.partitioning", '"source"', message, _levelling(settings, source, output))


def _levelling(settings: Settings, source: Topic, output: Topic) -> str:
    otherwise = 'or use partitioning = "key"'
    if len(settings.input.topics) > 1:
        return f"give all of them the same number of partitions, {otherwise}"
    if output.partitions < source.partitions:
        alter = f"kafka-topics --alter --topic {settings.output.topic} --partitions {source.partitions}"
        return f"add partitions to the output (`{alter}`), {otherwise}"
    return f"name an output topic with {source.partitions} partitions, {otherwise}"


def _unreachable(settings: Settings, error: BrokerUnreachable) -> Problem:
    fix = "start the broker, or correct the address, security.protocol and credentials in [kafka]"
    return Problem("kafka.bootstrap.servers", f'"{settings.kafka.servers}"', str(error), fix)


def _facts(described: Mapping[str, Topic | MissingTopic]) -> TopicFacts:
    topics = {name: topic for name, topic in described.items() if isinstance(topic, Topic)}
    return TopicFacts(
        {name: topic.partitions for name, topic in topics.items()},
        {name: topic.max_message_bytes for name, topic in topics.items()},
    )


def _sentence(settings: Settings, described: Mapping[str, Topic | MissingTopic]) -> str:
    counts = {name: t.partitions for name, t in described.items() if isinstance(t, Topic)}
    parts = [f"{name} ({counts[name]} partitions)" for _, name in _topics(settings) if name in counts]
    return f"topics: {', '.join(parts)}"
