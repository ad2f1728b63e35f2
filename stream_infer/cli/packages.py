"""The work and the output of `stream-infer package`. The options are in `package`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from stream_infer.cli.output import say, say_json
from stream_infer.cli.package import (
    CreatePackageOptions,
    DockerfileOptions,
    InstallPackageOptions,
    PackagePathOptions,
    VerifyPackageOptions,
)
from stream_infer.cli.printing import table
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.packaging.create import create_package
from stream_infer.packaging.dockerfile import write_build_folder
from stream_infer.packaging.environment import install_package
from stream_infer.packaging.mlflow_folder import from_mlflow
from stream_infer.packaging.options import CreateOptions
from stream_infer.packaging.summary import summarise_package
from stream_infer.packaging.verify import verify_in_child
from stream_infer.rollout.forkserver import forkserver
from stream_infer.rollout.rehearsal_task import RehearsalLimits


def print_created(options: CreatePackageOptions) -> None:
    """Create a package and print what was proved. Raises `Misconfigured` or `Refused`."""
    with forkserver() as run:
        report = create_package(_read_source(options), run)
    if options.as_json:
        _print_json({**asdict(report), "path": str(report.path)})
        return
    _print_facts(
        f"{report.name} {report.version}",
        [
            ("package", str(report.path)),
            ("digest", report.digest),
            ("features", str(report.features)),
            ("golden rows", str(report.rows)),
            ("compared with", report.compared),
            ("greatest difference", f"{report.max_abs_difference:.3g}"),
            ("runtime", report.runtime),
            *report.converted(),
            *(("note", note) for note in report.notes),
        ],
    )


def print_verified(options: VerifyPackageOptions) -> None:
    """Verify a package in a child and print what was checked. Raises `Refused`."""
    limits = RehearsalLimits(
        timeout_s=options.rehearsal_timeout_ms / 1_000, memory_bytes=options.rehearsal_memory_bytes
    )
    with forkserver() as run:
        report = verify_in_child(options.path, limits, run)
    if options.as_json:
        _print_json({**asdict(report), "path": str(report.path)})
        return
    _print_facts(
        f"{report.name} {report.version}: verified",
        [
            ("package", str(report.path)),
            ("digest", report.digest),
            ("golden rows", str(report.rows)),
            ("greatest difference", f"{report.max_abs_difference:.3g}"),
        ],
    )


def print_inspected(options: PackagePathOptions) -> None:
    """Print the manifest of a package, its features and its files. Raises `Refused`."""
    summary = summarise_package(options.path)
    if options.as_json:
        _print_json(summary.as_json())
        return
    _print_facts(f"{summary.manifest.name} {summary.manifest.version}", summary.facts())
    features = ("name", "field", "type", "missing", "nan", "infinite", "unseen", "range")
    table("features", features, summary.features())
    table("files", ("file", "bytes", "sha256"), summary.files())


def print_installed(options: InstallPackageOptions) -> None:
    """Make the environment of a package and print what was verified in it."""
    made = install_package(options.path, options.target)
    checked = "checked by hash" if made.hashed else "without hashes, which `package create --hashes` records"
    say(f"{made.target}: Python {made.python}, {made.distributions} distributions {checked}")
    say(*made.verified.splitlines())


def print_dockerfile(options: DockerfileOptions) -> None:
    """Write the folder of an image and print how the image is built."""
    dockerfile = write_build_folder(options.path, options.output, options.base)
    say(f"{dockerfile}: docker build -t IMAGE {dockerfile.parent}")


def _create_options(options: CreatePackageOptions) -> CreateOptions:
    return CreateOptions(
        model=options.model,
        name=options.name,
        version=options.version,
        schema=options.schema,
        golden=options.golden,
        output=options.output,
        reference=options.reference,
        target=options.target,
        answers=options.answers,
        columns=tuple(options.columns or ()),
        dtypes=tuple(options.dtypes or ()),
        features=_listed(options.features),
        threshold=options.threshold,
        code=options.code,
        class_scores=options.class_scores,
        values=_listed(options.values),
        primary=options.primary,
        missing=tuple(options.missing or ()),
        nan=tuple(options.nan or ()),
        infinite=tuple(options.infinite or ()),
        unseen=tuple(options.unseen or ()),
        absolute_tolerance=options.absolute_tolerance,
        relative_tolerance=options.relative_tolerance,
        rehearsal_timeout_ms=options.rehearsal_timeout_ms,
        rehearsal_memory_bytes=options.rehearsal_memory_bytes,
        rehearsal_batch_ms=options.rehearsal_batch_ms,
        runtime=options.runtime,
        trusted=tuple(options.trusted or ()),
        hashes=options.hashes,
        csv=options.csv(),
    )


def _listed(names: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in names.split(",")) if names else ()


def _read_source(options: CreatePackageOptions) -> CreateOptions:
    """Return the options with what `--from` names. Raises `Misconfigured`."""
    written = _create_options(options)
    if options.source is not None and options.model is not None:
        raise Misconfigured([Problem("MODEL", str(options.model), "is given beside --from", "leave one out")])
    if options.source is not None:
        return from_mlflow(options.source, written)
    missing = [name for name, value in (("MODEL", options.model), ("--golden", options.golden)) if not value]
    if missing:
        fix = "give it, or a model folder of MLflow: --from mlflow:FOLDER"
        raise Misconfigured([Problem(name, "", "is missing", fix) for name in missing])
    return written


def _print_json(value: Mapping[str, object]) -> None:
    say_json(value)


def _print_facts(title: str, facts: Sequence[tuple[str, str]]) -> None:
    """Print one fact per line without wrapping: a digest that is broken in two cannot be copied."""
    width = max(len(name) for name, _ in facts)
    say(title, *(f"  {name:<{width}}  {value}" for name, value in facts))
