"""`topics create`: the topics that a pipeline writes, with the partitions of the topics that it reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stream_infer.config.settings import Settings
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.kafka.output_gate import alteration
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

_DELETE = {"cleanup.policy": "delete"}
_COMPACT = {"cleanup.policy": "compact"}
# A monitor reads its state to the end when it starts, and only closed segments are compacted.
_COMPACT_OFTEN = {**_COMPACT, "segment.bytes": str(32 * 2**20), "min.cleanable.dirty.ratio": "0.2"}

Described = Mapping[str, Topic | MissingTopic]


@dataclass(frozen=True, slots=True)
class PlannedTopic:
    """A topic of the pipeline, the configuration key that names it, and the topic as it exists, if any."""

    key: str
    spec: TopicSpec
    existing: Topic | None

    @property
    def partitions(self) -> int:
        """The partition count: the existing one, else the planned one."""
        return self.spec.partitions if self.existing is None else self.existing.partitions


def plan_topics(settings: Settings, *, input_partitions: int | None = None) -> Sequence[PlannedTopic]:
    """Return the topics that the pipeline writes, and its labels topic. Changes nothing.

    With `input_partitions` the input topics come first; a missing one is planned with so many partitions.
    Raises `Misconfigured` when an input topic is missing without that, and when the output has
    fewer partitions than an input.
    """
    described = describe_topics(settings.kafka, _names(settings))
    inputs = [_planned("input.topics", spec, described) for spec in _inputs(settings, input_partitions or 0)]
    if input_partitions is None:
        problems = list(_missing_inputs(inputs, described))
        if problems:
            raise Misconfigured(problems)
    outputs = [_planned(key, spec, described) for key, spec in _outputs(settings, inputs)]
    if settings.output.partitioning is Partitioning.SOURCE:
        problems = list(_small_output(outputs))
        if problems:
            raise Misconfigured(problems)
    return outputs if input_partitions is None else [*inputs, *outputs]


def apply_plan(settings: Settings, planned: Sequence[PlannedTopic]) -> Mapping[str, CreateResult]:
    """Create the planned topics that do not exist; return the result for each, by name.

    Raises `Fatal` when the broker refuses one.
    """
    created = create_topics(settings.kafka, [one.spec for one in planned if one.existing is None])
    return {one.spec.name: created.get(one.spec.name, CreateResult.EXISTED) for one in planned}


def companion_topics(settings: Settings) -> list[tuple[str, TopicSpec]]:
    """Return the topics of monitoring and of model rollout, each with the key that names it.

    Each has one partition: it holds few records, and their order counts.
    """
    found = []
    if settings.monitoring.topic:
        events = {**_DELETE, "retention.ms": str(_MONITORING_RETENTION_MS)}
        found.append(("monitoring.topic", TopicSpec(settings.monitoring.topic, 1, events)))
        frames = {**_DELETE, "retention.ms": str(_OBSERVATIONS_RETENTION_MS)}
        names = settings.monitoring.observations_topic, settings.monitoring.state_topic
        found.append(("monitoring.observations_topic", TopicSpec(names[0], 1, frames)))
        found.append(("monitoring.state_topic", TopicSpec(names[1], 1, _COMPACT_OFTEN)))
    if settings.model.store is not None:
        found.append(("model.status_topic", TopicSpec(settings.model.status_topic, 1, _COMPACT)))
        found.append(("model.control_topic", TopicSpec(settings.model.control_topic, 1, _COMPACT)))
    return found


def _names(settings: Settings) -> list[str]:
    names = [*settings.input.topics, settings.output.topic, settings.dlq.topic]
    names += [spec.name for _, spec in companion_topics(settings)]
    return names + ([settings.labels.topic] if settings.labels.topic is not None else [])


def _inputs(settings: Settings, partitions: int) -> Iterator[TopicSpec]:
    for name in settings.input.topics:
        yield TopicSpec(name, partitions, _DELETE)


def _outputs(settings: Settings, inputs: Sequence[PlannedTopic]) -> Iterator[tuple[str, TopicSpec]]:
    partitions = max(one.partitions for one in inputs)
    # A topic that is about to be created has the default limit.
    event_bytes = max((one.existing or Topic(0, frozenset())).max_message_bytes for one in inputs)
    dead_letters = {
        **_DELETE,
        "retention.ms": str(_DEAD_LETTER_RETENTION_MS),
        "max.message.bytes": str(event_bytes + _HEADROOM_BYTES),
    }
    yield "output.topic", TopicSpec(settings.output.topic, partitions, _DELETE)
    yield "dlq.topic", TopicSpec(settings.dlq.topic, partitions, dead_letters)
    if settings.labels.topic is not None:
        yield "labels.topic", TopicSpec(settings.labels.topic, partitions, _DELETE)
    yield from companion_topics(settings)


def _planned(key: str, spec: TopicSpec, described: Described) -> PlannedTopic:
    topic = described[spec.name]
    return PlannedTopic(key, spec, topic if isinstance(topic, Topic) else None)


def _missing_inputs(inputs: Sequence[PlannedTopic], described: Described) -> Iterator[Problem]:
    fix = "have its producers create it, or run `stream-infer topics create --with-input PARTITIONS`"
    for one in inputs:
        topic = described[one.spec.name]
        if isinstance(topic, MissingTopic):
            yield Problem(one.key, f'"{one.spec.name}"', topic.reason, fix)


def _small_output(outputs: Sequence[PlannedTopic]) -> Iterator[Problem]:
    for one in outputs:
        if one.key == "output.topic" and one.partitions < one.spec.partitions:
            yield Problem(
                one.key,
                f'"{one.spec.name}"',
                f"exists with {one.partitions} partitions, and the input has {one.spec.partitions}",
                f"add partitions (`{alteration(one.spec.name, one.spec.partitions)}`), name another topic, "
                'or use partitioning = "key"',
            )
