"""What to do next about a desired deployment, given what serves and what was refused. Pure.

Level-triggered: it looks at where things are, never at how they came there, so a wish that was missed, seen
twice or overtaken by the next one makes no difference. Doing it is in `rollout.deployer`.

    desired is older than one already seen .................. Overtaken: wait for a newer one
    desired serves, for this generation ..................... Stay
    desired serves, for another generation .................. Relabel
    desired was not refused in this generation .............. Try it
    it was, and something serves ............................ Stay
    it was, nothing serves, `previous` was not refused ...... FallBack to it
    it was, nothing serves, nothing is left ................. GiveUp
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from stream_infer.rollout.deployment import Deployment, PackageRef

NOT_DESIRED = 0
"""The generation of what serves although no deployment desires it: a fallback, a package without a store."""


class Gates(StrEnum):
    """Which limits a package must keep before it serves. Its answers must always be right."""

    ALL = "all"
    WITHOUT_LATENCY = "without_latency"


@dataclass(frozen=True, slots=True)
class ServingPackage:
    """What serves: a package's digest, and the generation that asked for it."""

    digest: str
    generation: int


@dataclass(frozen=True, slots=True)
class ObservedState:
    """Where a worker is. `refused` holds (generation, digest); `newest` is the greatest generation seen.

    `served` are the digests that ever served: coming back to one of them must not fail for being slow.
    """

    serving: ServingPackage | None = None
    refused: frozenset[tuple[int, str]] = frozenset()
    served: frozenset[str] = frozenset()
    newest: int = NOT_DESIRED


@dataclass(frozen=True, slots=True)
class NoChange:
    """Nothing is to be done."""


@dataclass(frozen=True, slots=True)
class Stale:
    """The desired generation is before `newest`, which this worker has seen: a stale or forged copy."""

    newest: int


@dataclass(frozen=True, slots=True)
class AdoptGeneration:
    """What serves is what is desired: only the generation that asked for it is another."""

    generation: int


@dataclass(frozen=True, slots=True)
class TryPackage:
    """Make `package` serve; a refusal counts for `generation`."""

    package: PackageRef
    generation: int
    gates: Gates


@dataclass(frozen=True, slots=True)
class FallBack:
    """Make `package` serve although it is not the desired one, because nothing else does.

    A refusal counts for `generation`; the serving model has generation `NOT_DESIRED`. Never gated by latency:
    slow answers are better than none.
    """

    package: PackageRef
    generation: int


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Nothing serves and nothing is left to try in this generation."""

    generation: int


Action = NoChange | Stale | AdoptGeneration | TryPackage | FallBack | GiveUp


def reconcile(desired: Deployment | None, observed: ObservedState) -> Action:
    """Return what to do next. Acting on it and planning again ends in `NoChange`, `Stale` or `GiveUp`."""
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
    previous = desired.previous
    if previous is not None and (generation, previous.digest) not in observed.refused:
        return FallBack(previous, generation)
    return GiveUp(generation)
