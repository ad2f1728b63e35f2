"""The composition root of the dashboard: topics are read into a state, and the state is shown on a page.

It joins no group, writes nothing and asks no worker: nothing that it does or suffers reaches scoring.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from stream_infer.app.dashboard_feed import PipelineFeed, WatchedTopic, watched_topics
from stream_infer.app.group_inquiry import GroupAnswers, asking_about_group
from stream_infer.app.kit.lifetime import run_until_signal
from stream_infer.app.package_references import PackagedReferences
from stream_infer.common.clock import unix_ms
from stream_infer.config.settings import Settings
from stream_infer.dashboard.documents import ReadingProgress
from stream_infer.dashboard.page_access import page_access
from stream_infer.dashboard.page_documents import event_documents, figure_documents, frame_documents
from stream_infer.dashboard.page_files import load_page_files
from stream_infer.dashboard.page_server import page_application
from stream_infer.dashboard.pipeline_state import PipelineState, empty_state
from stream_infer.dashboard.published import PageCell
from stream_infer.flow.codes import LogEvent
from stream_infer.kafka import client
from stream_infer.kafka.topic_history import TopicHistory, topic_history
from stream_infer.ops.http import HttpServer, Listening
from stream_infer.runtime.stop import Stop

_LOG = logging.getLogger("stream_infer.dashboard")
_READ_S = 0.2
_PUBLISH_EVERY_S = 1.0
_COLUMNS_EVERY_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardOptions:
    """How the page is shown. `history_ms` is how far back frames and dead letters are read; None: all."""

    where: Listening
    token_file: Path | None = None
    shows_payload: bool = False
    history_ms: int | None = 7 * 86_400_000


def run_dashboard(settings: Settings, options: DashboardOptions) -> int:
    """Show the page until SIGTERM (exit code 0) or SIGINT (130). Raises `Misconfigured`."""
    prepare = partial(PreparedPage, settings, options)
    return run_until_signal(prepare, lambda page, stop: page.show(stop))


class PreparedPage:
    """A page that is not shown yet. Raises `Misconfigured` for its address or its token.

    `has_charts` is whether the chart library is installed.
    """

    def __init__(self, settings: Settings, options: DashboardOptions) -> None:
        self._settings = settings
        self._options = options
        self._cell = PageCell()
        files = load_page_files()
        self.has_charts = files.has_charts
        access = page_access(options.where.host, options.token_file)
        self._server = HttpServer(page_application(self._cell, files, access), options.where)
        references = PackagedReferences(settings)
        self._state = empty_state(references, shows_payload=options.shows_payload)
        self._feed = PipelineFeed(settings, self._state)

    @property
    def url(self) -> str:
        """The address of the page; the port is known once it is shown."""
        return f"{self._server.url}/"

    def show(self, stop: Stop, answers: Callable[[], object] = bool) -> None:
        """Read the topics and show them until `stop` is requested; call `answers` once the port answers.

        Raises `Misconfigured` for the port.
        """
        settings, options = self._settings, self._options
        watched = watched_topics(settings)
        since = None if options.history_ms is None else unix_ms() - options.history_ms
        wanted = {one.name: since if one.is_recent else None for one in watched}
        config = {**client.admin(settings.kafka), "logger": client.SILENT}
        positions = self._state.positions
        inquiry = GroupAnswers(settings, lambda: dict(positions))
        publisher = _Publisher(self._state, self._cell, settings.pipeline, watched, _missing(settings))
        with (
            self._server,
            topic_history(config, wanted, f"{settings.pipeline}.dashboard") as history,
            asking_about_group(inquiry),
        ):
            answers()
            _LOG.info(LogEvent.DASHBOARD, extra={"url": self.url, "pipeline": settings.pipeline})
            while not stop.requested:
                now_ms = unix_ms()
                for record in history.read(_READ_S):
                    self._feed.take(record, now_ms)
                self._state.lag = inquiry.now.lag
                self._feed.show_workers(inquiry.now.members)
                publisher.publish(history, now_ms)


class _Publisher:
    """Publishes the state: figures each second, features each two seconds."""

    def __init__(
        self,
        state: PipelineState,
        cell: PageCell,
        pipeline: str,
        watched: tuple[WatchedTopic, ...],
        missing: tuple[str, ...],
    ) -> None:
        self._state, self._cell, self._pipeline = state, cell, pipeline
        self._shows = {one.name: one.shows for one in watched}
        self._missing = missing
        self._started_s = time.monotonic()
        self._seconds: float | None = None
        self._due_s = self._columns_due_s = 0.0
        self._told: tuple[int, int] | None = None

    def publish(self, history: TopicHistory, now_ms: int) -> None:
        """Publish what is due."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            return
        self._due_s = now_s + _PUBLISH_EVERY_S
        if history.caught_up and self._seconds is None:
            self._seconds = now_s - self._started_s
        caught_up = self._seconds is not None
        seconds = now_s - self._started_s if self._seconds is None else self._seconds
        reading = ReadingProgress(1.0 if caught_up else history.share(), round(seconds, 1), caught_up)
        self._state.troubles = (
            *self._missing,
            *(f"The topic {name} {reason}. The page lacks {self._shows[name]}."
              for name, reason in sorted(history.troubles.items())),
        )  # fmt: skip
        state = self._state
        sections = figure_documents(state, self._pipeline, reading, now_ms)
        if self._told != (told := (state.events, state.timeline.asked)):
            self._told = told
            sections |= event_documents(state)
        details = None
        if now_s >= self._columns_due_s:
            self._columns_due_s = now_s + _COLUMNS_EVERY_S
            of_frames, details = frame_documents(state, now_ms)
            sections |= of_frames
        self._cell.publish(sections, details)


def _missing(settings: Settings) -> tuple[str, ...]:
    """Return sentences about what the configuration leaves out."""
    found = []
    if settings.monitoring.topic is None:
        found.append(
            "No monitoring topic is named ([monitoring] topic): workers write no observations and no events, "
            "so that the page lacks throughput, latency, features, incidents and accuracy."
        )
    if settings.model.store is None:
        found.append(
            "The model is a fixed package ([model] package): workers write no status. Their versions are in "
            "the timeline."
        )
    if settings.labels.topic is None:
        found.append("No labels topic is named ([labels] topic): accuracy is unknown.")
    return tuple(found)
