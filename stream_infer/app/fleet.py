"""The workers of a pipeline by the status topic, and their way to a deployment.

Posting a status is in `status_reporter`. Nothing here writes anything.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from stream_infer.avro import topic_schemas
from stream_infer.avro.framing import Framing
from stream_infer.avro.record import RecordReader
from stream_infer.common.clock import to_unix_ms
from stream_infer.config.settings import Settings
from stream_infer.flow.records import Headers
from stream_infer.kafka import client
from stream_infer.kafka.groups import static_members
from stream_infer.kafka.standalone_reader import Entry, newest_entries, tail
from stream_infer.rollout.deployment import Deployment
from stream_infer.rollout.status import DeployerState

ASK_S = 5.0
SERVES_SINCE = "streaminfer.serves.since"
"""The header with `serves_since` (Unix ms): the record of an earlier release has no such field."""
_RECORD = "WorkerStatus"
_LOOK_EVERY_S = 0.5
_MEMBERS_EVERY_S = 3.0


@dataclass(frozen=True, slots=True)
class RejectedPackage:
    """A package that a worker refused: generation, digest and reason."""

    generation: int
    digest: str
    reason_code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """The last status of one worker, times in Unix milliseconds.

    `serves_since` is when it began to serve its model. `member` tells whether it is in the consumer group,
    None when that is unknown: a worker that was killed still has a status, and is no member.
    """

    instance: str
    state: str
    reason: str | None
    generation: int | None
    model_version: str | None
    model_digest: str | None
    rejected: RejectedPackage | None
    partitions: tuple[int, ...]
    worker_version: str
    started_at: int
    updated_at: int
    serves_since: int | None = None
    newest_generation: int | None = None
    member: bool | None = None

    @property
    def newest(self) -> int:
        """The greatest generation that the worker is known to have followed or tried; 0 without one."""
        rejected = self.rejected.generation if self.rejected else 0
        return max(self.newest_generation or 0, self.generation or 0, rejected)


class RolloutState(StrEnum):
    """The state of one worker with regard to one deployment."""

    SERVES = "serves"
    REJECTED = "rejected"
    SUPERSEDED = "superseded"  # it has followed or tried a newer deployment
    AWAY = "away"  # it is no member of the group: not waited for
    AWAITED = "awaited"


@dataclass(frozen=True, slots=True)
class Convergence:
    """The state of each worker with regard to `deployment`, by name."""

    deployment: Deployment
    workers: tuple[tuple[WorkerStatus, RolloutState], ...]

    def of(self, state: RolloutState) -> list[WorkerStatus]:
        """Return the workers in `state`."""
        return [worker for worker, found in self.workers if found is state]

    @property
    def complete(self) -> bool:
        """Whether waiting is over: a worker serves or has refused the deployment, and none is awaited."""
        answered = any(state in {RolloutState.SERVES, RolloutState.REJECTED} for _, state in self.workers)
        return bool(self.of(RolloutState.SUPERSEDED)) or (answered and not self.of(RolloutState.AWAITED))


def rollout_state(worker: WorkerStatus, deployment: Deployment) -> RolloutState:
    """Return the state of `worker` with regard to `deployment`."""
    desired = deployment.generation, deployment.package.digest
    rejected = worker.rejected
    if (worker.generation, worker.model_digest) == desired:
        return RolloutState.SERVES
    if rejected is not None and (rejected.generation, rejected.digest) == desired:
        return RolloutState.REJECTED
    if worker.newest > deployment.generation:
        return RolloutState.SUPERSEDED
    starting = worker.state == DeployerState.STARTING  # it has not joined yet
    return RolloutState.AWAY if worker.member is False and not starting else RolloutState.AWAITED


def convergence(workers: Mapping[str, WorkerStatus], deployment: Deployment) -> Convergence:
    """Return the state of all `workers` with regard to `deployment`."""
    states = ((workers[name], rollout_state(workers[name], deployment)) for name in sorted(workers))
    return Convergence(deployment, tuple(states))


def read_fleet(settings: Settings) -> list[WorkerStatus]:
    """Return the workers of the pipeline, by name. Raises `BrokerUnreachable` or another `Fatal`."""
    held = newest_entries(_config(settings), settings.model.status_topic, within_s=ASK_S)
    members = static_members(settings.kafka, settings.group_id, timeout_s=ASK_S)
    found: dict[str, WorkerStatus] = {}
    for entry in held.values():
        _note(found, settings.pipeline, entry, members)
    return [found[name] for name in sorted(found)]


def converging(settings: Settings, deployment: Deployment, *, timeout_s: float) -> Iterator[Convergence]:
    """Yield the state of the workers, first and after each change, until it is `complete`.

    Ends after `timeout_s` in any case. Raises what `read_fleet` raises.
    """
    deadline = time.monotonic() + timeout_s
    workers: dict[str, WorkerStatus] = {}
    members: frozenset[str] | None = None
    ask_at, before = 0.0, None
    with tail(_config(settings), settings.model.status_topic, within_s=min(ASK_S, timeout_s)) as reading:
        while (left_s := deadline - time.monotonic()) > 0:
            for entry in reading.read(min(_LOOK_EVERY_S, left_s)):
                _note(workers, settings.pipeline, entry, members)
            if not reading.caught_up:
                continue
            if time.monotonic() >= ask_at:
                members = static_members(settings.kafka, settings.group_id, timeout_s=ASK_S)
                workers = {name: _seen(worker, members) for name, worker in workers.items()}
                ask_at = time.monotonic() + _MEMBERS_EVERY_S
            now = convergence(workers, deployment)
            if now != before:
                before = now
                yield now
            if now.complete:
                return


def parse_status(value: bytes, headers: Headers = ()) -> WorkerStatus:
    """Return the worker of a status record. Raises `ValueError` for a record of another kind."""
    schema, earlier = topic_schemas.topic_schema(_RECORD), topic_schemas.earlier_schemas(_RECORD)
    record = RecordReader(schema, Framing.NONE, earlier=earlier).read(value)
    rejected = record["rejected"]
    return WorkerStatus(
        instance=record["instance"],
        state=record["state"],
        reason=record["reason"],
        generation=record["generation"],
        model_version=record["model_version"],
        model_digest=record["model_digest"],
        rejected=RejectedPackage(**rejected) if rejected else None,
        partitions=tuple(record["partitions"]),
        worker_version=record["worker_version"],
        started_at=to_unix_ms(record["started_at"]),
        updated_at=to_unix_ms(record["updated_at"]),
        serves_since=_serves_since(record["serves_since"], headers),
        newest_generation=record["newest_generation"],
    )


def _serves_since(field: datetime | None, headers: Headers) -> int | None:
    if field is not None:
        return to_unix_ms(field)
    header = dict(headers).get(SERVES_SINCE)
    return int(header) if header else None


def _note(
    workers: dict[str, WorkerStatus], pipeline: str, entry: Entry, members: frozenset[str] | None
) -> None:
    """Take in a status; ignore a record of another kind or of another pipeline."""
    owner, _, instance = entry.key.decode(errors="replace").partition("/")
    if owner != pipeline:
        return
    if entry.value is None:
        workers.pop(instance, None)
        return
    try:
        worker = parse_status(entry.value, entry.headers)
    except ValueError:
        return
    workers[instance] = _seen(worker, members)


def _seen(worker: WorkerStatus, members: frozenset[str] | None) -> WorkerStatus:
    from_group = None if members is None else worker.instance in members
    return replace(worker, member=from_group)


def _config(settings: Settings) -> dict[str, object]:
    return {**client.admin(settings.kafka), "logger": client.SILENT}
