"""Records of the pipeline's topics, taken into the state of the dashboard. Unreadable ones are counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stream_infer.app.fleet import WorkerStatus, parse_status
from stream_infer.app.kit.records import frame_reader
from stream_infer.config.settings import Settings
from stream_infer.dashboard.pipeline_state import PipelineState, WorkerView
from stream_infer.kafka import control
from stream_infer.kafka.topic_history import HistoryRecord
from stream_infer.rollout.deployment import DeploymentInvalid
from stream_infer.steps.monitoring.event_record import parse_event
from stream_infer.steps.monitoring.event_time import format_time
from stream_infer.steps.observing.frame_check import checked_frame


@dataclass(frozen=True, slots=True)
class WatchedTopic:
    """A topic, what the page lacks without it, and whether only its last days are read."""

    name: str
    shows: str
    is_recent: bool = False


def watched_topics(settings: Settings) -> tuple[WatchedTopic, ...]:
    """Return the topics of a pipeline that the dashboard reads."""
    found = [
        WatchedTopic(
            settings.monitoring.observations_topic, "throughput, latency, features and scores", is_recent=True
        ),
        WatchedTopic(settings.dlq.topic, "the reasons and the newest of the dead letters", is_recent=True),
    ]
    if settings.monitoring.topic is not None:
        found.append(WatchedTopic(settings.monitoring.topic, "incidents, the model's timeline and accuracy"))
    if settings.model.store is not None:
        found.append(WatchedTopic(settings.model.status_topic, "workers and the versions that they serve"))
    if settings.model.follow == "topic":
        found.append(WatchedTopic(settings.model.control_topic, "the deployments that were asked for"))
    return tuple(found)


class PipelineFeed:
    """Takes records in the order in which they are read. `now_ms` bounds times that records claim."""

    def __init__(self, settings: Settings, state: PipelineState) -> None:
        self._pipeline = settings.pipeline
        self._state = state
        self._frames = frame_reader()
        self._statuses: dict[str, WorkerStatus] = {}
        self._takes: Mapping[str, Callable[[HistoryRecord, int], None]] = {
            settings.monitoring.observations_topic: self._take_frame,
            settings.dlq.topic: self._take_letter,
            settings.monitoring.topic or "": self._take_event,
            settings.model.status_topic: self._take_status,
            settings.model.control_topic: self._take_deployment,
        }

    def take(self, record: HistoryRecord, now_ms: int) -> None:
        """Take a record."""
        try:
            self._takes[record.topic](record, now_ms)
        except (ValueError, DeploymentInvalid):
            self._state.unreadable += 1

    def show_workers(self, members: frozenset[str] | None) -> None:
        """Show the workers as they are now; `members` are those of the group, None while that is unknown."""
        self._state.workers = {name: _view(one, members) for name, one in self._statuses.items()}

    def _take_frame(self, record: HistoryRecord, now_ms: int) -> None:
        if record.value is None:
            return
        frame = checked_frame(self._frames.read(record.value), self._pipeline)
        self._state.take_frame(frame, min(record.timestamp_ms, now_ms))

    def _take_letter(self, record: HistoryRecord, now_ms: int) -> None:
        place = record.topic, record.partition, record.offset
        written_ms = min(record.timestamp_ms, now_ms)
        self._state.letters.take(place, written_ms, record.key, record.value, record.headers)

    def _take_event(self, record: HistoryRecord, now_ms: int) -> None:
        del now_ms
        if record.value is None:
            return
        event = parse_event(record.value)
        if event is None:
            raise ValueError("not a monitoring event")
        if event["pipeline"] == self._pipeline:
            self._state.take_event(event)

    def _take_status(self, record: HistoryRecord, now_ms: int) -> None:
        del now_ms
        owner, _, instance = (record.key or b"").decode(errors="replace").partition("/")
        if owner != self._pipeline:
            return
        if record.value is None:
            self._statuses.pop(instance, None)
        else:
            self._statuses[instance] = parse_status(record.value, record.headers)

    def _take_deployment(self, record: HistoryRecord, now_ms: int) -> None:
        if record.value is None or record.key != self._pipeline.encode():
            return
        found = control.deployment(record.value)
        package = found.package
        reason = f": {found.reason}" if found.reason else ""
        self._state.timeline.ask(
            min(found.requested_at, now_ms),
            f"{found.requested_by} asked for {package.name} {package.version} "
            f"(generation {found.generation}) at {format_time(found.requested_at)}{reason}",
        )


def _view(worker: WorkerStatus, members: frozenset[str] | None) -> WorkerView:
    refused = worker.rejected
    return WorkerView(
        name=worker.instance,
        state=worker.state if worker.reason is None else f"{worker.state}: {worker.reason}",
        version=worker.model_version,
        digest=worker.model_digest,
        generation=worker.generation,
        partitions=len(worker.partitions),
        serves_since_ms=worker.serves_since,
        updated_ms=worker.updated_at,
        refused=None if refused is None else f"{refused.reason_code}: {refused.reason}",
        member=None if members is None else worker.instance in members,
    )
