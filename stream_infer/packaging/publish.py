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
from stream_infer.rollout.reconcile import Gates
from stream_infer.rollout.rehearsal import Rehearsal

_LIMIT = "raise {0} here and [model] {1} in worker.toml"
_FIXES: Mapping[RefusalCode, str] = {
    RefusalCode.BATCH_OF_ONE: "the model must answer a row from this row alone; allow a small difference with"
    " --relative-tolerance and --absolute-tolerance",
    RefusalCode.NETWORK: "load what the model needs before it is pickled",
    **{
        code: _LIMIT.format(f"--{setting.replace('_', '-')}", setting)
        for code, setting in (
            (RefusalCode.TIMEOUT, "rehearsal_timeout_ms"),
            (RefusalCode.MEMORY, "rehearsal_memory_bytes"),
            (RefusalCode.LATENCY, "rehearsal_batch_ms"),
        )
    },
}


def publish_package(
    output: Path, manifest: Manifest, files: Mapping[str, bytes], notes: Sequence[str], rehearsal: Rehearsal
) -> VerificationReport:
    """Write a draft beside `output`, verify and rehearse it, and rename it; a draft that fails is removed.

    The rehearsal is the worker's: what a worker would refuse is refused now. Raises `Refused` with the fix
    and `notes` behind the reason, `Misconfigured` for a name or version of wrong form.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    try:
        with draft_of(output) as draft:
            write_package(draft, manifest, files)
            report = verify_package(draft)
            rehearsal(draft, report.digest, gates=Gates.ALL, cancelled=lambda: False)
            draft.rename(output)
    except Refused as error:
        key = error.reason.partition(":")[0]
        if error.code is RefusalCode.MANIFEST and key in {"name", "version"}:
            fix = "use letters, digits, dots, dashes and underscores; begin with a letter or a digit"
            problem = Problem(f"--{key}", str(getattr(manifest, key)), "is not a valid package name", fix)
            raise Misconfigured([problem]) from error
        fixes = [_FIXES[error.code]] if error.code in _FIXES else []
        raise Refused(error.code, "; ".join([error.reason, *fixes, *notes])) from error
    return report
