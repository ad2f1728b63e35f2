"""The desired deployment beyond the store: the control topic, and the event of a rollback.

Who follows the control topic, and how, is in `kafka.control`; the store, which comes first, is in `files`.
"""

from __future__ import annotations

from dataclasses import dataclass

from stream_infer.app.fleet import read_fleet
from stream_infer.app.kit.records import event_writer
from stream_infer.app.schema_registry import monitoring_event_id
from stream_infer.common.clock import unix_ms
from stream_infer.config.sections import Follow
from stream_infer.config.settings import Settings
from stream_infer.flow.codes import EventType
from stream_infer.flow.errors import Fatal, Misconfigured, Problem
from stream_infer.kafka import client
from stream_infer.kafka.admin_requests import is_forbidden
from stream_infer.kafka.control import deployment, record
from stream_infer.kafka.standalone_reader import newest_values
from stream_infer.kafka.sync_produce import produce_sync
from stream_infer.kafka.topics import MissingTopic, describe_topics
from stream_infer.rollout.deployment import Deployment, PackageRef
from stream_infer.steps import cloudevents
from stream_infer.store.model_store import ModelStore

_WITHIN_S = 5.0


def desired_on_topic(settings: Settings) -> Deployment | None:
    """Return the deployment on the control topic; None when there is none that can be parsed.

    Raises `BrokerUnreachable` or another `Fatal`.
    """
    config = {**client.admin(settings.kafka), "logger": client.SILENT}
    held = newest_values(config, settings.model.control_topic, within_s=_WITHIN_S)
    value = held.get(settings.pipeline.encode())
    try:
        found = None if value is None else deployment(value)
    except ValueError:  # the next promotion replaces it
        return None
    return found if found is not None and found.pipeline == settings.pipeline else None


def require_publishable(settings: Settings) -> None:
    """Raise `Misconfigured` unless the control topic exists and this principal may write it.

    Asked before a generation is claimed: the store keeps no generation that could not be published. Raises
    `BrokerUnreachable` when no broker answers.
    """
    name = settings.model.control_topic
    topic = describe_topics(settings.kafka, [name], timeout_s=_WITHIN_S)[name]
    if isinstance(topic, MissingTopic):
        fix = "create it with `stream-infer topics create`, or allow this principal DESCRIBE on it"
        raise Misconfigured([Problem("model.control_topic", f'"{name}"', topic.reason, fix)])
    if is_forbidden("WRITE", topic.operations):
        message = "this principal may not write it, so that no worker would learn of a deployment"
        fix = "allow this principal WRITE on the topic, or ask as one who has it"
        raise Misconfigured([Problem("model.control_topic", f'"{name}"', message, fix)])


def catch_up(settings: Settings, store: ModelStore) -> None:
    """Copy the deployment of the control topic into the store, so that the next generation is after it.

    Raises `BrokerUnreachable` or another `Fatal`; then nothing was promoted yet.
    """
    found = desired_on_topic(settings)
    if found is not None:
        store.adopt(found)


@dataclass(frozen=True, slots=True)
class FleetReport:
    """What the workers report: the digests that serve, and the greatest generation followed or tried.

    `problem` is why they could not be asked.
    """

    serving: frozenset[str] = frozenset()
    newest: int = 0
    problem: str | None = None


def ask_workers(settings: Settings) -> FleetReport:
    """Return what the workers report. Those that follow the store need not be reached.

    Raises what `read_fleet` raises where they follow the control topic.
    """
    try:
        workers = read_fleet(settings)
    except Fatal as failure:
        if settings.model.follow is Follow.TOPIC:
            raise
        return FleetReport(problem=str(failure))
    serving = frozenset(worker.model_digest for worker in workers if worker.model_digest)
    return FleetReport(serving, max((worker.newest for worker in workers), default=0))


def publish(settings: Settings, deployment: Deployment) -> None:
    """Make `deployment` the desired deployment on the control topic.

    Raises `BrokerUnreachable` or another `Fatal`: the store has it, and asking again publishes it.
    """
    key, value = record(deployment)
    try:
        produce_sync(settings.kafka, settings.model.control_topic, key, value, within_s=_WITHIN_S)
    except Fatal as failure:
        said = f"generation {deployment.generation} is in the store, but not on the control topic: {failure}"
        raise type(failure)(f"{said}; ask again") from failure


def announce_rollback(settings: Settings, rollback: Deployment, before: PackageRef | None) -> None:
    """Write to the monitoring topic that `rollback` goes back from `before`, which was desired until then.

    Raises `BrokerUnreachable`, another `Fatal` or `Misconfigured`. The rollback itself counts without it.
    """
    if settings.monitoring.topic is None:
        return
    event = rolled_back(rollback, before)
    now_ms = unix_ms()
    value = event_writer(settings, monitoring_event_id(settings)).write({**event, "time": now_ms})
    source = f"/stream-infer/{settings.pipeline}"
    headers = cloudevents.headers(str(event["id"]), EventType.MODEL_ROLLED_BACK, source, now_ms)
    key = f"{settings.pipeline}/model".encode()
    produce_sync(settings.kafka, settings.monitoring.topic, key, value, headers, within_s=_WITHIN_S)


def rolled_back(rollback: Deployment, before: PackageRef | None) -> dict[str, object]:
    """Return the event of a rollback, without its time."""
    wanted = rollback.package
    why = f": {rollback.reason}" if rollback.reason else ""
    came_from = f" from {before.version}" if before else ""
    return {
        "id": f"{rollback.pipeline}/{EventType.MODEL_ROLLED_BACK}/{rollback.generation}",
        "type": EventType.MODEL_ROLLED_BACK,
        "severity": "warning",
        "pipeline": rollback.pipeline,
        "summary": f"{wanted.name} was rolled back{came_from} to {wanted.version} "
        f"by {rollback.requested_by}{why}",
        "model_version": wanted.version,
        "model_digest": wanted.digest,
        "model": {
            "generation": rollback.generation,
            "from_version": before.version if before else None,
            "to_version": wanted.version,
            "to_digest": wanted.digest,
            "reason": rollback.reason,
        },
        "attributes": {
            "requested_by": rollback.requested_by,
            **({"from_digest": before.digest} if before else {}),
        },
    }
