"""Publishes a package: it appears whole and verified, or not at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from stream_infer.common.durable import draft_of
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Misconfigured, Problem, Refused
from stream_infer.models.manifest import Manifest
from stream_infer.models.package import write_package
from stream_infer.packaging.verify import VerificationReport, verify_package


def publish_package(
    output: Path, manifest: Manifest, files: Mapping[str, bytes], notes: Sequence[str]
) -> VerificationReport:
    """Write a draft beside `output`, verify it, and rename it; a draft that fails is removed.

    Raises `Refused` with `notes` behind the reason, `Misconfigured` for a name or version of wrong form.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        with draft_of(output) as draft:
            write_package(draft, manifest, files)
            report = verify_package(draft)
            draft.rename(output)
    except Refused as error:
        key = error.reason.partition(":")[0]
        if error.code is RefusalCode.MANIFEST and key in {"name", "version"}:
            fix = "use letters, digits, dots, dashes and underscores; begin with a letter or a digit"
            problem = Problem(f"--{key}", str(getattr(manifest, key)), "is not a valid package name", fix)
            raise Misconfigured([problem]) from error
        raise Refused(error.code, "; ".join([error.reason, *notes])) from error
    return report
