"""The deployer's view: everything it knows, in one frozen value, and how each happening changes it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from stream_infer.common.backoff import Backoff
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.rollout.deployment import Deployment, PackageRef, StoreProblem
from stream_infer.rollout.reconcile import ObservedState, ServingPackage
from stream_infer.rollout.status import DeployerStatus, Rejection, ServedPackage


@dataclass(frozen=True, slots=True)
class RolloutView:
    """`status` is for people, `observed` for `reconcile`.

    `source_down`: the last answer of the source was a problem. `fallback_rejected` is the refusal of the
    package that was to serve in place of the desired one. After `failures` tries in a row that could not be
    made, the next one is not before `next_try_at` (seconds on the deployer's clock).
    """

    status: DeployerStatus = field(default_factory=DeployerStatus)
    observed: ObservedState = field(default_factory=ObservedState)
    source_down: bool = False
    fallback_rejected: Rejection | None = None
    failures: int = 0
    next_try_at: float = 0.0

    def polled(self, answer: Deployment | StoreProblem) -> RolloutView:
        """Return the view after an answer of the source."""
        if isinstance(answer, StoreProblem):
            return replace(self, source_down=True, status=replace(self.status, problem=answer))
        rejected = self.status.rejected
        if rejected is not None and not _is_about(rejected, answer):
            rejected = None
        status = replace(self.status, desired=answer, rejected=rejected, problem=None)
        return replace(self, source_down=False, status=status, failures=0, next_try_at=0.0)

    def seen(self, generation: int) -> RolloutView:
        """Return the view after `reconcile` was asked about `generation`."""
        newest = max(generation, self.observed.newest)
        status = replace(self.status, newest_generation=newest)
        return replace(self, observed=replace(self.observed, newest=newest), status=status)

    def known_served(self, digests: frozenset[str], last: PackageRef | None = None) -> RolloutView:
        """Return the view of a worker that starts: `digests` served in earlier processes, `last` the last."""
        return replace(self, observed=replace(self.observed, served=digests, last_served=last))

    def with_problem(self, problem: StoreProblem | None) -> RolloutView:
        """Return the view with `problem`, or without any."""
        return replace(self, status=replace(self.status, problem=problem))

    def postponed(self, problem: StoreProblem, now: float, backoff: Backoff) -> RolloutView:
        """Return the view after a try that `problem`, which may pass, prevented at `now`."""
        failures = self.failures + 1
        view = replace(self, failures=failures, next_try_at=now + backoff.pause_s(failures))
        return view.with_problem(problem)

    def serving(self, served: ServedPackage) -> RolloutView:
        """Return the view after `served` began to serve."""
        digest = served.package.digest
        observed = replace(
            self.observed,
            serving=ServingPackage(digest, served.generation),
            served=self.observed.served | {digest},
        )
        status = replace(self.status, served=served, problem=self._source_problem)
        return replace(self, observed=observed, status=status, failures=0, next_try_at=0.0)

    def refused(self, rejection: Rejection, desired: Deployment) -> RolloutView:
        """Return the view after a package was refused that was tried for `desired`."""
        key = rejection.generation, rejection.package.digest
        view = replace(self, observed=replace(self.observed, refused=self.observed.refused | {key}))
        if not _is_about(rejection, desired):
            return replace(view, fallback_rejected=rejection)
        return replace(view, status=replace(self.status, rejected=rejection, problem=self._source_problem))

    def to_reconcile(self, now: float) -> Deployment | None:
        """Return the desired deployment, when it is known and its next try is due at `now`."""
        return None if self.source_down or now < self.next_try_at else self.status.desired

    def superseded(self, deployment: Deployment) -> bool:
        """Return whether another deployment is desired now that is not older than `deployment`."""
        desired = self.status.desired
        return desired is not None and desired != deployment and desired.generation >= deployment.generation

    def nothing_left(self) -> Refused:
        """Return the error of a worker that has no package to serve: the first refusal and the last one."""
        rejected, fallback = self.status.rejected, self.fallback_rejected
        if rejected is None:
            return Refused(RefusalCode.INTERNAL, "no package serves, and none was refused")
        reason = f"{_named(rejected.package)}: {rejected.reason}"
        if fallback is not None:
            reason += f"; nor can {_named(fallback.package)} serve, which was before: {fallback.reason}"
        return Refused(rejected.reason_code, reason)

    @property
    def start_problem(self) -> StoreProblem | None:
        """Why a worker that starts has nothing to do; None when the desired deployment is on its way."""
        if self.status.desired is None and self.status.problem is None:
            return StoreProblem(RefusalCode.EMPTY, "no deployment is desired yet")
        return self.status.problem

    @property
    def _source_problem(self) -> StoreProblem | None:
        """The problem of a source that went down while a package was tried."""
        return self.status.problem if self.source_down else None


def _is_about(rejection: Rejection, desired: Deployment) -> bool:
    return (rejection.generation, rejection.package.digest) == (desired.generation, desired.package.digest)


def _named(package: PackageRef) -> str:
    return f"{package.name} {package.version}"
