"""The cache of rehearsal results: in memory, and in a folder for the next process.

A result holds for one digest in one environment under one set of limits, so these three are its key. Only
packages that give their golden answers have results. A folder that cannot be read or written keeps nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import sys
from dataclasses import asdict
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from stream_infer.common.durable import replace_file
from stream_infer.common.regular_files import read_regular
from stream_infer.rollout.rehearsal_task import RehearsalLimits, RehearsalResult

_SERVED = "served-"
KEPT_IN_A_STORE = ".verdicts"
"""The folder of a model store in which workers keep results and what served."""
_MOST_BYTES = 2**16


_RESULT = TypeAdapter(RehearsalResult)


@cache
def environment_fingerprint() -> str:
    """Return the SHA-256 of this Python's version, the platform and all installed distributions."""
    installed = sorted({f"{one.metadata['Name']}=={one.version}" for one in distributions()})
    facts = [sys.version, platform.platform(), platform.machine(), *installed]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


class RehearsalCache:
    """Results of rehearsals, and the digests that ever served. Not thread-safe."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._measured: dict[str, RehearsalResult] = {}
        self._served: set[str] = set()

    def find(self, digest: str, limits: RehearsalLimits) -> RehearsalResult | None:
        """Return the result of `digest` in this environment under `limits`, or None."""
        key = _key(digest, limits)
        found = self._measured.get(key)
        if found is None and self._folder is not None:
            with contextlib.suppress(OSError, ValidationError):
                path = self._folder / f"{key}.json"
                found = _RESULT.validate_json(read_regular(path, most_bytes=_MOST_BYTES))
        return found

    def keep(self, digest: str, limits: RehearsalLimits, measured: RehearsalResult) -> None:
        """Keep `measured` as the result of `digest` under `limits`."""
        key = _key(digest, limits)
        self._measured[key] = measured
        self._write(f"{key}.json", json.dumps(asdict(measured)))

    @property
    def served(self) -> frozenset[str]:
        """The digests that ever served, in this process or in another one with the same folder."""
        with contextlib.suppress(OSError):
            for path in self._folder.glob(f"{_SERVED}*") if self._folder is not None else ():
                self._served.add(f"sha256:{path.name.removeprefix(_SERVED)}")
        return frozenset(self._served)

    def mark_served(self, digest: str) -> None:
        """Keep that `digest` served."""
        if digest not in self._served:
            self._served.add(digest)
            self._write(_SERVED + digest.removeprefix("sha256:"), "")

    def _write(self, name: str, text: str) -> None:
        if self._folder is None:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            replace_file(self._folder / name, text.encode("ascii"))


def cache_in_store(store: Path) -> RehearsalCache:
    """Return the cache that all workers of the model store at `store` share."""
    return RehearsalCache(store / KEPT_IN_A_STORE)


def _key(digest: str, limits: RehearsalLimits) -> str:
    facts = json.dumps([digest, environment_fingerprint(), asdict(limits)], sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()
