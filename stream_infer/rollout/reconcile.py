"""The next action towards the desired deployment, given the observed state. Pure.

Level-triggered: it depends on the state, never on the way there, so a deployment that was missed, seen twice
or superseded by the next one makes no difference. `rollout.deployer` carries the action out.

    desired is older than one seen before ................... Stale: wait for a newer one
    desired serves, for this generation ..................... NoChange
    desired serves, for another generation .................. AdoptGeneration
    desired was not refused in this generation .............. TryPackage
    desired was refused, a package serves ................... NoChange
    desired was refused, none serves, `previous` was not .... FallBack
    both were refused, none serves, the last served was not . FallBack
    all were refused, none serves ........................... GiveUp
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from stream_infer.rollout.deployment import Deployment, PackageRef

NOT_DESIRED = 0
"""The generation of a serving package that no deployment desires: a fallback, a package without a store."""


class Gates(StrEnum):
    """The limits that a package must keep before it serves. Its golden answers must be right in any case."""

    ALL = "all"
    WITHOUT_LATENCY = "without_latency"


@dataclass(frozen=True, slots=True)
class ServingPackage:
    """The digest of the serving package, and the generation that activated it."""

    digest: str
    generation: int


@dataclass(frozen=True, slots=True)
class ObservedState:
    """The state of a worker. `refused` has (generation, digest); `newest` is the greatest generation seen.

    `served` are the digests that ever served: a rollback to one of them must not fail for latency.
    `last_served` served before this worker started.
    """

    serving: ServingPackage | None = None
    refused: frozenset[tuple[int, str]] = frozenset()
    served: frozenset[str] = frozenset()
    newest: int = NOT_DESIRED
    last_served: PackageRef | None = None


@dataclass(frozen=True, slots=True)
class NoChange:
    """The state is the desired one, or the best there is."""


@dataclass(frozen=True, slots=True)
class Stale:
    """The desired generation is before `newest`, which this worker has seen: an old copy of the store."""

    newest: int


@dataclass(frozen=True, slots=True)
class AdoptGeneration:
    """The desired package serves, under another generation."""

    generation: int


@dataclass(frozen=True, slots=True)
class TryPackage:
    """Make `package` serve; a refusal counts for `generation`."""

    package: PackageRef
    generation: int
    gates: Gates


@dataclass(frozen=True, slots=True)
class FallBack:
    """Make `package` serve although it is not the desired one, because no other serves.

    A refusal counts for `generation`; the serving model has generation `NOT_DESIRED`. Latency is no gate:
    slow answers are better than none.
    """

    package: PackageRef
    generation: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """No package serves, and none is left to try in this generation."""

    generation: int


Action = NoChange | Stale | AdoptGeneration | TryPackage | FallBack | GiveUp


def reconcile(desired: Deployment | None, observed: ObservedState) -> Action:
    """Return the next action. Carrying it out and asking again ends in `NoChange`, `Stale` or `GiveUp`."""
    if desired is None:
        return NoChange()
    generation, package, serving = desired.generation, desired.package, observed.serving
    if generation < observed.newest:
        return Stale(observed.newest)
    if serving is not None and serving.digest == package.digest:
        return NoChange() if serving.generation == generation else AdoptGeneration(generation)
    if (generation, package.digest) not in observed.refused:
        gates = Gates.WITHOUT_LATENCY if package.digest in observed.served else Gates.ALL
        return TryPackage(package, generation, gates)
    if serving is not None:
        return NoChange()
    for fallback in (desired.previous, observed.last_served):
        if fallback is not None and (generation, fallback.digest) not in observed.refused:
            return FallBack(fallback, generation)
    return GiveUp(generation)
