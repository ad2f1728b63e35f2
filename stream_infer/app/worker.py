"""The composition root of `run`: settings become a session, a step and observers, and the loop turns.

The only place that names concrete classes for the online role. Checking the settings against broker, schema
and package is `app.check`; what the loop does is `runtime.loop`.
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
from stream_infer.app import registry
from stream_infer.app.admission import tolerated
from stream_infer.app.check import Checked, checked
from stream_infer.app.references import PackagedReferences
from stream_infer.app.reporting import Reporter
from stream_infer.app.serving import serving
from stream_infer.avro import contract
from stream_infer.avro.encode import Encoder
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordReader, RecordWriter
from stream_infer.config.sections import Follow, Guarantee
from stream_infer.config.settings import Settings
from stream_infer.files.desired import StoreDesired
from stream_infer.files.store import ModelStore
from stream_infer.flow.events import BatchCommitted, Event
from stream_infer.flow.ports import Observer
from stream_infer.flow.records import Channel
from stream_infer.kafka import client
from stream_infer.kafka.at_least_once import AtLeastOnce
from stream_infer.kafka.board import Board
from stream_infer.kafka.control import ControlTopic
from stream_infer.kafka.lookout import Lookout
from stream_infer.kafka.offsets import StartOffsets
from stream_infer.kafka.publish import Publisher
from stream_infer.kafka.registered import RegisteredSource
from stream_infer.kafka.session import Session, SessionSettings
from stream_infer.kafka.topics import slot_holder
from stream_infer.kafka.transactions import Transactions
from stream_infer.kafka.writers import Writers
from stream_infer.models.slot import Slot
from stream_infer.ops import http, logs
from stream_infer.ops.fanout import Fanout
from stream_infer.ops.metrics import Build, Metrics, Served
from stream_infer.ops.progress import ProgressCell, State
from stream_infer.runtime.audition import Desired
from stream_infer.runtime.forkserver import forkserver
from stream_infer.runtime.garbage import between_batches
from stream_infer.runtime.loop import run
from stream_infer.runtime.memory import keep_freed_memory
from stream_infer.runtime.pacing import Pace, Pacing
from stream_infer.runtime.rehearsal import Run, spawned
from stream_infer.runtime.shelter import Sheltered, Unhurried
from stream_infer.runtime.stop import Stop, leaving_within, on_signals
from stream_infer.steps.activation import Announcer
from stream_infer.steps.backlog import WaitingEvents, WaitingFrames
from stream_infer.steps.isolate import Budget
from stream_infer.steps.observe import Observe
from stream_infer.steps.plan import plan
from stream_infer.steps.score import Score, ScoreSettings

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
        forkserver() if changing else nullcontext(spawned) as rehearsing,
        on_signals(stop),
        leaving_within(stop, _LEAVE_WITHIN_S) as begun,
    ):
        ready = checked(settings)
        begun.set()
        serve(ready, stop, rehearsing=rehearsing)
    return stop.exit_code


def serve(
    ready: Checked, stop: Stop, *, observers: Sequence[Observer] = (), rehearsing: Run = spawned
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
        slot = stack.enter_context(serving(ready, desired, reporters, rehearsing))
        lookout = stack.enter_context(_lookout(ready))
        model_info = ModelInfo(slot, metrics, progress)
        model_info.show()
        observe = Fanout([progress, metrics, log, model_info, *reporters, *observers, sweep])
        session = _session(ready, stop, observe, lookout)
        stack.enter_context(_logged(log, settings, slot))
        stack.enter_context(closing(session))
        writers = stack.enter_context(_writers(settings))
        session.open()
        progress.enter(State.RUNNING)
        watched = _observe(settings)
        sink = _sheltered(settings, session, lookout, watched, observe)
        source = session if writers is None else RegisteredSource(session, writers, observe=observe)
        run(
            Unhurried(source, sink),
            _score(ready, slot, writers, watched),
            sink,
            stop=stop,
            pace=Pace(_pacing(settings)),
            observe=observe,
        )
        sink.flush()
        progress.enter(State.DRAINING)


class ModelInfo:
    """An observer that shows in metrics and probes which model serves, when that has changed."""

    def __init__(self, slot: Slot, metrics: Metrics, progress: ProgressCell) -> None:
        self._slot = slot
        self._metrics = metrics
        self._progress = progress
        self._shown = ""

    def __call__(self, event: Event, /) -> None:
        if isinstance(event, BatchCommitted):
            self.show()

    def show(self) -> None:
        """Show what serves now, if it is not shown yet."""
        model = self._slot.current.model
        if model.digest != self._shown:
            self._shown = model.digest
            manifest = model.manifest
            self._metrics.serve(Served(manifest.name, manifest.version, model.digest, manifest.runtime))
            self._progress.serve(manifest.version)


@contextmanager
def _writers(settings: Settings) -> Iterator[Writers | None]:
    """Hold what is known about writers, where a registry knows them."""
    if settings.schema_registry is None or settings.input.framing is not Framing.CONFLUENT:
        yield None
        return
    with registry.writers(settings.schema_registry) as writers:
        yield writers


@contextmanager
def _reporters(ready: Checked) -> Iterator[Sequence[Reporter]]:
    """Hold what tells the world which model serves here; nobody, where the model is fixed."""
    settings = ready.settings
    if settings.model.store is None or settings.monitoring.topic is None:
        yield ()
        return
    config = client.producer(
        settings.kafka, transactional_id=None, client_id=f"{settings.group_id}.{settings.worker.slot}.status"
    )
    board = Board(config, logger=logs.librdkafka_logger())
    reporter = Reporter(
        board,
        pipeline=settings.pipeline,
        instance=settings.worker.slot,
        status_topic=settings.model.status_topic,
        events_topic=settings.monitoring.topic,
        events=_event_writer(ready),
    )
    board.open()
    try:
        yield (reporter,)
        reporter.leave()
    finally:
        board.close()


@contextmanager
def _desired(settings: Settings) -> Iterator[Desired | None]:
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


def _lookout(ready: Checked) -> Lookout:
    """Return who looks for the monitoring topics; what the check has found against them is in the log."""
    settings = ready.settings
    lookout = Lookout(settings.kafka, _monitoring_channels(settings))
    for problem in ready.degraded:
        _log.warning("monitoring has a problem: %s = %s %s", problem.key, problem.value, problem.message)
    if ready.degraded:
        lookout.look()
    return lookout


def _sheltered(
    settings: Settings, session: Session, lookout: Lookout, watched: Observe | None, observe: Observer
) -> Sheltered:
    """Return the sink of the loop: what monitoring suffers from cannot stop it."""
    frames = contract.schema("ObservationFrame")
    reader, encoder = RecordReader(frames, Framing.NONE), Encoder(frames, Framing.NONE)
    return Sheltered(
        session,
        lookout,
        {
            Channel.EVENTS: WaitingEvents(),
            Channel.OBSERVATIONS: WaitingFrames(settings.pipeline, reader, encoder),
        },
        observe=observe,
        complaints=lambda: (watched.failure,) if watched is not None and watched.failure else (),
    )


def _session(ready: Checked, stop: Stop, observe: Observer, lookout: Lookout) -> Session:
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
        _publisher(settings, limits, client_id, stop, observe, logger, lookout),
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
    lookout: Lookout,
) -> Publisher:
    atomic = settings.delivery.guarantee is Guarantee.EXACTLY_ONCE
    transactional_id = settings.transactional_id if atomic else None
    config = client.producer(settings.kafka, transactional_id=transactional_id, client_id=client_id)
    if not atomic:
        return AtLeastOnce(client.fitting(config, limits), logger=logger, hopeless=lookout.hopeless)
    return Transactions(
        client.fitting(config, limits),
        stopping=lambda: stop.requested,
        holder=partial(slot_holder, settings.kafka, settings.group_id, settings.worker.slot),
        observe=observe,
        logger=logger,
        hopeless=lookout.hopeless,
    )


def _score(ready: Checked, slot: Slot, writers: Writers | None, watched: Observe | None) -> Score:
    settings = ready.settings
    events = ready.events if writers is None else replace(ready.events, registered=writers.known)
    prediction = contract.schema("Prediction")
    limits = ready.topics.max_message_bytes
    return Score(
        slot,
        partial(plan, events=events),
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
    frames = Encoder(contract.schema("ObservationFrame"), Framing.NONE)
    return Observe(settings.pipeline, frames, lambda model: references(model.digest))


def _announcer(ready: Checked) -> Announcer | None:
    settings = ready.settings
    if settings.monitoring.topic is None:
        return None
    return Announcer(
        settings.pipeline,
        settings.worker.slot,
        _event_writer(ready),
        differences=lambda manifest: tolerated(manifest, ready.events, settings.model.on_difference),
    )


def _event_writer(ready: Checked) -> RecordWriter:
    schema_id = ready.schema_ids.get("MonitoringEvent")
    return RecordWriter(
        contract.schema("MonitoringEvent"), ready.settings.output.framing, schema_id=schema_id
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
def _logged(log: logs.LogObserver, settings: Settings, slot: Slot) -> Iterator[None]:
    """Log start and stop, with the reason of the stop."""
    manifest = slot.current.model.manifest
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
