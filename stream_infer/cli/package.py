"""`stream-infer package create`, `verify` and `inspect`: the options. Work and output are in `packages`.

That module is imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from stream_infer.cli.options import AsJson, takes_options

app = typer.Typer(name="package", help="Create, verify and inspect model packages.", no_args_is_help=True)

_POLICY = "FEATURE=POLICY"


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePackageOptions:
    """The options of `package create`."""

    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="Model file (joblib or pickle). It is unpickled: use only files you trust."
        ),
    ]
    name: Annotated[str, typer.Option(help="Name of the model.")]
    version: Annotated[str, typer.Option(help="Version of the model.")]
    schema: Annotated[Path, typer.Option(help="Avro schema of the events (.avsc).")]
    golden: Annotated[
        Path,
        typer.Option(
            help="Sample rows (.csv, .parquet, .avro): the package must score them as your model does."
        ),
    ]
    output: Annotated[Path, typer.Option("--output", "-o", help="The new package: a folder or a .zip file.")]
    reference: Annotated[
        Path | None,
        typer.Option(help="Training data: the baseline for drift; shows which columns may be empty."),
    ] = None
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=FIELD", help="Event field of a column; repeatable."),
    ] = None
    features: Annotated[
        str | None,
        typer.Option(help="Columns of the model in order (a,b,c), if it does not know their names."),
    ] = None
    threshold: Annotated[
        float | None, typer.Option(help="Two classes: predict the second one from this score on.")
    ] = None
    code: Annotated[Path | None, typer.Option(help="Folder of your own modules that the model imports.")] = (
        None
    )
    class_scores: Annotated[
        bool, typer.Option("--class-scores", help="Add the score of every class to each prediction.")
    ] = False
    missing: Annotated[
        list[str] | None,
        typer.Option(metavar=_POLICY, help="Null in the event: reject, pass or impute:VALUE; repeatable."),
    ] = None
    nan: Annotated[
        list[str] | None, typer.Option(metavar=_POLICY, help="NaN in the event: the same policies.")
    ] = None
    infinite: Annotated[
        list[str] | None, typer.Option(metavar=_POLICY, help="Infinity in the event: the same policies.")
    ] = None
    absolute_tolerance: Annotated[
        float | None, typer.Option(help="Allowed difference from a golden score (default 1e-12), plus ...")
    ] = None
    relative_tolerance: Annotated[
        float | None, typer.Option(help="... this share of the golden score (default 1e-9).")
    ] = None
    runtime: Annotated[
        str,
        typer.Option(
            metavar="sklearn|auto|onnx",
            help="auto: convert tree ensembles to ONNX, many times as fast on small batches, if the answers"
            " are equal; onnx: convert, or fail.",
        ),
    ] = "sklearn"
    as_json: AsJson = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagePathOptions:
    """The options of `package verify` and `inspect`."""

    path: Annotated[Path, typer.Argument(metavar="PACKAGE", help="The package: a folder or a .zip file.")]
    as_json: AsJson = False


@app.command("create")
@takes_options
def create_command(options: CreatePackageOptions) -> None:
    """Create a package from MODEL and prove that events score as your own data frame does.

    A column is read from the event field of the same name, or from the one given with --map (a.b for a
    nested field). Empty values reach the model only in columns that have empty values in your samples.
    """
    from stream_infer.cli import packages  # noqa: PLC0415 - loads scikit-learn

    packages.print_created(options)


@app.command("verify")
@takes_options
def verify_command(options: PackagePathOptions) -> None:
    """Check every file against its digest, load the model, replay the golden rows (refused: exit code 3)."""
    from stream_infer.cli import packages  # noqa: PLC0415 - loads scikit-learn

    packages.print_verified(options)


@app.command("inspect")
@takes_options
def inspect_command(options: PackagePathOptions) -> None:
    """Show manifest, features and files. The digests are checked; the model is not unpickled."""
    from stream_infer.cli import packages  # noqa: PLC0415 - loads scikit-learn

    packages.print_inspected(options)
