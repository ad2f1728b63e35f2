"""The status of a deployer, in frozen values: desired, served and refused package, and a problem."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from stream_infer.flow.codes import RefusalCode
from stream_infer.rollout.deployment import Deployment, PackageRef, StoreProblem


class DeployerState(StrEnum):
    """The state of a worker towards the desired deployment."""

    STARTING = "starting"  # no package serves yet
    DEPLOYING = "deploying"  # the desired package is being rehearsed or loaded
    SERVING = "serving"  # the desired package serves
    REJECTED = "rejected"  # the desired package was refused; another one serves
    WAITING = "waiting"  # the desired deployment is unavailable; `problem` says why


@dataclass(frozen=True, slots=True)
class ServedPackage:
    """The serving package, its generation (0: no deployment), and since when (Unix ms)."""

    package: PackageRef
    generation: int
    since_ms: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """A package that was refused in `generation`: a stable code and a sentence."""

    generation: int
    package: PackageRef
    reason_code: RefusalCode
    reason: str


@dataclass(frozen=True, slots=True)
class DeployerStatus:
    """The whole status. `rejected` is about the desired package in the desired generation.

    `problem` is why the desired deployment is unavailable or not followed at the moment. `newest_generation`
    is the greatest one that was followed or tried: nothing before it is followed any more. It is no change by
    itself.
    """

    desired: Deployment | None = None
    served: ServedPackage | None = None
    rejected: Rejection | None = None
    problem: StoreProblem | None = None
    newest_generation: int = field(default=0, compare=False)

    @property
    def state(self) -> DeployerState:
        """The state that the four values add up to."""
        if self.served is None:
            return DeployerState.STARTING
        if self.problem is not None or self.desired is None:
            return DeployerState.WAITING
        if self.rejected is not None:
            return DeployerState.REJECTED
        desired = self.desired.package.digest, self.desired.generation
        converged = desired == (self.served.package.digest, self.served.generation)
        return DeployerState.SERVING if converged else DeployerState.DEPLOYING
