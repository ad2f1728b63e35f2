"""The desired deployment beyond the store: the control topic, and the event of a rollback.

Who follows the control topic, and how, is in `kafka.control`; the store, which comes first, is in `files`.
"""

from __future__ import annotations

from stream_infer.app.fleet import read_fleet
from stream_infer.app.kit.records import event_writer
from stream_infer.app.schema_registry import monitoring_event_id
from stream_infer.common.clock import unix_ms
from stream_infer.config.settings import Settings
from stream_infer.flow.codes import EventType
from stream_infer.flow.errors import Fatal
from stream_infer.kafka import client
from stream_infer.kafka.control import deployment, record
from stream_infer.kafka.standalone_reader import newest_values
from stream_infer.kafka.sync_produce import produce_sync
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


def catch_up(settings: Settings, store: ModelStore) -> None:
    """Copy the deployment of the control topic into the store, so that the next generation is after it.

    Raises `BrokerUnreachable` or another `Fatal`; then nothing was promoted yet.
    """
    found = desired_on_topic(settings)
    if found is not None:
        store.adopt(found)


def serving_now(settings: Settings) -> frozenset[str]:
    """Return the digests that workers report as serving. Raises what `read_fleet` raises."""
    return frozenset(worker.model_digest for worker in read_fleet(settings) if worker.model_digest)


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
