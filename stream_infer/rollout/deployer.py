"""Follows the desired deployment on a thread beside the loop; replaces the serving model between two batches.

`reconcile` decides what to do next, `candidate_loader` turns a package into a model; the deployer acts
and reports. Every failure is in the status: after a refusal the previous model serves on, and a store that is
unavailable is asked again.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from stream_infer.common.backoff import Backoff
from stream_infer.common.clock import unix_ms
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.active import ActiveModel, ServingModel
from stream_infer.rollout.candidate_loader import CandidateLoader
from stream_infer.rollout.deployment import Deployment, PackageRef, StoreProblem
from stream_infer.rollout.reconcile import (
    NOT_DESIRED,
    AdoptGeneration,
    FallBack,
    Gates,
    GiveUp,
    NoChange,
    ObservedState,
    ServingPackage,
    Stale,
    TryPackage,
    reconcile,
)
from stream_infer.rollout.rehearsal_cache import RehearsalCache
from stream_infer.rollout.status import DeployerStatus, Rejection, ServedPackage
from stream_infer.runtime.stop import Stop


@dataclass(frozen=True, slots=True)
class DeployerTiming:
    """How often to ask what is desired, also while a package is tried; how long a start waits for an answer.

    `backoff` is between two tries of a package after a failure that may pass.
    """

    poll_s: float = 0.5
    look_s: float = 0.5
    patience_s: float = 10.0
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=1.0, most_s=60.0))


@dataclass(frozen=True, slots=True)
class Clocks:
    """Time that passes, in seconds, and the time of day, in Unix milliseconds."""

    monotonic_s: Callable[[], float] = time.monotonic
    unix_ms: Callable[[], int] = unix_ms


class Deployer:
    """`start`, then `following`; whoever is in one of them is the only writer of everything here.

    `report` gets each new status, on that thread. It must not block.
    """

    def __init__(
        self,
        loader: CandidateLoader,
        cache: RehearsalCache,
        *,
        report: Callable[[DeployerStatus], object],
        timing: DeployerTiming | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        self._loader = loader
        self._cache = cache
        self._report = report
        self._timing = timing or DeployerTiming()
        self._clocks = clocks or Clocks()
        self._stop = Stop()
        self._status = DeployerStatus()
        self._observed = ObservedState()
        self._serving_model: ServingModel | None = None
        self._active: ActiveModel | None = None
        self._away = False
        self._fallback_refused: Rejection | None = None
        self._failures = 0
        self._next_try_at = 0.0
        self._next_look_at = 0.0

    @property
    def status(self) -> DeployerStatus:
        """The newest status: one reference, replaced whole."""
        return self._status

    def start(self) -> ServingModel:
        """Return what serves first: the desired package, or the one before it where that is refused.

        Blocks while packages are rehearsed and loaded, and for `patience_s` while the store has no answer.
        Raises `Refused`, with the reason of the desired package or of the store.
        """
        deadline = self._clocks.monotonic_s() + self._timing.patience_s
        self._observed = replace(self._observed, served=self._cache.served)
        while True:
            self._turn()
            if self._serving_model is not None:
                return self._serving_model
            problem = self._status.problem
            if self._status.desired is None and problem is None:
                problem = StoreProblem(RefusalCode.EMPTY, "no deployment is desired yet")
            if problem is not None and self._clocks.monotonic_s() >= deadline:
                raise Refused(problem.code, problem.reason)

    @contextlib.contextmanager
    def following(self, active: ActiveModel) -> Iterator[None]:
        """Replace what `active` holds whenever something else is desired, for as long as the block runs."""
        self._active = active
        thread = threading.Thread(target=self._follow, name="deployer", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.request()
            thread.join()

    def _follow(self) -> None:
        while not self._stop.requested:
            try:
                self._turn()
            except BaseException as error:  # noqa: BLE001 - nothing stops this thread, least of all a package
                with contextlib.suppress(Exception):
                    self._later(StoreProblem(RefusalCode.INTERNAL, f"{type(error).__name__}: {error}"))
                self._stop.wait(self._timing.poll_s)

    def _turn(self) -> None:
        """Look, then do what the plan says: at most one package is tried. Raises `Refused` to give up."""
        self._look(self._timing.poll_s)
        desired = self._status.desired
        if desired is None or self._away or self._clocks.monotonic_s() < self._next_try_at:
            return
        action = reconcile(desired, self._observed)
        self._observed = replace(self._observed, newest=max(desired.generation, self._observed.newest))
        match action:
            case NoChange():
                self._say(replace(self._status, problem=None))
            case Stale(newest):
                reason = f"generation {newest} was desired before; an older one is not followed"
                self._say(replace(self._status, problem=StoreProblem(RefusalCode.STALE, reason)))
            case AdoptGeneration():
                self._relabel(desired)
            case TryPackage(package, generation, gates):
                self._try(desired, package, gates, generation)
            case FallBack(package):
                self._try(desired, package, Gates.WITHOUT_LATENCY, NOT_DESIRED)
            case GiveUp():
                raise self._nothing_left()

    def _look(self, timeout_s: float) -> None:
        """Ask what is desired, and take note of an answer."""
        found = self._loader.desired.poll(timeout_s)
        if isinstance(found, StoreProblem):
            self._away = True
            self._say(replace(self._status, problem=found))
        elif found is not None:
            self._away = False
            self._failures, self._next_try_at = 0, 0.0
            rejected = self._status.rejected
            if rejected is not None and not _is_about(rejected, found):
                rejected = None
            self._say(replace(self._status, desired=found, rejected=rejected, problem=None))

    def _try(self, wish: Deployment, package: PackageRef, gates: Gates, label: int) -> None:
        try:
            found = self._loader(package, gates, lambda: self._unwanted(wish))
        except Refused as refused:
            rejection = Rejection(wish.generation, package, refused.code, refused.reason)
            self._reject(wish, rejection)
            return
        if isinstance(found, StoreProblem):
            self._later(found)
        elif found is not None:
            self._serve(ServingModel(found, label), ServedPackage(package, label, self._clocks.unix_ms()))

    def _unwanted(self, wish: Deployment) -> bool:
        """Return whether `wish` is not worth going on for: the worker stops, or something else is desired."""
        now = self._clocks.monotonic_s()
        if now >= self._next_look_at:
            self._next_look_at = now + self._timing.look_s
            self._look(0.0)
        desired = self._status.desired
        overtaken = desired is not None and desired != wish and desired.generation >= wish.generation
        return overtaken or self._stop.requested

    def _serve(self, serving_model: ServingModel, served: ServedPackage) -> None:
        self._serving_model = serving_model
        if self._active is not None:
            self._active.swap(serving_model)
        digest = serving_model.model.digest
        self._cache.mark_served(digest)
        serving = ServingPackage(digest, serving_model.generation)
        self._observed = replace(self._observed, serving=serving, served=self._observed.served | {digest})
        self._failures, self._next_try_at = 0, 0.0
        self._say(replace(self._status, served=served, problem=self._still_away()))

    def _relabel(self, wish: Deployment) -> None:
        served, serving_model = self._status.served, self._serving_model
        if served is not None and serving_model is not None:
            again = ServedPackage(wish.package, wish.generation, served.since_ms)
            self._serve(ServingModel(serving_model.model, wish.generation), again)

    def _reject(self, wish: Deployment, rejection: Rejection) -> None:
        refused = (rejection.generation, rejection.package.digest)
        self._observed = replace(self._observed, refused=self._observed.refused | {refused})
        if _is_about(rejection, wish):
            self._say(replace(self._status, rejected=rejection, problem=self._still_away()))
        else:
            self._fallback_refused = rejection

    def _later(self, problem: StoreProblem) -> None:
        """Take note of what may pass, and leave it some time."""
        self._failures += 1
        self._next_try_at = self._clocks.monotonic_s() + self._timing.backoff.pause_s(self._failures)
        self._say(replace(self._status, problem=problem))

    def _still_away(self) -> StoreProblem | None:
        """Return the problem of a store that went away while a package was tried."""
        return self._status.problem if self._away else None

    def _nothing_left(self) -> Refused:
        rejected, before = self._status.rejected, self._fallback_refused
        if rejected is None:
            return Refused(RefusalCode.INTERNAL, "nothing serves, and nothing was refused")
        reason = f"{_named(rejected.package)}: {rejected.reason}"
        if before is not None:
            reason += f"; nor can {_named(before.package)} serve, the one before: {before.reason}"
        return Refused(rejected.reason_code, reason)

    def _say(self, status: DeployerStatus) -> None:
        """Replace the status, and report it when it is another."""
        if status != self._status:
            self._status = status
            self._report(status)


def _is_about(rejection: Rejection, wish: Deployment) -> bool:
    return (rejection.generation, rejection.package.digest) == (wish.generation, wish.package.digest)


def _named(package: PackageRef) -> str:
    return f"{package.name} {package.version}"
