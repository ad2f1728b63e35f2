"""The composition root of `run`: settings become a session, a step and observers, and the loop turns.

The only place that names concrete classes for the online role. Checking the settings against broker, schema
and package is `app.checks.check`; what the loop does is `runtime.loop`.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import replace
from functools import partial

from stream_infer import __version__
from stream_infer.app import schema_registry
from stream_infer.app.active_model import follow_active_model
from stream_infer.app.checks.check import Checked, require_checked
from stream_infer.app.package_references import PackagedReferences
from stream_infer.app.status_reporter import StatusReporter
from stream_infer.avro import topic_schemas
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordReader, RecordWriter
from stream_infer.config.sections import Follow, Guarantee
from stream_infer.config.settings import Settings
from stream_infer.flow.codes import LogEvent
from stream_infer.flow.events import BatchCommitted, Event
from stream_infer.flow.ports import Observer
from stream_infer.flow.records import Channel
from stream_infer.kafka import client
from stream_infer.kafka.at_least_once import AtLeastOnce
from stream_infer.kafka.best_effort import BestEffortPublisher
from stream_infer.kafka.control import ControlTopic
from stream_infer.kafka.offsets import StartOffsets
from stream_infer.kafka.publish import Publisher
from stream_infer.kafka.schema_gate import SchemaGatedSource
from stream_infer.kafka.session import Session, SessionSettings
from stream_infer.kafka.topic_health import TopicHealth
from stream_infer.kafka.topics import slot_holder
from stream_infer.kafka.transactions import Transactions
from stream_infer.kafka.writer_schemas import WriterSchemas
from stream_infer.models.active import ActiveModel
from stream_infer.ops import http, logs
from stream_infer.ops.fanout import Fanout
from stream_infer.ops.metrics import Build, Metrics, ModelLabels
from stream_infer.ops.progress import LoopState, ProgressCell
from stream_infer.rollout.admission import tolerated_differences
from stream_infer.rollout.candidate_loader import DesiredSource
from stream_infer.rollout.forkserver import forkserver
from stream_infer.rollout.rehearsal import RunChild, run_spawned
from stream_infer.runtime.degradable import DegradableSink, FlushWhenIdle
from stream_infer.runtime.gc_schedule import between_batches
from stream_infer.runtime.loop import run
from stream_infer.runtime.malloc import keep_freed_memory
from stream_infer.runtime.pacing import Pace, Pacing
from stream_infer.runtime.stop import Stop, leaving_within, on_signals
from stream_infer.steps.observing.backlog import WaitingEvents, WaitingFrames
from stream_infer.steps.observing.observe import Observe
from stream_infer.steps.scoring.activation import Announcer
from stream_infer.steps.scoring.isolate import Budget
from stream_infer.steps.scoring.plan import plan_scoring
from stream_infer.steps.scoring.score import Score, ScoreSettings
from stream_infer.store.desired import StoreDesired
from stream_infer.store.model_store import ModelStore

_LEAVE_WITHIN_S = 10.0
_log = logging.getLogger("stream_infer.worker")


def run_worker(settings: Settings) -> int:
    """Check, then score until SIGTERM (exit code 0) or SIGINT (130). Raises what stops it otherwise."""
    logs.configure(sys.stderr, os.environ)
    keep_freed_memory()
    stop = Stop()
    changing = settings.model.store is not None
    # First of all: nobody may be forked from a process with threads in it.
    with (
        forkserver() if changing else nullcontext(run_spawned) as rehearsing,
        on_signals(stop),
        leaving_within(stop, _LEAVE_WITHIN_S) as begun,
    ):
        ready = require_checked(settings)
        begun.set()
        run_scoring(ready, stop, rehearsing=rehearsing)
    return stop.exit_code


def run_scoring(
    ready: Checked, stop: Stop, *, observers: Sequence[Observer] = (), rehearsing: RunChild = run_spawned
) -> None:
    """Score with what was checked until `stop` is requested. Any thread may call this, once a process.

    New packages are rehearsed by `rehearsing`.
    """
    settings = ready.settings
    progress = ProgressCell()
    metrics = Metrics(settings.pipeline, build=Build(__version__))
    log = logs.LogObserver()
    with ExitStack() as stack:
        stack.enter_context(_http(settings, progress, metrics))
        sweep = stack.enter_context(between_batches())
        reporters = stack.enter_context(_reporters(ready))
        desired = stack.enter_context(_desired(settings))
        active = stack.enter_context(follow_active_model(ready, desired, reporters, rehearsing))
        health = stack.enter_context(_topic_health(ready))
        model_info = ModelInfoObserver(active, metrics, progress)
        model_info.show()
        observe = Fanout([progress, metrics, log, model_info, *reporters, *observers, sweep])
        session = _session(ready, stop, observe, health)
        stack.enter_context(_logged(log, settings, active))
        stack.enter_context(closing(session))
        writers = stack.enter_context(_writers(settings))
        session.open()
        progress.enter(LoopState.RUNNING)
        watched = _observe(settings)
        sink = _degradable(settings, session, health, watched, observe)
        source = session if writers is None else SchemaGatedSource(session, writers, observe=observe)
        run(
            FlushWhenIdle(source, sink),
            _score(ready, active, writers, watched),
            sink,
            stop=stop,
            pace=Pace(_pacing(settings)),
            observe=observe,
        )
        sink.flush()
        progress.enter(LoopState.DRAINING)


class ModelInfoObserver:
    """An observer that shows in metrics and probes which model serves, when that has changed."""

    def __init__(self, active: ActiveModel, metrics: Metrics, progress: ProgressCell) -> None:
        self._active = active
        self._metrics = metrics
        self._progress = progress
        self._shown = ""

    def __call__(self, event: Event, /) -> None:
        if isinstance(event, BatchCommitted):
            self.show()

    def show(self) -> None:
        """Show what serves now, if it is not shown yet."""
        model = self._active.current.model
        if model.digest != self._shown:
            self._shown = model.digest
            manifest = model.manifest
            self._metrics.serve(ModelLabels(manifest.name, manifest.version, model.digest, manifest.runtime))
            self._progress.serve(manifest.version)


@contextmanager
def _writers(settings: Settings) -> Iterator[WriterSchemas | None]:
    """Hold what is known about writers, where a registry knows them."""
    if settings.schema_registry is None or settings.input.framing is not Framing.CONFLUENT:
        yield None
        return
    with schema_registry.event_writers(settings.schema_registry) as writers:
        yield writers


@contextmanager
def _reporters(ready: Checked) -> Iterator[Sequence[StatusReporter]]:
    """Hold what tells the world which model serves here; nobody, where the model is fixed."""
    settings = ready.settings
    if settings.model.store is None or settings.monitoring.topic is None:
        yield ()
        return
    config = client.producer(
        settings.kafka, transactional_id=None, client_id=f"{settings.group_id}.{settings.worker.slot}.status"
    )
    publisher = BestEffortPublisher(config, logger=logs.librdkafka_logger())
    reporter = StatusReporter(
        publisher,
        pipeline=settings.pipeline,
        instance=settings.worker.slot,
        status_topic=settings.model.status_topic,
        events_topic=settings.monitoring.topic,
        events=_event_writer(ready),
    )
    publisher.open()
    try:
        yield (reporter,)
        reporter.leave()
    finally:
        publisher.close()


@contextmanager
def _desired(settings: Settings) -> Iterator[DesiredSource | None]:
    """Hold where the desired deployment is kept."""
    if settings.model.store is None:
        yield None
        return
    store = ModelStore(settings.model.store, settings.pipeline)
    if settings.model.follow is Follow.STORE:
        yield StoreDesired(store)
        return
    with ControlTopic(
        client.admin(settings.kafka), settings.model.control_topic, settings.pipeline, fetch=store.locate
    ) as control:
        yield control


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
    """Return who looks for the monitoring topics; what the check has found against them is in the log."""
    settings = ready.settings
    health = TopicHealth(settings.kafka, _monitoring_channels(settings))
    for problem in ready.degraded:
        fields = {"key": problem.key, "value": problem.value, "reason": problem.message}
        _log.warning(LogEvent.MONITORING_PROBLEM, extra=fields)
    if ready.degraded:
        health.refresh()
    return health


def _degradable(
    settings: Settings, session: Session, health: TopicHealth, watched: Observe | None, observe: Observer
) -> DegradableSink:
    """Return the sink of the loop: what monitoring suffers from cannot stop it."""
    frames = topic_schemas.topic_schema("ObservationFrame")
    reader, encoder = RecordReader(frames, Framing.NONE), Encoder(frames, Framing.NONE)
    return DegradableSink(
        session,
        health,
        {
            Channel.EVENTS: WaitingEvents(),
            Channel.OBSERVATIONS: WaitingFrames(settings.pipeline, reader, encoder),
        },
        observe=observe,
        complaints=lambda: (watched.failure,) if watched is not None and watched.failure else (),
    )


def _session(ready: Checked, stop: Stop, observe: Observer, health: TopicHealth) -> Session:
    settings = ready.settings
    channels = {
        Channel.PREDICTIONS: settings.output.topic,
        Channel.DEAD_LETTERS: settings.dlq.topic,
        **_monitoring_channels(settings),
    }
    known = ready.topics.max_message_bytes
    limits = [known[topic] for topic in channels.values() if topic in known]  # one of monitoring may be away
    logger = logs.librdkafka_logger()
    client_id = f"{settings.group_id}.{settings.worker.slot}"
    return Session(
        SessionSettings(
            consumer=client.consumer(
                settings.kafka,
                group_id=settings.group_id,
                instance_id=settings.worker.slot,
                client_id=client_id,
            ),
            input_topics=settings.input.topics,
            channels=channels,
        ),
        _publisher(settings, limits, client_id, stop, observe, logger, health),
        StartOffsets(settings.input.start_at, settings.input.on_lost_offset),
        observe=observe,
        logger=logger,
    )


def _publisher(
    settings: Settings,
    limits: Sequence[int],
    client_id: str,
    stop: Stop,
    observe: Observer,
    logger: logging.Logger,
    health: TopicHealth,
) -> Publisher:
    atomic = settings.delivery.guarantee is Guarantee.EXACTLY_ONCE
    transactional_id = settings.transactional_id if atomic else None
    config = client.producer(settings.kafka, transactional_id=transactional_id, client_id=client_id)
    if not atomic:
        fitted = client.fitting(config, limits)
        return AtLeastOnce(fitted, logger=logger, cannot_succeed=health.cannot_succeed)
    return Transactions(
        client.fitting(config, limits),
        stopping=lambda: stop.requested,
        holder=partial(slot_holder, settings.kafka, settings.group_id, settings.worker.slot),
        observe=observe,
        logger=logger,
        cannot_succeed=health.cannot_succeed,
    )


def _score(
    ready: Checked, active: ActiveModel, writers: WriterSchemas | None, watched: Observe | None
) -> Score:
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
        observe=watched,
    )


def _monitoring_channels(settings: Settings) -> Mapping[Channel, str]:
    monitoring = settings.monitoring
    if monitoring.topic is None:
        return {}
    return {Channel.EVENTS: monitoring.topic, Channel.OBSERVATIONS: monitoring.observations_topic}


def _observe(settings: Settings) -> Observe | None:
    if settings.monitoring.topic is None:
        return None
    references = PackagedReferences(settings)
    frames = Encoder(topic_schemas.topic_schema("ObservationFrame"), Framing.NONE)
    return Observe(settings.pipeline, frames, lambda model: references(model.digest))


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


def _event_writer(ready: Checked) -> RecordWriter:
    schema_id = ready.schema_ids.get("MonitoringEvent")
    return RecordWriter(
        topic_schemas.topic_schema("MonitoringEvent"), ready.settings.output.framing, schema_id=schema_id
    )


def _budget(seconds: float) -> Budget:
    """Return what isolating poison rows may cost in this batch: well within the poll interval."""
    deadline = time.monotonic() + seconds
    return Budget(expired=lambda: time.monotonic() > deadline)


@contextmanager
def _http(settings: Settings, progress: ProgressCell, metrics: Metrics) -> Iterator[None]:
    application = http.application(
        lambda: progress.current,
        metrics.registry,
        max_idle_s=client.max_poll_interval_s(settings.kafka),
    )
    with http.HttpServer(application, host=settings.http.host, port=settings.http.port):
        yield


@contextmanager
def _logged(log: logs.LogObserver, settings: Settings, active: ActiveModel) -> Iterator[None]:
    """Log start and stop, with the reason of the stop."""
    manifest = active.current.model.manifest
    log.started(
        pipeline=settings.pipeline,
        slot=settings.worker.slot,
        model=manifest.name,
        model_version=manifest.version,
    )
    try:
        yield
    except BaseException as failure:
        log.stopped(f"{type(failure).__name__}: {failure}")
        raise
    log.stopped("asked to stop")
