"""The checks of a package: its bytes, its fit to the events and to this machine, and that its model loads."""

from __future__ import annotations

from pathlib import Path

from stream_infer.app.checks.findings import Findings
from stream_infer.avro.schemas import Schema, SchemaRefused, leaves, parse_schema
from stream_infer.config.problems import nearest
from stream_infer.flow.errors import Misconfigured, Problem, Refused
from stream_infer.models.load import load_model
from stream_infer.models.package import Verified, verify
from stream_infer.rollout.compatibility import Difference, assess_here, check_code
from stream_infer.rollout.golden_check import prove_answers
from stream_infer.steps.options import OnDifference, Pickles
from stream_infer.steps.scoring.plan import Events, plan_scoring

_KEY = "model.package"
_EVENT_SCHEMA = "input.avsc"


def check_package_bytes(path: Path, pickles: Pickles, findings: Findings) -> Verified | None:
    """Return the verified package at `path`, or None with a problem; so may be a pickle (`pickles`)."""
    if not path.exists():
        fix = "correct the path, or make the package with `stream-infer package create`"
        findings.add([Problem(_KEY, f'"{path}"', "there is no such file or folder", fix)])
        return None
    try:
        package = verify(path)
        check_code(package.manifest, pickles)
    except Refused as refused:
        findings.add([_refused(path, refused)], Refused.exit_code)
        return None
    manifest = package.manifest
    findings.passed.append(f"package: {manifest.name} {manifest.version}, {package.digest}")
    return package


def check_compatibility(package: Verified, policy: OnDifference, events: Events, findings: Findings) -> None:
    """Add the differences between what the package was made for and what is here."""
    compatibility = assess_here(package.manifest, events, policy)
    findings.warned += [one.reason for one in compatibility.warned]
    for one in compatibility.refused:
        problem = Problem(_KEY, package.manifest.name, one.reason, _fix(one, events))
        # A missing field may be the fault of the schema; a library never is.
        findings.add([problem], Misconfigured.exit_code if one.source else Refused.exit_code)


def check_model(package: Verified, events: Events | None, findings: Findings) -> None:
    """Load the model and plan for it, as `run` does; only when the package itself has no problem."""
    if any(problem.key == _KEY for problem in findings.problems):
        return
    try:
        model = load_model(package)
        proved = prove_answers(model, package)
        if events is not None and not findings.found:
            plan_scoring(model, events)
    except Refused as refused:
        findings.add([_refused(Path(package.manifest.entry), refused)], Refused.exit_code)
    else:
        findings.passed.append(
            f"model: {len(model.manifest.features)} features, answers its {proved.rows} golden rows"
        )


def made_for(package: Verified | None) -> Schema | None:
    """Return the event schema that the model was made for: events of several writers are read as that."""
    if package is None:
        return None
    try:
        return parse_schema(package.files[_EVENT_SCHEMA].decode())
    except (SchemaRefused, UnicodeDecodeError):
        return None


def _refused(path: Path, refused: Refused) -> Problem:
    fix = "serve a package that `stream-infer package verify` accepts"
    return Problem(_KEY, f'"{path}"', f"refused ({refused.code}): {refused.reason}", fix)


def _fix(difference: Difference, events: Events) -> str:
    if difference.source is None:
        tolerated = 'set on_difference = "warn", or ' if difference.tolerable else ""
        install = "run in the environment that `stream-infer package install` makes of it"
        return f"{tolerated}{install}, or make the package again with what is installed"
    schemas = [*events.writers, *([events.reader] if events.reader else [])]
    known = {path for schema in schemas for path in leaves(schema)}
    match = None if difference.source in known else nearest(difference.source, known)
    hint = f"did you mean {match}? " if match else ""
    return f"{hint}Serve a package that was made for this schema, or correct input.schema"
