"""The composition root of the scoring role: settings become a session, a step, a sink and observers.

Checking the settings against broker, schema and package is `app.checks.check`; what the roles share is
`app.kit`; what the loop does is `runtime.loop`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing, nullcontext
from dataclasses import replace
from functools import partial

from stream_infer.app.active_model import ModelInfoObserver, desired_source, follow_active_model
from stream_infer.app.checks.check import Checked, require_checked
from stream_infer.app.kit.lifetime import run_until_signal
from stream_infer.app.kit.member import GroupMember, SessionPlan, build_session
from stream_infer.app.kit.observability import logged_run, observability
from stream_infer.app.kit.records import (
    event_writer,
    frame_reader,
    monitoring_channels,
)
from stream_infer.app.kit.writers import gated, writer_schemas
from stream_infer.app.package_references import PackagedReferences
from stream_infer.app.status_reporter import status_reporters
from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordWriter
from stream_infer.config.settings import Settings
from stream_infer.flow.codes import LogEvent
from stream_infer.flow.ports import Observer
from stream_infer.flow.records import Channel
from stream_infer.kafka import client
from stream_infer.kafka.offsets import StartOffsets
from stream_infer.kafka.session import Session
from stream_infer.kafka.topic_health import TopicHealth
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
from stream_infer.steps.scoring.activation import Announcer
from stream_infer.steps.scoring.isolate import Budget
from stream_infer.steps.scoring.plan import plan_scoring
from stream_infer.steps.scoring.score import Score, ScoreSettings

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
        shown = stack.enter_context(observability(settings))
        sweep = stack.enter_context(between_batches())
        member = GroupMember(settings.kafka, settings.group_id, settings.worker.slot)
        reporters = stack.enter_context(status_reporters(settings, member, partial(_event_writer, ready)))
        desired = stack.enter_context(desired_source(settings))
        active = stack.enter_context(follow_active_model(ready, desired, reporters, run_child))
        health = stack.enter_context(_topic_health(ready))
        model_info = ModelInfoObserver(active, shown.metrics, shown.progress)
        model_info.show()
        observe = shown.observer(model_info, *reporters, *observers, sweep)
        session = _session(ready, member, stop, observe, health)
        manifest = active.current.model.manifest
        stack.enter_context(
            logged_run(shown.log, settings, model=manifest.name, model_version=manifest.version)
        )
        stack.enter_context(closing(session))
        writers = stack.enter_context(writer_schemas(settings.schema_registry, {settings.input.framing}))
        session.open()
        shown.progress.enter(LoopState.RUNNING)
        sink = _degradable(settings, session, health, observe)
        run(
            FlushWhenIdle(gated(session, writers, observe), sink),
            _score(ready, active, writers),
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
        batch_within_s=client.max_poll_interval_s(settings.kafka) / 10,
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
    settings: Settings, session: Session, health: TopicHealth, observe: Observer
) -> DegradableSink:
    """Return the sink of the loop: no failure of monitoring stops it."""
    waiting_frames = WaitingFrames(settings.pipeline, frame_reader(), _frame_encoder())
    return DegradableSink(
        session,
        health,
        {Channel.EVENTS: WaitingEvents(), Channel.OBSERVATIONS: waiting_frames},
        observe=observe,
    )


def _session(
    ready: Checked, member: GroupMember, stop: Stop, observe: Observer, health: TopicHealth
) -> Session:
    settings = ready.settings
    channels = {
        Channel.PREDICTIONS: settings.output.topic,
        Channel.DEAD_LETTERS: settings.dlq.topic,
        **monitoring_channels(settings),
    }
    known = ready.topics.max_message_bytes
    plan = SessionPlan(
        input_topics=settings.input.topics,
        channels=channels,
        start=StartOffsets(settings.input.start_at, settings.input.on_lost_offset),
        guarantee=settings.delivery.guarantee,
        record_limits=[known[topic] for topic in channels.values() if topic in known],  # one may be missing
        max_batch_bytes=settings.worker.max_batch_bytes,
    )
    return build_session(member, plan, stop=stop, observe=observe, health=health)


def _score(ready: Checked, active: ActiveModel, writers: WriterSchemas | None) -> Score:
    settings = ready.settings
    events = ready.events if writers is None else replace(ready.events, registered=writers.known)
    prediction = topic_schemas.topic_schema("Prediction")
    limits = ready.topics.max_message_bytes
    return Score(
        active,
        partial(plan_scoring, events=events),
        Encoder(prediction, settings.output.framing, schema_id=ready.schema_ids.get("Prediction")),
        ScoreSettings(
            pipeline=settings.pipeline,
            group_id=settings.group_id,
            tombstones=settings.input.tombstones,
            partitioning=settings.output.partitioning,
            prediction_limit_bytes=limits[settings.output.topic],
            dead_letter_limit_bytes=limits[settings.dlq.topic],
        ),
        budget=partial(_budget, client.max_poll_interval_s(settings.kafka) / 4),
        announcer=_announcer(ready),
        observe=_observation(settings),
    )


def _observation(settings: Settings) -> Observe | None:
    if settings.monitoring.topic is None:
        return None
    references = PackagedReferences(settings)
    return Observe(settings.pipeline, _frame_encoder(), lambda model: references(model.digest))


def _frame_encoder() -> Encoder:
    return Encoder(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE)


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


def _budget(seconds: float) -> Budget:
    """Return the time that isolating poison rows may take in this batch, from now on."""
    deadline = time.monotonic() + seconds
    return Budget(expired=lambda: time.monotonic() > deadline)
