"""The model store as the source of the desired deployment."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from stream_infer.flow.codes import RefusalCode
from stream_infer.rollout.deployment import Deployment, PackageRef, StoreProblem
from stream_infer.store.model_store import ModelStore


class StoreDesired:
    """A `rollout.candidate_loader.DesiredSource`. `wait` sleeps between two reads; it may return early."""

    def __init__(self, store: ModelStore, *, wait: Callable[[float], object] = time.sleep) -> None:
        self._store = store
        self._wait = wait
        self._last: Deployment | StoreProblem | None = None

    def poll(self, timeout_s: float) -> Deployment | StoreProblem | None:
        found = self._read()
        if found == self._last and timeout_s > 0:
            self._wait(timeout_s)
            found = self._read()
        if found == self._last:
            return None
        self._last = found
        return found

    def fetch(self, package: PackageRef) -> Path | StoreProblem:
        return self._store.locate(package)

    def _read(self) -> Deployment | StoreProblem:
        found = self._store.current()
        if self._last is None and isinstance(found, StoreProblem) and found.code is RefusalCode.INVALID:
            # A worker that starts while CURRENT is broken serves the last promotion; the next read tells why.
            return self._store.promoted_last() or found
        return found
