"""The composition root of the scoring role: settings become a session, a step, a sink and observers.

Checking the settings against broker, schema and package is `app.checks.check`; what the roles share is
`app.kit`; what the loop does is `runtime.loop`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import replace
from functools import partial

from stream_infer.app.active_model import (
    FollowingObserver,
    ModelInfoObserver,
    desired_source,
    follow_active_model,
)
from stream_infer.app.checks.check import Checked, require_checked
from stream_infer.app.kit.lifetime import run_until_signal
from stream_infer.app.kit.member import GroupMember, SessionPlan, build_session
from stream_infer.app.kit.observability import logged_run, observability
from stream_infer.app.kit.records import (
    event_writer,
    frame_encoder,
    frame_reader,
    monitoring_channels,
)
from stream_infer.app.kit.writers import gated, writer_schemas
from stream_infer.app.offset_reporter import offset_reporters
from stream_infer.app.package_references import PackagedReferences
from stream_infer.app.status_reporter import status_reporters
from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.record import RecordWriter
from stream_infer.config.settings import Settings
from stream_infer.flow.codes import LogEvent
from stream_infer.flow.ports import Observer, Sink
from stream_infer.flow.records import Channel
from stream_infer.kafka import client
from stream_infer.kafka.offsets import StartOffsets
from stream_infer.kafka.output_gate import OutputGate, RefittingSink
from stream_infer.kafka.pausable_source import PausableSource
from stream_infer.kafka.session import Session
from stream_infer.kafka.topic_health import TopicHealth
from stream_infer.kafka.topic_shapes import TopicShapes
from stream_infer.kafka.topics import TopicFacts
from stream_infer.kafka.writer_schemas import WriterSchemas
from stream_infer.models.active import ActiveModel
from stream_infer.ops.progress import LoopState
from stream_infer.rollout.compatibility import tolerated_differences
from stream_infer.rollout.forkserver import forkserver
from stream_infer.rollout.rehearsal_task import RunChild
from stream_infer.rollout.spawned_child import run_spawned
from stream_infer.runtime.degradable import DegradableSink, FlushWhenIdle
from stream_infer.runtime.gc_schedule import between_batches
from stream_infer.runtime.loop import run
from stream_infer.runtime.malloc import keep_freed_memory
from stream_infer.runtime.pacing import Pace, Pacing
from stream_infer.runtime.stop import Stop
from stream_infer.steps.observing.backlog import WaitingEvents, WaitingFrames
from stream_infer.steps.observing.observe import Observe
from stream_infer.steps.options import Partitioning
from stream_infer.steps.scoring.activation import Announcer
from stream_infer.steps.scoring.isolate import Expired
from stream_infer.steps.scoring.plan import plan_scoring
from stream_infer.steps.scoring.score import Score, ScoreSettings
from stream_infer.steps.scoring.size import RecordLimits

_log = logging.getLogger("stream_infer.worker")


def run_worker(settings: Settings) -> int:
    """Check, then score until SIGTERM (exit code 0) or SIGINT (130). Raises what stops it otherwise."""
    keep_freed_memory()
    # First of all: a process that has threads must not fork.
    with forkserver() if settings.model.store is not None else nullcontext(run_spawned) as run_child:
        return run_until_signal(partial(require_checked, settings), partial(run_scoring, run_child=run_child))


def run_scoring(
    ready: Checked, stop: Stop, *, observers: Sequence[Observer] = (), run_child: RunChild = run_spawned
) -> None:
    """Score with the checked parts until `stop` is requested. Any thread may call this, once a process.

    `run_child` starts the rehearsals of new packages.
    """
    settings = ready.settings
    with ExitStack() as stack:
        shown = stack.enter_context(observability(settings, settings.group_id))
        sweep = stack.enter_context(between_batches())
        member = GroupMember(settings.kafka, settings.group_id, settings.worker.slot)
        reporters = stack.enter_context(status_reporters(settings, member, partial(_event_writer, ready)))
        desired = stack.enter_context(desired_source(settings))
        active = stack.enter_context(follow_active_model(ready, desired, reporters, run_child))
        health = stack.enter_context(_topic_health(ready))
        model_info = ModelInfoObserver(active, shown.metrics, shown.progress)
        model_info.show()
        following = [] if desired is None else [FollowingObserver(desired, shown.metrics, shown.progress)]
        losses = offset_reporters(settings, member, partial(_event_writer, ready))
        observe = shown.observer(model_info, *following, *reporters, *losses, *observers, sweep)
        shapes = TopicShapes(settings.kafka, ready.topics)
        session = _session(ready, member, stop, observe, health)
        source, committing = _following_topics(settings, session, shapes, observe)
        first = active.current.model.manifest
        stack.enter_context(logged_run(shown.log, settings, model=first.name, model_version=first.version))
        stack.enter_context(closing(session))
        writers = stack.enter_context(writer_schemas(settings.schema_registry, {settings.input.framing}))
        session.open()
        shown.progress.enter(LoopState.RUNNING)
        sink = _degradable(settings, committing, health, observe)
        run(
            FlushWhenIdle(gated(source, writers, observe), sink),
            _score(ready, active, writers, shapes),
            sink,
            stop=stop,
            pace=Pace(_pacing(settings)),
            observe=observe,
        )
        sink.flush()
        shown.progress.enter(LoopState.DRAINING)


def _pacing(settings: Settings) -> Pacing:
    worker = settings.worker
    return Pacing(
        max_records=worker.max_batch_records,
        commit_interval_s=worker.commit_interval_ms / 1000,
        latency_goal_s=worker.latency_goal_ms / 1000,
        max_bytes=worker.max_batch_bytes,
        batch_within_s=min(
            client.max_poll_interval_s(settings.kafka) / 10, client.transaction_timeout_s(settings.kafka) / 2
        ),
    )


def _topic_health(ready: Checked) -> TopicHealth:
    """Return the health of the monitoring topics; log the problems that the check found."""
    settings = ready.settings
    health = TopicHealth(settings.kafka, monitoring_channels(settings))
    for problem in ready.degraded:
        fields = {"key": problem.key, "value": problem.value, "reason": problem.message}
        _log.warning(LogEvent.MONITORING_PROBLEM, extra=fields)
    if ready.degraded:
        health.refresh()
    return health


def _degradable(
    settings: Settings, committing: Sink, health: TopicHealth, observe: Observer
) -> DegradableSink:
    """Return the sink of the loop: no failure of monitoring stops it."""
    waiting_frames = WaitingFrames(settings.pipeline, frame_reader(), frame_encoder())
    return DegradableSink(
        committing,
        health,
        {Channel.EVENTS: WaitingEvents(), Channel.OBSERVATIONS: waiting_frames},
        observe=observe,
    )


def _following_topics(
    settings: Settings, session: Session, shapes: TopicShapes, observe: Observer
) -> tuple[PausableSource, Sink]:
    """Return `session` as a source and a sink that follow the topics of `shapes`."""
    refit = partial(_refit, settings, session, shapes)

    by_source = settings.output.partitioning is Partitioning.SOURCE
    output = settings.output.topic if by_source else None
    source = OutputGate(session, shapes, output=output, refit=refit, observe=observe)
    return source, RefittingSink(session, shapes, _channels(settings), refit)


def _refit(settings: Settings, session: Session, shapes: TopicShapes) -> None:
    session.publisher.refit(_record_limits(settings, shapes.facts))


def _channels(settings: Settings) -> Mapping[Channel, str]:
    return {
        Channel.PREDICTIONS: settings.output.topic,
        Channel.DEAD_LETTERS: settings.dlq.topic,
        **monitoring_channels(settings),
    }


def _record_limits(settings: Settings, facts: TopicFacts) -> Sequence[int]:
    """Return the limits of the topics that are written, as far as they exist."""
    known = facts.max_message_bytes
    return [known[topic] for topic in _channels(settings).values() if topic in known]


def _session(
    ready: Checked, member: GroupMember, stop: Stop, observe: Observer, health: TopicHealth
) -> Session:
    settings = ready.settings
    plan = SessionPlan(
        input_topics=settings.input.topics,
        guarded=[topic for topic in settings.input.topics if topic in ready.topics.ids],
        channels=_channels(settings),
        start=StartOffsets(
            settings.input.start_at,
            settings.input.on_lost_offset,
            inputs=settings.input.topics,
            outputs=[settings.output.topic, settings.dlq.topic],
        ),
        guarantee=settings.delivery.guarantee,
        record_limits=_record_limits(settings, ready.topics),
        max_batch_bytes=settings.worker.max_batch_bytes,
    )
    return build_session(member, plan, stop=stop, observe=observe, health=health)


def _score(ready: Checked, active: ActiveModel, writers: WriterSchemas | None, shapes: TopicShapes) -> Score:
    settings = ready.settings
    events = ready.events if writers is None else replace(ready.events, registered=writers.known)
    prediction = topic_schemas.topic_schema("Prediction")
    return Score(
        active,
        partial(plan_scoring, events=events),
        Encoder(prediction, settings.output.framing, schema_id=ready.schema_ids.get("Prediction")),
        ScoreSettings(
            pipeline=settings.pipeline,
            group_id=settings.group_id,
            tombstones=settings.input.tombstones,
            partitioning=settings.output.partitioning,
            limits=lambda: _limits_of_answers(settings, shapes.facts),
        ),
        deadline=partial(_deadline, client.max_poll_interval_s(settings.kafka) / 4),
        announcer=_announcer(ready),
        observe=_observation(settings),
    )


def _limits_of_answers(settings: Settings, facts: TopicFacts) -> RecordLimits:
    known = facts.max_message_bytes
    return RecordLimits(known[settings.output.topic], known[settings.dlq.topic])


def _observation(settings: Settings) -> Observe | None:
    if settings.monitoring.topic is None:
        return None
    references = PackagedReferences(settings)
    return Observe(settings.pipeline, frame_encoder(), lambda model: references(model.digest))


def _event_writer(ready: Checked) -> RecordWriter:
    return event_writer(ready.settings, ready.schema_ids.get("MonitoringEvent"))


def _announcer(ready: Checked) -> Announcer | None:
    settings = ready.settings
    if settings.monitoring.topic is None:
        return None
    return Announcer(
        settings.pipeline,
        settings.worker.slot,
        _event_writer(ready),
        differences=lambda manifest: tolerated_differences(
            manifest, ready.events, settings.model.on_difference
        ),
    )


def _deadline(seconds: float) -> Expired:
    """Return the end of the time that isolating poison rows may take in this batch, from now on."""
    deadline = time.monotonic() + seconds
    return lambda: time.monotonic() > deadline
