"""The work and the output of `stream-infer package`. The options are in `package`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict

import typer

from stream_infer.cli.package import CreatePackageOptions, PackagePathOptions
from stream_infer.cli.printing import table
from stream_infer.packaging.create import create_package
from stream_infer.packaging.options import CreateOptions
from stream_infer.packaging.summary import summarise_package
from stream_infer.packaging.verify import verify_package


def print_created(options: CreatePackageOptions) -> None:
    """Create a package and print what was proved. Raises `Misconfigured` or `Refused`."""
    report = create_package(_create_options(options))
    if options.as_json:
        _print_json({**asdict(report), "path": str(report.path)})
        return
    difference = f"{report.max_abs_difference:.3g} (your own frame against Avro events)"
    _print_facts(
        f"{report.name} {report.version}",
        [
            ("package", str(report.path)),
            ("digest", report.digest),
            ("features", str(report.features)),
            ("golden rows", str(report.rows)),
            ("greatest difference", difference),
            ("runtime", report.runtime),
            *report.converted(),
            *(("note", note) for note in report.notes),
        ],
    )


def print_verified(options: PackagePathOptions) -> None:
    """Verify a package and print what was checked. Raises `Refused`."""
    report = verify_package(options.path)
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
    features = ("name", "field", "type", "missing", "nan", "infinite", "range")
    table("features", features, summary.features())
    table("files", ("file", "bytes", "sha256"), summary.files())


def _create_options(options: CreatePackageOptions) -> CreateOptions:
    return CreateOptions(
        model=options.model,
        name=options.name,
        version=options.version,
        schema=options.schema,
        golden=options.golden,
        output=options.output,
        reference=options.reference,
        columns=tuple(options.columns or ()),
        features=tuple(part.strip() for part in options.features.split(",")) if options.features else (),
        threshold=options.threshold,
        code=options.code,
        class_scores=options.class_scores,
        missing=tuple(options.missing or ()),
        nan=tuple(options.nan or ()),
        infinite=tuple(options.infinite or ()),
        absolute_tolerance=options.absolute_tolerance,
        relative_tolerance=options.relative_tolerance,
        runtime=options.runtime,
    )


def _print_json(value: Mapping[str, object]) -> None:
    typer.echo(json.dumps(value, sort_keys=True))


def _print_facts(title: str, facts: Sequence[tuple[str, str]]) -> None:
    """Print one fact per line without wrapping: a digest that is broken in two cannot be copied."""
    width = max(len(name) for name, _ in facts)
    typer.echo("\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in facts)]))
