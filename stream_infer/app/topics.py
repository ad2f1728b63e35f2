"""`topics create`: the topics that a pipeline writes, made to fit the topics that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stream_infer.config.settings import Settings
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.kafka.topics import (
    CreateResult,
    MissingTopic,
    Topic,
    TopicSpec,
    create_topics,
    describe_topics,
)
from stream_infer.steps.options import Partitioning

_DAY_MS = 24 * 60 * 60 * 1000
# A dead letter is its event and some headers of ours: their names, a message of 1000 characters, numbers.
_HEADROOM_BYTES = 64 * 1024
# Long enough for a person to look into it after a holiday.
_DEAD_LETTER_RETENTION_MS = 14 * _DAY_MS
_MONITORING_RETENTION_MS = 90 * _DAY_MS
# As long as a monitor may be away without missing anything.
_OBSERVATIONS_RETENTION_MS = 7 * _DAY_MS

# A monitor reads its state to the end when it starts, and only closed segments are compacted.
_OFTEN = {"segment.bytes": str(32 * 2**20), "min.cleanable.dirty.ratio": "0.2"}


@dataclass(frozen=True, slots=True)
class PlannedTopic:
    """A topic that the pipeline writes, the key that names it, and whether it is there already."""

    key: str
    wanted: TopicSpec
    existing: Topic | None


def plan_topics(settings: Settings) -> Sequence[PlannedTopic]:
    """Return the topics that the pipeline writes. Changes nothing.

    Raises `Misconfigured` when an input topic does not exist, or a topic that does has too few partitions.
    """
    names = [*settings.input.topics, settings.output.topic, settings.dlq.topic]
    names += [wanted.name for _, wanted in companion_topics(settings)]
    names += [settings.labels.topic] if settings.labels.topic is not None else []
    described = describe_topics(settings.kafka, names)
    problems = [
        Problem("input.topics", f'"{name}"', topic.reason, "have its producers create it first")
        for name in settings.input.topics
        if isinstance(topic := described[name], MissingTopic)
    ]
    if problems:
        raise Misconfigured(problems)
    planned = [_planned(key, wanted, described) for key, wanted in _wanted(settings, described)]
    problems = [*_uneven(settings, described), *_unequal(settings, planned)]
    if problems:
        raise Misconfigured(problems)
    return planned


def apply_plan(settings: Settings, planned: Sequence[PlannedTopic]) -> Mapping[str, CreateResult]:
    """Make the planned topics that do not exist; return what became of each, by name."""
    made = create_topics(settings.kafka, [p.wanted for p in planned if p.existing is None])
    return {p.wanted.name: made.get(p.wanted.name, CreateResult.EXISTED) for p in planned}


def _wanted(
    settings: Settings, described: Mapping[str, Topic | MissingTopic]
) -> Sequence[tuple[str, TopicSpec]]:
    inputs = [topic for n in settings.input.topics if isinstance(topic := described[n], Topic)]
    partitions = max(topic.partitions for topic in inputs)
    event_bytes = max(topic.max_message_bytes for topic in inputs)
    dead_letters = {
        "cleanup.policy": "delete",
        "retention.ms": str(_DEAD_LETTER_RETENTION_MS),
        "max.message.bytes": str(event_bytes + _HEADROOM_BYTES),
    }
    wanted = [
        ("output.topic", TopicSpec(settings.output.topic, partitions, {"cleanup.policy": "delete"})),
        ("dlq.topic", TopicSpec(settings.dlq.topic, partitions, dead_letters)),
    ]
    if settings.labels.topic is not None:
        labels = TopicSpec(settings.labels.topic, partitions, {"cleanup.policy": "delete"})
        wanted.append(("labels.topic", labels))
    return [*wanted, *companion_topics(settings)]


def companion_topics(settings: Settings) -> list[tuple[str, TopicSpec]]:
    """Return the topics beside the stream, and the keys that name them.

    They have one partition, for what is in them is little and in order.
    """
    compacted = {"cleanup.policy": "compact"}
    wanted = []
    if settings.monitoring.topic:
        events = {"cleanup.policy": "delete", "retention.ms": str(_MONITORING_RETENTION_MS)}
        wanted.append(("monitoring.topic", TopicSpec(settings.monitoring.topic, 1, events)))
        frames = {"cleanup.policy": "delete", "retention.ms": str(_OBSERVATIONS_RETENTION_MS)}
        names = settings.monitoring.observations_topic, settings.monitoring.state_topic
        wanted.append(("monitoring.observations_topic", TopicSpec(names[0], 1, frames)))
        wanted.append(("monitoring.state_topic", TopicSpec(names[1], 1, {**compacted, **_OFTEN})))
    if settings.model.store is not None:
        wanted.append(("model.status_topic", TopicSpec(settings.model.status_topic, 1, compacted)))
        wanted.append(("model.control_topic", TopicSpec(settings.model.control_topic, 1, compacted)))
    return wanted


def _planned(key: str, wanted: TopicSpec, described: Mapping[str, Topic | MissingTopic]) -> PlannedTopic:
    topic = described[wanted.name]
    return PlannedTopic(key, wanted, topic if isinstance(topic, Topic) else None)


def _uneven(settings: Settings, described: Mapping[str, Topic | MissingTopic]) -> list[Problem]:
    counts = {n: t.partitions for n in settings.input.topics if isinstance(t := described[n], Topic)}
    if settings.output.partitioning is not Partitioning.SOURCE or len(set(counts.values())) == 1:
        return []
    listed = ", ".join(f"{name} has {count}" for name, count in counts.items())
    fix = 'use partitioning = "key", or a pipeline for each'
    return [Problem("output.partitioning", '"source"', f"unequal partition counts: {listed}", fix)]


def _unequal(settings: Settings, planned: Sequence[PlannedTopic]) -> list[Problem]:
    if settings.output.partitioning is not Partitioning.SOURCE:
        return []
    return [
        Problem(
            p.key,
            f'"{p.wanted.name}"',
            f"exists with {p.existing.partitions} partitions, and the input has {p.wanted.partitions}",
            'alter its partitions, name another topic, or use partitioning = "key"',
        )
        for p in planned
        if p.key == "output.topic" and p.existing and p.existing.partitions != p.wanted.partitions
    ]
