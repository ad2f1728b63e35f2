"""The workers of a pipeline as the status topic shows them, and whether they have come to what is desired.

What a worker posts there is in `reporting`. Nothing here writes anything.
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
from stream_infer.kafka.standalone_reader import Entry, newest_entries, tail
from stream_infer.kafka.topics import group_members
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
    """What a worker refused, in which generation, and why."""

    generation: int
    digest: str
    reason_code: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerStatus:
    """What one worker said last, times in Unix milliseconds.

    `serves_since` is when it began to serve what it serves. `member`: whether the group has it; None when
    that is not known. One that has died without a word still has a status, and is no member.
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
    member: bool | None = None


class RolloutState(StrEnum):
    """How a worker stands to one deployment."""

    SERVES = "serves"
    REJECTED = "rejected"
    OVERTAKEN = "overtaken"  # it has seen a newer one
    AWAY = "away"  # it is no member of the group: not waited for
    AWAITED = "awaited"


@dataclass(frozen=True, slots=True)
class Convergence:
    """How each worker stands to `wish`, in the order of their names."""

    wish: Deployment
    workers: tuple[tuple[WorkerStatus, RolloutState], ...]

    def of(self, stand: RolloutState) -> list[WorkerStatus]:
        """Return the workers that stand so."""
        return [worker for worker, stands in self.workers if stands is stand]

    @property
    def over(self) -> bool:
        """Whether there is nothing more to wait for: somebody has answered, and nobody is awaited."""
        answered = any(stand in {RolloutState.SERVES, RolloutState.REJECTED} for _, stand in self.workers)
        return bool(self.of(RolloutState.OVERTAKEN)) or (answered and not self.of(RolloutState.AWAITED))


def rollout_state(worker: WorkerStatus, wish: Deployment) -> RolloutState:
    """Return how `worker` stands to `wish`."""
    wanted = wish.generation, wish.package.digest
    rejected = worker.rejected
    if (worker.generation, worker.model_digest) == wanted:
        return RolloutState.SERVES
    if rejected is not None and (rejected.generation, rejected.digest) == wanted:
        return RolloutState.REJECTED
    if max(worker.generation or 0, rejected.generation if rejected else 0) > wish.generation:
        return RolloutState.OVERTAKEN
    if (
        worker.member is False and worker.state != DeployerState.STARTING
    ):  # one that starts has not joined yet
        return RolloutState.AWAY
    return RolloutState.AWAITED


def convergence(workers: Mapping[str, WorkerStatus], wish: Deployment) -> Convergence:
    """Return how all of `workers` stand to `wish`."""
    return Convergence(
        wish, tuple((workers[name], rollout_state(workers[name], wish)) for name in sorted(workers))
    )


def read_fleet(settings: Settings) -> list[WorkerStatus]:
    """Return the workers of the pipeline, by name. Raises `BrokerUnreachable` or another `Fatal`."""
    held = newest_entries(_config(settings), settings.model.status_topic, within_s=ASK_S)
    members = group_members(settings.kafka, settings.group_id, timeout_s=ASK_S)
    found: dict[str, WorkerStatus] = {}
    for entry in held.values():
        _note(found, settings.pipeline, entry, members)
    return [found[name] for name in sorted(found)]


def converging(settings: Settings, wish: Deployment, *, timeout_s: float) -> Iterator[Convergence]:
    """Yield how the workers stand to `wish`, first and whenever it is another; end when it is `over`.

    Also ends after `timeout_s`. Raises what `read_fleet` raises.
    """
    deadline = time.monotonic() + timeout_s
    workers: dict[str, WorkerStatus] = {}
    members: frozenset[str] | None = None
    ask_at, said = 0.0, None
    with tail(_config(settings), settings.model.status_topic, within_s=min(ASK_S, timeout_s)) as reading:
        while (left_s := deadline - time.monotonic()) > 0:
            for entry in reading.read(min(_LOOK_EVERY_S, left_s)):
                _note(workers, settings.pipeline, entry, members)
            if not reading.caught_up:
                continue
            if time.monotonic() >= ask_at:
                members = group_members(settings.kafka, settings.group_id, timeout_s=ASK_S)
                workers = {name: _seen(worker, members) for name, worker in workers.items()}
                ask_at = time.monotonic() + _MEMBERS_EVERY_S
            now = convergence(workers, wish)
            if now != said:
                said = now
                yield now
            if now.over:
                return


def parse_status(value: bytes, headers: Headers = ()) -> WorkerStatus:
    """Return the worker in a status record. Raises `ValueError` when there is none in it."""
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
    )


def _serves_since(field: datetime | None, headers: Headers) -> int | None:
    if field is not None:
        return to_unix_ms(field)
    header = dict(headers).get(SERVES_SINCE)
    return int(header) if header else None


def _note(
    workers: dict[str, WorkerStatus], pipeline: str, entry: Entry, members: frozenset[str] | None
) -> None:
    """Take over what `entry` says; what is not a status, or of another pipeline, says nothing."""
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
