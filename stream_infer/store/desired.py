"""The model store as the source of a worker's desired state: the store's answer, whenever it is another."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from stream_infer.rollout.deployment import Deployment, PackageRef, StoreProblem
from stream_infer.store.model_store import ModelStore


class StoreDesired:
    """A `rollout.candidate_loader.Desired`. `wait` passes the time between two looks; it may return early."""

    def __init__(self, store: ModelStore, *, wait: Callable[[float], object] = time.sleep) -> None:
        self._store = store
        self._wait = wait
        self._last: Deployment | StoreProblem | None = None

    def poll(self, timeout_s: float) -> Deployment | StoreProblem | None:
        found = self._look()
        if found == self._last and timeout_s > 0:
            self._wait(timeout_s)
            found = self._look()
        if found == self._last:
            return None
        self._last = found
        return found

    def fetch(self, package: PackageRef) -> Path | StoreProblem:
        return self._store.locate(package)

    def _look(self) -> Deployment | StoreProblem:
        found = self._store.current()
        if self._last is None and isinstance(found, StoreProblem) and found.code == "invalid":
            # Who starts while CURRENT is broken serves what was promoted last; the next look tells why.
            return self._store.promoted_last() or found
        return found
