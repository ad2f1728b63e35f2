"""Verifies a package: every byte against its digests, then the model against its golden rows."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from stream_infer.models.load import load_model
from stream_infer.models.package import verify
from stream_infer.rollout.golden_check import prove_answers


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
    """Check all bytes of the package at `path`, load it, and replay its golden rows over the Avro path.

    Raises `Refused`: as `models.package.verify`, `models.load.load_model` and `prove_answers` do.
    """
    verified = verify(path)
    replayed = prove_answers(load_model(verified), verified)
    manifest = verified.manifest
    return VerificationReport(
        path=path,
        name=manifest.name,
        version=manifest.version,
        digest=verified.digest,
        rows=replayed.rows,
        max_abs_difference=replayed.max_abs_difference,
    )
