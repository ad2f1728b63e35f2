"""Follows the desired deployment on a thread beside the loop; replaces the serving model between two batches.

One turn: poll the source, ask `reconcile` for the next action, carry it out. `candidate_loader` turns a
package into a model, `view` keeps what is known. Every failure is in the status: after a refusal the previous
model serves on, and a source that is unavailable is asked again.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from stream_infer.common.backoff import Backoff
from stream_infer.common.clock import unix_ms
from stream_infer.common.foreign_code import error_text
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.active import ActiveModel, ServingModel
from stream_infer.rollout.candidate_loader import CandidateLoader
from stream_infer.rollout.deployment import Deployment, PackageRef, StoreProblem
from stream_infer.rollout.guarded_load import Trial
from stream_infer.rollout.last_served import LastServed
from stream_infer.rollout.reconcile import (
    NOT_DESIRED,
    AdoptGeneration,
    FallBack,
    Gates,
    GiveUp,
    NoChange,
    Stale,
    TryPackage,
    reconcile,
)
from stream_infer.rollout.rehearsal_cache import RehearsalCache
from stream_infer.rollout.status import DeployerStatus, Rejection, ServedPackage
from stream_infer.rollout.view import RolloutView
from stream_infer.runtime.stop import Stop

_PASSING = {RefusalCode.GONE, RefusalCode.BUSY}


@dataclass(frozen=True, slots=True)
class DeployerTiming:
    """`poll_s` is the longest wait of a poll, `trial_poll_s` the time between polls while a package is tried.

    A start waits `patience_s` for a source without an answer. `backoff` is between two tries of a package
    that could not be tried.
    """

    poll_s: float = 0.5
    trial_poll_s: float = 0.5
    patience_s: float = 10.0
    backoff: Backoff = field(default_factory=lambda: Backoff(first_s=1.0, most_s=60.0))


@dataclass(frozen=True, slots=True)
class Clocks:
    """A monotonic clock in seconds, and the time of day in Unix milliseconds."""

    monotonic_s: Callable[[], float] = time.monotonic
    unix_ms: Callable[[], int] = unix_ms


class Deployer:
    """`start`, then `following`; the thread inside one of them is the only writer of its state.

    `report` gets each new status, on that thread. It must not block.
    """

    def __init__(
        self,
        loader: CandidateLoader,
        cache: RehearsalCache,
        *,
        report: Callable[[DeployerStatus], object],
        last_served: LastServed | None = None,
        timing: DeployerTiming | None = None,
        clocks: Clocks | None = None,
    ) -> None:
        self._loader = loader
        self._cache = cache
        self._report = report
        self._last_served = last_served or LastServed()
        self._timing = timing or DeployerTiming()
        self._clocks = clocks or Clocks()
        self._stop = Stop()
        self._view = RolloutView()
        self._serving_model: ServingModel | None = None
        self._active: ActiveModel | None = None
        self._trial_poll_at = 0.0

    @property
    def status(self) -> DeployerStatus:
        """The newest status: one reference, replaced whole."""
        return self._view.status

    def start(self) -> ServingModel:
        """Return the model that serves first: of the desired package, or of the previous one.

        Where the source has no usable answer, it is the model of the package that served last: at once for an
        answer such as a record that is no deployment, after `patience_s` for one that may come yet. Blocks
        meanwhile, and while packages are rehearsed and loaded. Raises `Refused`, with the reason of the
        desired package or of the source.
        """
        deadline = self._clocks.monotonic_s() + self._timing.patience_s
        last = self._last_served.find()
        self._view = self._view.known_served(self._cache.served, last.package if last else None)
        while True:
            self._turn()
            if self._serving_model is not None:
                return self._serving_model
            problem = self._view.start_problem
            if problem is None:
                continue
            patient = self._clocks.monotonic_s() < deadline
            if last is not None and not (patient and problem.code in _PASSING):
                self._try(last, last.package, Gates.WITHOUT_LATENCY, last.generation)
                last = None
            elif not patient:
                raise Refused(problem.code, problem.reason)

    @contextlib.contextmanager
    def following(self, active: ActiveModel) -> Iterator[None]:
        """Follow the desired deployment on a thread while the block runs, and swap the model of `active`."""
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
                problem = StoreProblem(RefusalCode.INTERNAL, error_text(error))
                now = self._clocks.monotonic_s()
                with contextlib.suppress(Exception):
                    self._update(self._view.postponed(problem, now, self._timing.backoff))
                self._stop.wait(self._timing.poll_s)

    def _turn(self) -> None:
        """Poll, then carry out one action: at most one package is tried. Raises `Refused` to give up."""
        self._poll(self._timing.poll_s)
        desired = self._view.to_reconcile(self._clocks.monotonic_s())
        if desired is None:
            return
        action = reconcile(desired, self._view.observed)
        self._view = self._view.seen(desired.generation)
        match action:
            case NoChange():
                self._update(self._view.with_problem(None))
            case Stale(newest):
                reason = f"generation {newest} was desired before; an older one is not followed"
                self._update(self._view.with_problem(StoreProblem(RefusalCode.STALE, reason)))
            case AdoptGeneration():
                self._adopt(desired)
            case TryPackage(package, generation, gates):
                self._try(desired, package, gates, generation)
            case FallBack(package):
                self._try(desired, package, Gates.WITHOUT_LATENCY, NOT_DESIRED)
            case GiveUp():
                raise self._view.nothing_left()

    def _poll(self, timeout_s: float) -> None:
        answer = self._loader.desired.poll(timeout_s)
        if answer is not None:
            self._update(self._view.polled(answer))

    def _try(self, desired: Deployment, package: PackageRef, gates: Gates, generation: int) -> None:
        """Load `package` for `desired`; on success it serves under `generation`."""
        try:
            trial = Trial(
                package,
                desired.generation,
                gates,
                cancelled=lambda: self._cancelled(desired),
                stopping=lambda: self._stop.requested,
            )
            loaded = self._loader(trial)
        except Refused as refused:
            rejection = Rejection(desired.generation, package, refused.code, refused.reason)
            self._update(self._view.refused(rejection, desired))
            return
        if isinstance(loaded, StoreProblem):
            now = self._clocks.monotonic_s()
            self._update(self._view.postponed(loaded, now, self._timing.backoff))
        elif loaded is not None:
            served = ServedPackage(package, generation, self._clocks.unix_ms())
            self._serve(ServingModel(loaded, generation), served, desired)

    def _cancelled(self, desired: Deployment) -> bool:
        """Return whether a trial for `desired` is obsolete: the worker stops, or another one is desired."""
        now = self._clocks.monotonic_s()
        if now >= self._trial_poll_at:
            self._trial_poll_at = now + self._timing.trial_poll_s
            self._poll(0.0)
        return self._view.superseded(desired) or self._stop.requested

    def _serve(self, serving_model: ServingModel, served: ServedPackage, desired: Deployment) -> None:
        self._serving_model = serving_model
        if self._active is not None:
            self._active.swap(serving_model)
        self._cache.mark_served(served.package.digest)
        if served.generation != NOT_DESIRED:
            self._last_served.keep(desired)
        self._update(self._view.serving(served))

    def _adopt(self, desired: Deployment) -> None:
        served, serving_model = self.status.served, self._serving_model
        if served is not None and serving_model is not None:
            adopted = ServedPackage(desired.package, desired.generation, served.since_ms)
            self._serve(ServingModel(serving_model.model, desired.generation), adopted, desired)

    def _update(self, view: RolloutView) -> None:
        """Replace the view, and report a status that changed."""
        before, self._view = self._view, view
        if view.status != before.status:
            self._report(view.status)
