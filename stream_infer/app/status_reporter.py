"""Publishes this worker's status, and an event for each refused package.

Written beside the stream, by a producer of its own: a status that cannot be written stops nothing. That a
model serves from an offset on is announced with the predictions themselves, in `steps.scoring.activation`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from stream_infer import __version__
from stream_infer.app.fleet import SERVES_SINCE
from stream_infer.app.kit.member import GroupMember
from stream_infer.avro import topic_schemas
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordWriter
from stream_infer.common.clock import unix_ms
from stream_infer.config.settings import Settings
from stream_infer.flow.codes import EventType, LogEvent
from stream_infer.flow.events import AssignmentChanged, Event
from stream_infer.flow.records import Headers, Partition
from stream_infer.kafka.best_effort import BestEffortPublisher
from stream_infer.rollout.deployment import PackageRef
from stream_infer.rollout.status import DeployerStatus, Rejection
from stream_infer.steps import cloudevents

_LOG = logging.getLogger("stream_infer")


class DeploymentReporter(Protocol):
    """Is told each new status of the deployer, on its thread."""

    def deployed(self, status: DeployerStatus) -> None:
        """Take note of `status`. Must not block."""


class DeploymentLog:
    """Logs each change of the deployer's status: active model, refusal, problem."""

    def __init__(self) -> None:
        self._before = DeployerStatus()

    def __call__(self, status: DeployerStatus) -> None:
        before, self._before = self._before, status
        served, rejected, problem = status.served, status.rejected, status.problem
        if served is not None and served != before.served:
            _LOG.info(LogEvent.MODEL_ACTIVE, extra=_named(served.package, served.generation))
        if rejected is not None and rejected != before.rejected:
            fields = {"code": rejected.reason_code, "reason": rejected.reason}
            _LOG.warning(
                LogEvent.MODEL_REFUSED, extra={**_named(rejected.package, rejected.generation), **fields}
            )
        if problem is not None and problem != before.problem:
            fields = {"code": problem.code, "reason": problem.reason}
            _LOG.warning(LogEvent.DEPLOYMENT_UNAVAILABLE, extra=fields)


@dataclass(frozen=True, slots=True)
class ProcessName:
    """The name of a process in its pipeline: what it does, and which one of them it is."""

    pipeline: str
    role: str
    instance: str


class StatusReporter:
    """Posts a `WorkerStatus` on every change. Observes the loop; `deployed` is called by the deployer.

    The loop's thread writes what is owned, the deployer's thread its status: two values, each replaced whole.
    """

    def __init__(
        self,
        publisher: BestEffortPublisher,
        name: ProcessName,
        *,
        status_topic: str,
        events_topic: str,
        events: RecordWriter,
        now_ms: Callable[[], int] = unix_ms,
    ) -> None:
        self._publisher = publisher
        self._pipeline = name.pipeline
        self._instance = name.instance
        self._role = name.role
        self._status_topic = status_topic
        self._events_topic = events_topic
        self._now_ms = now_ms
        self._started_ms = now_ms()
        self._owned: tuple[Partition, ...] = ()
        self._status = DeployerStatus()
        self._statuses = RecordWriter(topic_schemas.topic_schema("WorkerStatus"), Framing.NONE)
        self._events = events

    def __call__(self, event: Event, /) -> None:
        if isinstance(event, AssignmentChanged):
            self._owned = event.owned
            self._post()

    def deployed(self, status: DeployerStatus) -> None:
        """Publish the deployer's new status; a new refusal is an event too."""
        before, self._status = self._status, status
        self._post()
        if status.rejected is not None and status.rejected != before.rejected:
            self._announce(status.rejected)

    def leave(self) -> None:
        """Take the status away: this worker is gone."""
        self._publisher.post(self._status_topic, self._key, None)

    @property
    def _key(self) -> bytes:
        return f"{self._pipeline}/{self._instance}".encode()

    def _post(self) -> None:
        status, served, rejected = self._status, self._status.served, self._status.rejected
        record = {
            "pipeline": self._pipeline,
            "role": self._role,
            "instance": self._instance,
            "state": str(status.state),
            "reason": status.problem.reason if status.problem else None,
            "generation": served.generation if served else None,
            "model_version": served.package.version if served else None,
            "model_digest": served.package.digest if served else None,
            "rejected": _rejection(rejected) if rejected else None,
            "partitions": [p.index for p in self._owned],
            "worker_version": __version__,
            "started_at": self._started_ms,
            "updated_at": self._now_ms(),
            "serves_since": served.since_ms if served else None,
            "newest_generation": status.newest_generation or None,
        }
        since: Headers = [(SERVES_SINCE, str(served.since_ms).encode())] if served else []
        self._publisher.post(self._status_topic, self._key, self._statuses.write(record), since)

    def _announce(self, rejection: Rejection) -> None:
        package, served, now_ms = rejection.package, self._status.served, self._now_ms()
        subject = f"{rejection.generation}/{package.digest}"
        event_id = f"{self._pipeline}/{self._instance}/{EventType.MODEL_REJECTED}/{subject}"
        serving = f"{served.package.version} serves on" if served else "nothing serves yet"
        event = {
            "id": event_id,
            "type": EventType.MODEL_REJECTED,
            "severity": "warning",
            "time": now_ms,
            "pipeline": self._pipeline,
            "summary": f"{package.name} {package.version} was refused by {self._instance} "
            f"({rejection.reason_code}): {rejection.reason}; {serving}",
            "model_version": package.version,
            "model_digest": package.digest,
            "instance": self._instance,
            "model": {
                "generation": rejection.generation,
                "from_version": served.package.version if served else None,
                "to_version": package.version,
                "to_digest": package.digest,
                "reason_code": rejection.reason_code,
                "reason": rejection.reason,
            },
        }
        source = f"/stream-infer/{self._pipeline}/{self._instance}"
        headers = cloudevents.headers(event_id, EventType.MODEL_REJECTED, source, now_ms)
        key = f"{self._pipeline}/model".encode()
        self._publisher.post(self._events_topic, key, self._events.write(event), headers)


@contextmanager
def status_reporters(
    settings: Settings, member: GroupMember, events: Callable[[], RecordWriter], role: str = "score"
) -> Iterator[Sequence[StatusReporter]]:
    """Hold the status reporter of this process; none where the model is fixed or nothing is monitored.

    `events` makes the writer of events. It is not called where there is no reporter: the record may have no
    id in the registry then.
    """
    if settings.model.store is None or settings.monitoring.topic is None:
        yield ()
        return
    publisher = member.best_effort_publisher("status")
    reporter = StatusReporter(
        publisher,
        ProcessName(settings.pipeline, role, settings.worker.slot),
        status_topic=settings.model.status_topic,
        events_topic=settings.monitoring.topic,
        events=events(),
    )
    publisher.open()
    try:
        yield (reporter,)
        reporter.leave()
    finally:
        publisher.close()


def _named(package: PackageRef, generation: int) -> dict[str, object]:
    return {"model": package.name, "model_version": package.version, "generation": generation}


def _rejection(rejected: Rejection) -> dict[str, object]:
    return {
        "generation": rejected.generation,
        "digest": rejected.package.digest,
        "reason_code": rejected.reason_code,
        "reason": rejected.reason,
    }
