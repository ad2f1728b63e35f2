"""When a source of the desired deployment was last asked: a deployer that stands does not ask."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from stream_infer.rollout.candidate_loader import DesiredSource
from stream_infer.rollout.deployment import Deployment, PackageRef, StoreProblem


class WatchedSource:
    """The source `watched`; `polled_at` is when its last poll ended, in Unix seconds. Any thread reads it."""

    def __init__(self, watched: DesiredSource, clock: Callable[[], float] = time.time) -> None:
        self._watched = watched
        self._clock = clock
        self.polled_at = clock()

    def poll(self, timeout_s: float) -> Deployment | StoreProblem | None:
        """Poll the source."""
        answer = self._watched.poll(timeout_s)
        self.polled_at = self._clock()
        return answer

    def fetch(self, package: PackageRef) -> Path | StoreProblem:
        """Fetch from the source."""
        return self._watched.fetch(package)
