"""The deployment that served last, in a file: what a worker starts with where the desired one is unknown.

Workers of one pipeline that share a store share the file. A folder that cannot be read or written keeps
nothing.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from stream_infer.common.durable import replace_file
from stream_infer.common.regular_files import read_regular
from stream_infer.rollout.deployment import (
    Deployment,
    DeploymentInvalid,
    format_deployment,
    parse_deployment,
)
from stream_infer.rollout.rehearsal_cache import KEPT_IN_A_STORE

_MOST_BYTES = 2**16


class LastServed:
    """Reads and writes the file at `path`; without a path it keeps nothing. Not thread-safe."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._kept: Deployment | None = None

    def find(self) -> Deployment | None:
        """Return the last deployment whose package served, in this process or an earlier one."""
        if self._kept is None and self._path is not None:
            with contextlib.suppress(OSError, DeploymentInvalid):
                self._kept = parse_deployment(read_regular(self._path, most_bytes=_MOST_BYTES))
        return self._kept

    def keep(self, deployment: Deployment) -> None:
        """Keep that the package of `deployment` serves."""
        if deployment == self._kept:
            return
        self._kept = deployment
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(self._path, format_deployment(deployment))


def last_served_in_store(store: Path, pipeline: str) -> LastServed:
    """Return what the workers of `pipeline` keep in the model store at `store`."""
    return LastServed(store / KEPT_IN_A_STORE / f"last-served.{pipeline}.json")
