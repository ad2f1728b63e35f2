"""What rehearsals measured, remembered: in memory, and in a folder for the next process.

What was measured holds for one digest in one environment under one set of limits, so it is found by all
three. Only of packages whose answers are right is there anything to keep. A folder that cannot be read or
written is a folder that remembers nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import sys
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import distributions
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from stream_infer.common.durable import replace_file

_SERVED = "served-"
_IN_A_STORE = ".verdicts"


@dataclass(frozen=True, slots=True)
class RehearsalLimits:
    """How long and how large a rehearsal may be, and how slow a package.

    `timeout_s` is wall clock for all of it, some 3 s of imports included. `memory_bytes` is what the package
    may take on top of the libraries. `batch_p50_s` is the median time that `batch_records` events may take,
    from bytes to scores.
    """

    timeout_s: float = 60.0
    memory_bytes: int = 2 * 2**30
    batch_records: int = 1_000
    batch_p50_s: float = 1.0


@dataclass(frozen=True, slots=True)
class RehearsalResult:
    """What a rehearsal found of a package whose answers are right. None: the platform cannot tell."""

    rows: int
    max_abs_difference: float
    batch_p50_s: float
    grown_bytes: int | None


_MEASURED = TypeAdapter(RehearsalResult)


@cache
def environment_fingerprint() -> str:
    """Return the fingerprint of this Python and of every distribution that it can import."""
    installed = sorted({f"{one.metadata['Name']}=={one.version}" for one in distributions()})
    facts = [sys.version, platform.platform(), platform.machine(), *installed]
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()


class RehearsalCache:
    """What was measured of which package, and which ones ever served. One thread uses it."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._measured: dict[str, RehearsalResult] = {}
        self._served: set[str] = set()

    def find(self, digest: str, limits: RehearsalLimits) -> RehearsalResult | None:
        """Return what was measured of `digest` here under `limits`, or None."""
        key = _key(digest, limits)
        found = self._measured.get(key)
        if found is None and self._folder is not None:
            with contextlib.suppress(OSError, ValidationError):
                found = _MEASURED.validate_json((self._folder / f"{key}.json").read_bytes())
        return found

    def keep(self, digest: str, limits: RehearsalLimits, measured: RehearsalResult) -> None:
        """Remember `measured`."""
        key = _key(digest, limits)
        self._measured[key] = measured
        self._write(f"{key}.json", json.dumps(asdict(measured)))

    @property
    def served(self) -> frozenset[str]:
        """The digests that ever served, in this process or in one that had the same folder."""
        with contextlib.suppress(OSError):
            for path in self._folder.glob(f"{_SERVED}*") if self._folder is not None else ():
                self._served.add(f"sha256:{path.name.removeprefix(_SERVED)}")
        return frozenset(self._served)

    def mark_served(self, digest: str) -> None:
        """Remember that `digest` served."""
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
    """Return the cache that are kept in the model store at `store`, by all workers that share it."""
    return RehearsalCache(store / _IN_A_STORE)


def _key(digest: str, limits: RehearsalLimits) -> str:
    facts = json.dumps([digest, environment_fingerprint(), asdict(limits)], sort_keys=True)
    return hashlib.sha256(facts.encode()).hexdigest()
