"""Publishes `model.activated` of a server, whose answers have no offsets: the time says since when.

Best effort, beside the answers. A worker announces its model with the offsets, in `steps.scoring.activation`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from stream_infer.app.kit.member import GroupMember
from stream_infer.app.status_reporter import ProcessName
from stream_infer.avro.record import RecordWriter
from stream_infer.config.settings import Settings
from stream_infer.flow.codes import EventType
from stream_infer.kafka.best_effort import BestEffortPublisher
from stream_infer.rollout.status import DeployerStatus, ServedPackage
from stream_infer.steps import cloudevents
from stream_infer.steps.scoring.activation import Activation, activation_event


class ActivationReporter:
    """Posts an event for each package that begins to serve. The deployer's thread calls it."""

    def __init__(
        self, publisher: BestEffortPublisher, name: ProcessName, topic: str, events: RecordWriter
    ) -> None:
        self._publisher = publisher
        self._pipeline = name.pipeline
        self._instance = name.instance
        self._topic = topic
        self._events = events
        self._before: ServedPackage | None = None

    def deployed(self, status: DeployerStatus) -> None:
        """Publish the event if another package, or the same for another generation, serves now."""
        served, before = status.served, self._before
        if served is None or served == before:
            return
        self._before = served
        replaces = before is not None and before.package.digest != served.package.digest
        event = activation_event(
            Activation(
                pipeline=self._pipeline,
                instance=self._instance,
                name=served.package.name,
                version=served.package.version,
                digest=served.package.digest,
                generation=served.generation,
                from_version=before.package.version if before is not None and replaces else None,
                time_ms=served.since_ms,
                place=str(served.since_ms),
            ),
            [],
        )
        source = f"/stream-infer/{self._pipeline}/{self._instance}"
        headers = cloudevents.headers(str(event["id"]), EventType.MODEL_ACTIVATED, source, served.since_ms)
        self._publisher.post(
            self._topic, f"{self._pipeline}/model".encode(), self._events.write(event), headers
        )


@contextmanager
def activation_reporters(
    settings: Settings, member: GroupMember, events: Callable[[], RecordWriter], role: str
) -> Iterator[Sequence[ActivationReporter]]:
    """Hold the reporter of this server; none where the model is fixed or nothing is monitored."""
    if settings.model.store is None or settings.monitoring.topic is None:
        yield ()
        return
    publisher = member.best_effort_publisher("activations")
    publisher.open()
    try:
        name = ProcessName(settings.pipeline, role, member.slot)
        yield (ActivationReporter(publisher, name, settings.monitoring.topic, events()),)
    finally:
        publisher.close()
