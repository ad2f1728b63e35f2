"""The composition root of the monitor's role: observation frames become monitoring events.

The same loop as scoring, in a group, and a process, of its own: whatever happens here, scoring goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial

from stream_infer.app import label_join
from stream_infer.app.kit.lifetime import run_until_signal
from stream_infer.app.kit.member import GroupMember, SessionPlan, build_session
from stream_infer.app.kit.observability import observability
from stream_infer.app.kit.records import event_writer, frame_reader
from stream_infer.app.kit.writers import gated, writer_schemas
from stream_infer.app.label_format import label_format
from stream_infer.app.monitor_clock import clock_watches
from stream_infer.app.offset_reporter import offset_reporters
from stream_infer.app.package_references import PackagedReferences
from stream_infer.app.schema_registry import monitoring_event_id
from stream_infer.avro.record import RecordWriter
from stream_infer.config.settings import Settings
from stream_infer.drift.aspects import Aspect
from stream_infer.drift.budget import AlarmBudget, change_detectors
from stream_infer.drift.detector_bank import DetectionPolicy
from stream_infer.drift.detectors import DetectorKind
from stream_infer.drift.levels import LevelLimits
from stream_infer.drift.monitor import MonitorPolicy
from stream_infer.drift.pipeline_levels import LevelPolicy
from stream_infer.flow.codes import LogEvent
from stream_infer.flow.errors import Aborted, Fatal, Misconfigured, Problem
from stream_infer.flow.events import Degraded
from stream_infer.flow.ports import Observer, Sink
from stream_infer.flow.records import Batch, Channel, Outcome
from stream_infer.kafka import client
from stream_infer.kafka.offsets import NextOffset, OnLostOffset, StartOffsets
from stream_infer.kafka.output_gate import RefittingSink
from stream_infer.kafka.session import Session
from stream_infer.kafka.standalone_reader import newest_values
from stream_infer.kafka.topic_health import TopicHealth
from stream_infer.kafka.topic_shapes import TopicShapes
from stream_infer.kafka.topics import (
    DEFAULT_MAX_MESSAGE_BYTES,
    MissingTopic,
    Topic,
    describe_topics,
    facts_of,
)
from stream_infer.kafka.writer_schemas import WriterSchemas
from stream_infer.ops.progress import LoopState
from stream_infer.runtime.loop import run
from stream_infer.runtime.pacing import Pace, Pacing
from stream_infer.runtime.stop import Stop
from stream_infer.steps.monitoring.monitor import MonitorSettings, MonitorStep, RecordCodec
from stream_infer.steps.monitoring.state_documents import StateDocuments

_LIMITED: Mapping[str, Aspect] = {
    "null_rate": Aspect.NULLS,
    "non_finite_rate": Aspect.NON_FINITE,
    "unseen_rate": Aspect.UNSEEN,
    "out_of_range_rate": Aspect.OUT_OF_RANGE,
}
# With labels the state is as large as their memory's budget, and what is not compacted yet.
_RESTORED_WITHIN_S = 120.0
# A frame stands for many events: nobody waits for it within milliseconds.
_PACING = Pacing(max_records=2_000, commit_interval_s=0.5, latency_goal_s=2.0)


class RestoreOnRebalance:
    """A `Step` that restores its state from the state topic whenever the assignment has changed.

    State and offsets were committed together, so the newest state is that of the committed offsets.
    """

    def __init__(self, step: MonitorStep, documents: Callable[[], Mapping[str, bytes]]) -> None:
        self._step = step
        self._documents = documents
        self._assignment: int | None = None

    def __call__(self, batch: Batch) -> Outcome:
        if batch.assignment != self._assignment:
            self._step.restore(self._documents())
            self._check(batch)
            self._assignment = batch.assignment
        return self._step(batch)

    def forget(self) -> None:
        self._step.forget()

    def _check(self, batch: Batch) -> None:
        for partition, position in batch.positions.items():
            known = self._step.position(partition, batch.topic_ids.get(partition, ""))
            if known > position:
                raise Fatal(
                    f"the monitor's state has seen {partition.topic}/{partition.index} up to {known}, "
                    f"its group is at {position}: one of the two was reset; reset the other too"
                )


def run_monitor(settings: Settings) -> int:
    """Monitor until SIGTERM (exit code 0) or SIGINT (130). Raises what stops it otherwise."""
    return run_until_signal(
        partial(_check, settings), lambda topics, stop: run_monitoring(settings, stop, topics)
    )


def monitor_policy(settings: Settings) -> MonitorPolicy:
    """Return the detectors, the alarm budget and the limits of the settings."""
    said = settings.monitoring
    limited, of_features = settings.limits, settings.limits.features or {}
    limits = LevelLimits(
        limited.dead_letter_rate,
        {aspect: rate for name, aspect in _LIMITED.items() if (rate := getattr(limited, name)) is not None},
        {
            feature: {_LIMITED[name]: rate for name, rate in rates.items()}
            for feature, rates in of_features.items()
        },
    )
    return MonitorPolicy(
        detection=DetectionPolicy(
            budget=AlarmBudget(said.false_alarms, said.false_alarm_days, said.events_per_s),
            detectors=partial(change_detectors, kinds=[DetectorKind(name) for name in said.detectors]),
            compare=said.compare,
        ),
        levels=LevelPolicy(limits=limits),
    )


class ReportingSink:
    """A `Sink` that says why its topics take nothing; the loop comes again until they do."""

    def __init__(self, sink: Sink, health: TopicHealth, observe: Observer) -> None:
        self._sink = sink
        self._health = health
        self._observe = observe
        self._told: tuple[str, ...] = ()

    def commit(self, outcome: Outcome) -> None:
        try:
            self._sink.commit(outcome)
        except Aborted:
            self._health.refresh()
            self._tell(tuple(self._health.unavailable.values()))
            raise
        self._tell(())

    def _tell(self, reasons: tuple[str, ...]) -> None:
        if reasons != self._told:
            self._told = reasons
            self._observe(Degraded(reasons, 0))


def run_monitoring(settings: Settings, stop: Stop, topics: Mapping[str, Topic]) -> None:
    """Monitor observation frames until `stop` is requested.

    `topics` are those that the brokers describe, by name; a mock cluster describes none.
    """
    shapes = TopicShapes(settings.kafka, facts_of(topics))
    health = TopicHealth(settings.kafka, _channels(settings))
    with ExitStack() as stack:
        shown = stack.enter_context(
            observability(settings, settings.monitor_group_id, rejected=LogEvent.RECORDS_REFUSED)
        )
        member = GroupMember(settings.kafka, settings.monitor_group_id, settings.worker.slot)
        writers = stack.enter_context(
            writer_schemas(settings.schema_registry, label_join.label_framings(settings))
        )
        step = _step(settings, writers, shapes)
        observe = shown.observer(
            *offset_reporters(settings, member, partial(_event_writer, settings)),
            label_join.LabelCounts(step, shown.metrics),
            *clock_watches(settings, member, step, shown.metrics, stack),
        )
        session = stack.enter_context(closing(_session(settings, member, shapes, stop, observe, health)))
        session.open()
        shown.progress.serve("monitor")
        shown.progress.enter(LoopState.RUNNING)
        run(
            gated(session, writers, observe),
            RestoreOnRebalance(step, _documents(settings)),
            ReportingSink(_following_limits(settings, session, shapes), health, observe),
            stop=stop,
            pace=Pace(_PACING),
            observe=observe,
        )
        shown.progress.enter(LoopState.DRAINING)


def _following_limits(settings: Settings, session: Session, shapes: TopicShapes) -> Sink:
    """Return `session` as a sink that follows the record limits of its topics."""

    def refit() -> None:
        session.publisher.refit(_record_limits(settings, shapes))

    return RefittingSink(session, shapes, _channels(settings), refit)


def _record_limits(settings: Settings, shapes: TopicShapes) -> Sequence[int]:
    known = shapes.facts.max_message_bytes
    return [known[topic] for topic in _channels(settings).values() if topic in known]


def _channels(settings: Settings) -> Mapping[Channel, str]:
    monitoring = settings.monitoring
    return {Channel.EVENTS: monitoring.topic or "", Channel.STATE: monitoring.state_topic}


def _check(settings: Settings) -> Mapping[str, Topic]:
    """Return the topics by name, or raise `Misconfigured` with those that are missing."""
    monitoring = settings.monitoring
    if monitoring.topic is None:
        fix = f'name one, for example topic = "{settings.pipeline}.monitoring.v1"'
        raise Misconfigured([Problem("monitoring.topic", "", "there is nothing to monitor to", fix)])
    named = {
        "monitoring.topic": monitoring.topic,
        "monitoring.observations_topic": monitoring.observations_topic,
        "monitoring.state_topic": monitoring.state_topic,
    }
    if settings.labels.topic is not None:
        label_format(settings.labels)
        named |= {"labels.topic": settings.labels.topic, "output.topic": settings.output.topic}
    described = describe_topics(settings.kafka, list(named.values()))
    fix = "make it with `stream-infer topics create`"
    problems = [
        Problem(key, f'"{name}"', topic.reason, fix)
        for key, name in named.items()
        if isinstance(topic := described[name], MissingTopic)
    ]
    if problems:
        raise Misconfigured(problems)
    return {name: topic for name, topic in described.items() if isinstance(topic, Topic)}


def _step(settings: Settings, writers: WriterSchemas | None, shapes: TopicShapes) -> MonitorStep:
    state = settings.monitoring.state_topic
    return MonitorStep(
        MonitorSettings(
            settings.pipeline,
            settings.monitoring.observations_topic,
            monitor_policy(settings),
            state_limit=lambda: shapes.facts.max_message_bytes.get(state, DEFAULT_MAX_MESSAGE_BYTES),
            events=settings.monitoring.topic or "",
        ),
        PackagedReferences(settings),
        RecordCodec(frame_reader(), _event_writer(settings)),
        label_join.label_join_settings(settings, {} if writers is None else writers.known),
    )


def _event_writer(settings: Settings) -> RecordWriter:
    return event_writer(settings, monitoring_event_id(settings))


def _documents(settings: Settings) -> Callable[[], Mapping[str, bytes]]:
    prefix = f"{settings.pipeline}/".encode()

    def documents() -> Mapping[str, bytes]:
        held = newest_values(
            client.admin(settings.kafka), settings.monitoring.state_topic, within_s=_RESTORED_WITHIN_S
        )
        return {k.removeprefix(prefix).decode(): v for k, v in held.items() if k.startswith(prefix)}

    return documents


def _positions_in_state(settings: Settings) -> NextOffset:
    """Return what the state knows of the inputs: the group loses its offsets when it is away for long."""
    documents = StateDocuments(settings.pipeline, lambda: DEFAULT_MAX_MESSAGE_BYTES)
    documents.restore(_documents(settings)())
    return documents.position


def _session(
    settings: Settings,
    member: GroupMember,
    shapes: TopicShapes,
    stop: Stop,
    observe: Observer,
    health: TopicHealth,
) -> Session:
    inputs = [settings.monitoring.observations_topic]
    companions = [settings.monitoring.topic or "", *label_join.companion_inputs(settings)]
    plan = SessionPlan(
        input_topics=inputs,
        companions=companions,
        guarded=[topic for topic in [*inputs, *companions] if topic in shapes.facts.partitions],
        channels=_channels(settings),
        start=StartOffsets(
            "earliest", OnLostOffset.EARLIEST, remembered=partial(_positions_in_state, settings)
        ),
        record_limits=_record_limits(settings, shapes),
    )
    return build_session(member, plan, stop=stop, observe=observe, health=health)
