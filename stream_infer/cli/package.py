"""`stream-infer package create`, `inspect` and `verify`: asked and shown. What they do is in `packaging`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(name="package", help="Make, look into and check model packages.", no_args_is_help=True)

PackagePath = Annotated[Path, typer.Argument(metavar="PACKAGE", help="A package: a folder or a zip.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


@app.command("create")
def create_command(  # noqa: PLR0913 - one parameter per option of the command
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="Your joblib or pickle file. It is unpickled: give only your own."
        ),
    ],
    *,
    name: Annotated[str, typer.Option(help="The model's name.")],
    version: Annotated[str, typer.Option(help="The model's version.")],
    schema: Annotated[Path, typer.Option(help="The Avro schema of the events (.avsc).")],
    golden: Annotated[
        Path,
        typer.Option(
            help="Sample rows (.csv, .parquet, .avro): the package must always score them as you do now."
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The package: a folder, or a name in .zip.")],
    reference: Annotated[
        Path | None,
        typer.Option(help="Training data, to measure drift against and to see which columns are empty."),
    ] = None,
    columns: Annotated[
        list[str] | None, typer.Option("--map", metavar="COLUMN=FIELD", help="The event field of a column.")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(help="The model's columns (a,b,c) where the model does not know their names."),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Two classes: the second one from this score on.")
    ] = None,
    code: Annotated[
        Path | None, typer.Option(help="A folder with the modules of yours that the model needs.")
    ] = None,
    class_scores: Annotated[
        bool, typer.Option("--class-scores", help="Put the score of every class into each prediction.")
    ] = False,
    missing: Annotated[
        list[str] | None,
        typer.Option(metavar="FEATURE=POLICY", help="reject, pass or impute:VALUE where the event has null."),
    ] = None,
    nan: Annotated[
        list[str] | None, typer.Option(metavar="FEATURE=POLICY", help="The same where it has NaN.")
    ] = None,
    infinite: Annotated[
        list[str] | None, typer.Option(metavar="FEATURE=POLICY", help="The same where it is infinite.")
    ] = None,
    absolute_tolerance: Annotated[
        float | None, typer.Option(help="How far a score may be from the golden one (default 1e-12) ...")
    ] = None,
    relative_tolerance: Annotated[
        float | None, typer.Option(help="... plus this share of the golden score (default 1e-9).")
    ] = None,
    runtime: Annotated[
        str,
        typer.Option(
            metavar="sklearn|auto|onnx",
            help="auto: convert ensembles of trees to ONNX, many times as fast on small batches, if that"
            " gives the same answers; onnx: or make no package.",
        ),
    ] = "sklearn",
    as_json: AsJson = False,
) -> None:
    """Make a package from MODEL, and prove on golden rows that events score as your own frame does.

    A column is read from the event field of the same name, or from the one that --map gives it (a.b for a
    nested one). Empty values reach the model only in columns that are empty somewhere in your samples.
    """
    from stream_infer.packaging.create import create_package  # noqa: PLC0415 - loads scikit-learn
    from stream_infer.packaging.options import CreateOptions  # noqa: PLC0415 - as above

    report = create_package(
        CreateOptions(
            model=model,
            name=name,
            version=version,
            schema=schema,
            golden=golden,
            output=output,
            reference=reference,
            columns=tuple(columns or ()),
            features=tuple(part.strip() for part in features.split(",")) if features else (),
            threshold=threshold,
            code=code,
            class_scores=class_scores,
            missing=tuple(missing or ()),
            nan=tuple(nan or ()),
            infinite=tuple(infinite or ()),
            absolute_tolerance=absolute_tolerance,
            relative_tolerance=relative_tolerance,
            runtime=runtime,
        )
    )
    if as_json:
        _print_json({**asdict(report), "path": str(report.path)})
        return
    _print_facts(
        f"{report.name} {report.version}",
        [
            ("package", str(report.path)),
            ("digest", report.digest),
            ("features", str(report.features)),
            ("golden rows", str(report.rows)),
            (
                "greatest difference",
                f"{report.max_abs_difference:.3g} (your own frame against Avro events)",
            ),
            ("runtime", report.runtime),
            *report.converted(),
            *(("note", note) for note in report.notes),
        ],
    )


@app.command("verify")
def verify_command(path: PackagePath, *, as_json: AsJson = False) -> None:
    """Check all bytes against the digests, load the model, replay the golden rows. Refused: exit code 3."""
    from stream_infer.packaging.verify import verify_package  # noqa: PLC0415 - loads scikit-learn

    report = verify_package(path)
    if as_json:
        _print_json({**asdict(report), "path": str(report.path)})
        return
    _print_facts(
        f"{report.name} {report.version} is whole",
        [
            ("package", str(report.path)),
            ("digest", report.digest),
            ("golden rows", str(report.rows)),
            ("greatest difference", f"{report.max_abs_difference:.3g}"),
        ],
    )


@app.command("inspect")
def inspect_command(path: PackagePath, *, as_json: AsJson = False) -> None:
    """Show what a package says about itself. Its digests are checked; its model is never unpickled."""
    from stream_infer.packaging.summary import summarise_package  # noqa: PLC0415 - loads pydantic

    summary = summarise_package(path)
    if as_json:
        _print_json(summary.as_json())
        return
    _print_facts(f"{summary.manifest.name} {summary.manifest.version}", summary.facts())
    _print_rows(
        "features", ("name", "field", "type", "missing", "nan", "infinite", "range"), summary.features()
    )
    _print_rows("files", ("file", "bytes", "sha256"), summary.files())


def _print_json(value: Mapping[str, object]) -> None:
    typer.echo(json.dumps(value, sort_keys=True))


def _print_facts(title: str, facts: Sequence[tuple[str, str]]) -> None:
    """Print one fact a line, however long: a digest that is broken in two cannot be copied."""
    width = max(len(name) for name, _ in facts)
    typer.echo("\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in facts)]))


def _print_rows(title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 - only when there is something to show
    from rich.console import Console  # noqa: PLC0415 - as above
    from rich.table import Table  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    for name in header:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console(highlight=False).print(table)
