"""What every role shows of itself: probes and metrics over HTTP, and the log."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from stream_infer import __version__
from stream_infer.config.settings import Settings
from stream_infer.flow.codes import LogEvent
from stream_infer.flow.ports import Observer
from stream_infer.kafka import client
from stream_infer.kafka.group_watch import GroupWatch
from stream_infer.ops import http
from stream_infer.ops.fanout import Fanout
from stream_infer.ops.logs import LogObserver
from stream_infer.ops.metrics import Build, Metrics
from stream_infer.ops.progress import ProgressCell


@dataclass(frozen=True, slots=True)
class Observability:
    """The observers behind `/livez` and `/readyz`, `/metrics`, and the log, and the watch of the group."""

    progress: ProgressCell
    metrics: Metrics
    log: LogObserver
    group: GroupWatch

    def observer(self, *more: Observer) -> Fanout:
        """Return one observer made of these and `more`, called in this order."""
        return Fanout([self.progress, self.metrics, self.log, self.group, *more])


@contextmanager
def observability(
    settings: Settings, group_id: str, *, rejected: LogEvent = LogEvent.DEAD_LETTERS
) -> Iterator[Observability]:
    """Serve probes and metrics of a role, and watch its group, while the block runs.

    `rejected` is the log event of rejected records. Raises `Misconfigured` when the port cannot be had.
    """
    progress = ProgressCell()
    metrics = Metrics(settings.pipeline, build=Build(__version__))
    group = GroupWatch(settings.kafka, group_id)
    application = http.application(
        lambda: progress.current,
        metrics.registry,
        max_idle_s=client.max_poll_interval_s(settings.kafka),
        foreign_members=lambda: group.foreign_members,
    )
    with http.HttpServer(application, http.Listening(settings.http.host, settings.http.port)), group:
        yield Observability(progress, metrics, LogObserver(rejected=rejected), group)


@contextmanager
def logged_run(log: LogObserver, settings: Settings, *, model: str, model_version: str) -> Iterator[None]:
    """Log the start and the stop of a role that has a model, with the reason of the stop."""
    log.started(
        pipeline=settings.pipeline, slot=settings.worker.slot, model=model, model_version=model_version
    )
    try:
        yield
    except BaseException as failure:
        log.stopped(f"{type(failure).__name__}: {failure}")
        raise
    log.stopped("asked to stop")
