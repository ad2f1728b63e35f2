"""What there is to say about deploying, in frozen values: what is desired, served, refused, in the way."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from stream_infer.flow.codes import RefusalCode
from stream_infer.rollout.deployment import Deployment, PackageRef, StoreProblem


class DeployerState(StrEnum):
    """How what serves stands to what is desired."""

    STARTING = "starting"  # nothing serves yet
    DEPLOYING = "deploying"  # the desired one is on its way
    SERVING = "serving"  # the desired one serves
    REJECTED = "rejected"  # the desired one was refused; another one serves
    WAITING = "waiting"  # the desired one cannot be known or had now; `problem` says why


@dataclass(frozen=True, slots=True)
class ServedPackage:
    """What serves: the package, the generation that asked for it (0: none did), since when (Unix ms)."""

    package: PackageRef
    generation: int
    since_ms: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """A package that was refused when `generation` asked for it: a stable code and a sentence."""

    generation: int
    package: PackageRef
    reason_code: RefusalCode
    reason: str


@dataclass(frozen=True, slots=True)
class DeployerStatus:
    """Everything there is to say. `rejected` is about the desired package in the desired generation.

    `problem` is why the desired deployment cannot be known, fetched or followed at the moment.
    """

    desired: Deployment | None = None
    served: ServedPackage | None = None
    rejected: Rejection | None = None
    problem: StoreProblem | None = None

    @property
    def state(self) -> DeployerState:
        """How what serves stands to what is desired."""
        if self.served is None:
            return DeployerState.STARTING
        if self.problem is not None or self.desired is None:
            return DeployerState.WAITING
        if self.rejected is not None:
            return DeployerState.REJECTED
        wanted = self.desired.package.digest, self.desired.generation
        converged = wanted == (self.served.package.digest, self.served.generation)
        return DeployerState.SERVING if converged else DeployerState.DEPLOYING
