"""The watches of the monitor's clock, and the way of their events: beside its transactions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace

from stream_infer.app.hourly import HourlyWatch
from stream_infer.app.kit.member import GroupMember
from stream_infer.app.kit.records import event_writer
from stream_infer.app.on_call import Intervals, OnCallWatch
from stream_infer.app.schema_registry import monitoring_event_id
from stream_infer.app.silence import Feed, SilenceWatch, labels_feed, observations_feed
from stream_infer.common.clock import unix_ms
from stream_infer.config.settings import Settings
from stream_infer.flow.codes import EventType
from stream_infer.flow.ports import Observer
from stream_infer.ops.metrics import Metrics
from stream_infer.steps.monitoring.event_output import event_output
from stream_infer.steps.monitoring.monitor import MonitorStep

Post = Callable[[Mapping[str, object]], None]


def clock_watches(
    settings: Settings, member: GroupMember, step: MonitorStep, metrics: Metrics, stack: ExitStack
) -> Iterator[Observer]:
    """Yield the watches; the producer of their events is closed with `stack`."""
    monitoring = settings.monitoring
    publisher = stack.enter_context(closing(member.best_effort_publisher("clock")))
    publisher.open()
    writer = event_writer(settings, monitoring_event_id(settings))

    def post(event: Mapping[str, object]) -> None:
        output = event_output(settings.pipeline, [step.desk.toned(event)], writer)
        for key, value, headers in zip(output.keys, output.values, output.headers, strict=True):
            publisher.post(monitoring.topic or "", key or b"", value, headers or ())

    for feed in [observations_feed(step), *([] if step.label_join is None else [labels_feed(step)])]:
        yield from _feed_watches(settings, feed, step, post)
    yield OnCallWatch(
        settings.pipeline,
        lambda: step.desk,
        post,
        Intervals(monitoring.remind_every_ms / 1_000, monitoring.heartbeat_every_ms / 1_000),
        metrics,
        clock=time.monotonic,
        now_ms=unix_ms,
    )


def _feed_watches(settings: Settings, feed: Feed, step: MonitorStep, post: Post) -> Iterator[Observer]:
    """Yield the watches of one feed: whether it is silent, and how much comes in an hour."""

    def told_of(name: str) -> Callable[[], int | None]:
        return lambda: step.desk.known.newest_of(f"{EventType.LIVENESS}.{name}.")

    limits = settings.limits
    yield SilenceWatch(
        settings.pipeline,
        feed,
        post,
        limit_s=settings.monitoring.max_silence_ms / 1_000,
        clock=time.monotonic,
        now_ms=unix_ms,
        open_ms=told_of(feed.name),
    )
    counted = "labels" if feed.name == "labels" else "events"
    limit = limits.min_labels_per_hour if counted == "labels" else limits.min_events_per_hour
    if limit is not None:
        yield HourlyWatch(
            settings.pipeline,
            replace(feed, name=counted),
            limit,
            post,
            clock=time.monotonic,
            now_ms=unix_ms,
            open_ms=told_of(f"{counted}_per_hour"),
        )
