"""Verifies a package: every byte against its digests, then the model against its golden rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stream_infer.models.load import load_model
from stream_infer.models.package import Verified, verify
from stream_infer.rollout.golden_check import prove_answers
from stream_infer.rollout.rehearsal import rehearse
from stream_infer.rollout.rehearsal_task import RehearsalLimits, RunChild
from stream_infer.rollout.spawned_child import run_spawned


@dataclass(frozen=True, slots=True)
class VerificationReport:
    """A verified package, and the greatest difference of its scores from the golden ones."""

    path: Path
    name: str
    version: str
    digest: str
    rows: int
    max_abs_difference: float


def verify_package(path: Path) -> VerificationReport:
    """Check all bytes of the package at `path`, load it here, and replay its golden rows over the Avro path.

    The code of the package runs in this process: for packages that this process has made. Raises `Refused`:
    as `models.package.verify`, `models.load.load_model` and `prove_answers` do.
    """
    verified = verify(path)
    replayed = prove_answers(load_model(verified), verified)
    return _report(path, verified, replayed.rows, replayed.max_abs_difference)


def verify_in_child(
    path: Path, limits: RehearsalLimits | None = None, run: RunChild = run_spawned
) -> VerificationReport:
    """Verify as `verify_package` does, but load and replay in a child under `limits` (the defaults).

    A package that ends, hangs or fills its process, or prints that all is well, is refused by what this
    process sees. Raises `Refused`: as `models.package.verify` and `rollout.rehearsal.rehearse` do.
    """
    verified = verify(path)
    measured = rehearse(
        path, verified.digest, limits=limits or RehearsalLimits(), cancelled=lambda: False, run=run
    )
    if measured is None:
        raise RuntimeError("a rehearsal that nothing cancels was cancelled")
    return _report(path, verified, measured.rows, measured.max_abs_difference)


def _report(path: Path, verified: Verified, rows: int, max_abs_difference: float) -> VerificationReport:
    return VerificationReport(
        path=path,
        name=verified.manifest.name,
        version=verified.manifest.version,
        digest=verified.digest,
        rows=rows,
        max_abs_difference=max_abs_difference,
    )
