"""Verifies a package: every byte against its digests, then the model against its golden rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stream_infer.avro.schemas import SchemaRefused, parse_schema
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.models.load import load_model
from stream_infer.models.package import verify
from stream_infer.steps.scoring.golden import replay

SHOWN_FAILURES = 3


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

    Raises `Refused`: as `models.package.verify` and `models.load.load_model` do, `SCHEMA` when `input.avsc`
    is not a schema, and `GOLDEN` when the model does not give the golden answers.
    """
    verified = verify(path)
    model = load_model(verified)
    try:
        schema = parse_schema(verified.files["input.avsc"].decode())
    except (SchemaRefused, UnicodeDecodeError) as error:
        raise Refused(RefusalCode.SCHEMA, f"input.avsc: {error}") from error
    replayed = replay(model, schema, verified.files["golden.avro"])
    if not replayed.ok:
        raise Refused(RefusalCode.GOLDEN, _told(replayed.failures))
    manifest = verified.manifest
    return VerificationReport(
        path=path,
        name=manifest.name,
        version=manifest.version,
        digest=verified.digest,
        rows=replayed.rows,
        max_abs_difference=replayed.max_abs_difference,
    )


def _told(failures: Sequence[str]) -> str:
    if not failures:
        return "there are no golden rows"
    more = f", and {len(failures) - SHOWN_FAILURES} more" if len(failures) > SHOWN_FAILURES else ""
    return "; ".join(failures[:SHOWN_FAILURES]) + more
