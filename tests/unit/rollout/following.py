"""Desired deployments from a script instead of a store, and a deployer that follows them."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from stream_infer.common.backoff import Backoff
from stream_infer.models.active import ActiveModel
from stream_infer.rollout.candidate_loader import CandidateLoader, Rehearse
from stream_infer.rollout.deployer import Clocks, Deployer, DeployerTiming
from stream_infer.rollout.deployment import Deployment, PackageRef, StoreProblem
from stream_infer.rollout.guarded_load import GuardedLoad
from stream_infer.rollout.last_served import LastServed
from stream_infer.rollout.reconcile import Gates
from stream_infer.rollout.rehearsal_cache import RehearsalCache
from stream_infer.rollout.status import DeployerStatus
from tests.unit.rollout.packages import admit

ANSWERS_WITHIN_S = 60.0


def desired(package: PackageRef, generation: int, previous: PackageRef | None = None) -> Deployment:
    return Deployment(
        pipeline="p",
        generation=generation,
        package=package,
        previous=previous,
        requested_by="me",
        requested_at=0,
    )


class ScriptedSource:
    """A `DesiredSource` with scripted answers, one a poll. `gone` makes every fetch fail."""

    def __init__(self, folder: Path, *answers: Deployment | StoreProblem) -> None:
        self._folder = folder
        self._answers: queue.Queue[Deployment | StoreProblem] = queue.Queue()
        self.gone: StoreProblem | None = None
        for answer in answers:
            self.answer(answer)

    def answer(self, answer: Deployment | StoreProblem) -> None:
        self._answers.put(answer)

    def poll(self, timeout_s: float) -> Deployment | StoreProblem | None:
        try:
            return self._answers.get(block=timeout_s > 0, timeout=timeout_s)
        except queue.Empty:
            return None

    def fetch(self, package: PackageRef) -> Path | StoreProblem:
        return self.gone or self._folder / package.uri


def passes(_path: Path, _digest: str, *, gates: Gates, cancelled: Callable[[], bool]) -> object:
    """Rehearse nothing."""
    return gates, cancelled


@dataclass
class Following:
    """A deployer with everything around it. The clock stands at `now_s`, or moves by `tick_s` a reading."""

    source: ScriptedSource
    rehearse: Rehearse = passes
    cache: RehearsalCache = field(default_factory=RehearsalCache)
    last_served: LastServed = field(default_factory=LastServed)
    reports: queue.Queue[DeployerStatus] = field(default_factory=queue.Queue)
    load: GuardedLoad = field(default_factory=GuardedLoad)
    now_s: float = 0.0
    tick_s: float = 0.0

    def __post_init__(self) -> None:
        self.deployer = Deployer(
            CandidateLoader(self.source, self.rehearse, admit, self.load),
            self.cache,
            report=self.reports.put,
            last_served=self.last_served,
            timing=DeployerTiming(poll_s=0.02, trial_poll_s=0.0, backoff=Backoff(0.0, 0.0)),
            clocks=Clocks(self._clock, lambda: int(self.now_s * 1000)),
        )

    def _clock(self) -> float:
        self.now_s += self.tick_s
        return self.now_s

    def wait_for(self, true: Callable[[DeployerStatus], bool]) -> DeployerStatus:
        """Return the next reported status of which `true` is."""
        while True:
            status = self.reports.get(timeout=ANSWERS_WITHIN_S)
            if true(status):
                return status

    @contextmanager
    def running(self) -> Iterator[ActiveModel]:
        """Start, then follow in the background while the block runs."""
        active = ActiveModel(self.deployer.start())
        with self.deployer.following(active):
            yield active
