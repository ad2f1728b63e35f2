"""Rehearsal: try a package in a process of its own before it comes near the model that serves.

A pickle that crashes, hangs or takes all memory does so to the child. `rehearsal_child` is what the child
does, `child_limits` what confines it, `rehearsal_task` the protocol with it.

A child is never forked from the worker: a fork of a process with a Kafka client and threads in it may hang or
worse. It is a new Python process (`spawned_child`), which costs 2 s of imports, or a fork of a process that
was itself forked before there were threads (`forkserver`). Results are kept in `rehearsal_cache`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.rollout.reconcile import Gates
from stream_infer.rollout.rehearsal_cache import RehearsalCache
from stream_infer.rollout.rehearsal_task import (
    RehearsalLimits,
    RehearsalResult,
    RehearsalTask,
    RunChild,
    read_report,
)
from stream_infer.rollout.spawned_child import run_spawned


def rehearse(
    path: Path,
    digest: str,
    *,
    limits: RehearsalLimits,
    cancelled: Callable[[], bool],
    run: RunChild = run_spawned,
) -> RehearsalResult | None:
    """Verify, load, replay and measure the package at `path` in a child; None when it was `cancelled`.

    Blocks for at most `limits.timeout_s` and a second; `cancelled` is called every tenth of a second. Raises
    `Refused`: what `verify` and `load_model` raise, `GOLDEN`, `BATCH_OF_ONE`, `MEMORY`, `NETWORK`, `TIMEOUT`,
    `CRASH`. Raises `OSError` when no child can be started.
    """
    ended = run(RehearsalTask(path, digest, limits), cancelled)
    return None if ended is None else read_report(ended, limits.memory_bytes)


class Rehearsal:
    """Rehearses packages under `limits`; results in `cache` are not measured again."""

    def __init__(self, limits: RehearsalLimits, cache: RehearsalCache, run: RunChild = run_spawned) -> None:
        self._limits = limits
        self._cache = cache
        self._run = run

    def __call__(
        self, path: Path, digest: str, *, gates: Gates, cancelled: Callable[[], bool]
    ) -> RehearsalResult | None:
        """Return the measurements of the package at `path`, or None when it was `cancelled`.

        Raises `Refused`: as `rehearse` does, and what `exceeded` returns.
        """
        known = self._cache.find(digest, self._limits)
        # A package that was too slow or too large may have met a busy machine: it is measured again.
        if known is not None and exceeded(known, self._limits, gates) is None:
            return known
        measured = rehearse(path, digest, limits=self._limits, cancelled=cancelled, run=self._run)
        if measured is None:
            return None
        self._cache.keep(digest, self._limits, measured)
        refused = exceeded(measured, self._limits, gates)
        if refused is not None:
            raise refused
        return measured


def exceeded(measured: RehearsalResult, limits: RehearsalLimits, gates: Gates) -> Refused | None:
    """Return the refusal (`MEMORY`, `LATENCY`) of a correct package that exceeds a limit, or None."""
    grown = measured.grown_bytes
    if grown is not None and grown > limits.memory_bytes:
        reason = f"it takes {grown:,} bytes, more than the limit of {limits.memory_bytes:,}"
        return Refused(RefusalCode.MEMORY, reason)
    if gates is Gates.ALL and measured.batch_p50_s > limits.batch_p50_s:
        took, limit = measured.batch_p50_s, limits.batch_p50_s
        reason = f"{limits.batch_records} events take {took:.3g} s, more than the limit of {limit:g} s"
        return Refused(RefusalCode.LATENCY, reason)
    return None
