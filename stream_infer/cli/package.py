"""`stream-infer package`: the options of its commands. Work and output are in `packages`.

That module is imported inside the commands, so that `--help` answers at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from stream_infer.cli.options import AsJson, CsvFileOptions, takes_options

app = typer.Typer(name="package", help="Create, verify and install model packages.", no_args_is_help=True)

_POLICY = "FEATURE=POLICY"

RehearsalTimeout = Annotated[
    int, typer.Option(min=1, help="As the setting of a worker: most time that a rehearsal may take.")
]
RehearsalMemory = Annotated[int, typer.Option(min=1, help="The same: most memory that the model may need.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatePackageOptions(CsvFileOptions):
    """The options of `package create`."""

    model: Annotated[
        Path | None,
        typer.Argument(
            metavar="[MODEL]",
            help="Model file: joblib or pickle (it is unpickled: use only files you trust), XGBoost,"
            " LightGBM, CatBoost, skops or ONNX.",
        ),
    ] = None
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            metavar="mlflow:FOLDER",
            help="Take model, input example and modules of an MLflow folder.",
        ),
    ] = None
    name: Annotated[str, typer.Option(help="Name of the model.")]
    version: Annotated[str, typer.Option(help="Version of the model.")]
    schema: Annotated[Path, typer.Option(help="Avro schema of the events (.avsc).")]
    golden: Annotated[
        Path | None,
        typer.Option(
            help="Sample rows (.csv, .parquet, .avro): the package must score them as your model does."
            " Required, unless --from has an input example."
        ),
    ] = None
    output: Annotated[Path, typer.Option("--output", "-o", help="The new package: a folder or a .zip file.")]
    reference: Annotated[
        Path | None,
        typer.Option(help="Training data: the baseline for drift; shows which columns may be empty."),
    ] = None
    target: Annotated[
        str | None,
        typer.Option(
            metavar="COLUMN",
            help="Column of the reference with the true class or number: the performance that is promised.",
        ),
    ] = None
    answers: Annotated[
        str | None,
        typer.Option(
            metavar="score=COL,label=COL,value=COL",
            help="Columns of the golden sample with the answers that your model gave in training: the package"
            " must give them.",
        ),
    ] = None
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=FIELD", help="Event field of a column; repeatable."),
    ] = None
    dtypes: Annotated[
        list[str] | None,
        typer.Option(
            "--dtype",
            metavar="COLUMN=DTYPE",
            help="Dtype of a column in training, where a file does not keep it"
            " (category, datetime64[ns, Europe/Berlin]); repeatable.",
        ),
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
    values: Annotated[
        str | None,
        typer.Option(help="Names of the numbers (a,b,c), in order, of a model that gives several a row."),
    ] = None
    primary: Annotated[
        str | None,
        typer.Option(metavar="VALUE", help="The one of --values that is the prediction's `value` too."),
    ] = None
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
    unseen: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[FEATURE=]POLICY",
            help="A value that the model does not know: reject or null; for all features, or for one;"
            " repeatable.",
        ),
    ] = None
    absolute_tolerance: Annotated[
        float | None, typer.Option(help="Allowed difference from a golden score (default 1e-12), plus ...")
    ] = None
    relative_tolerance: Annotated[
        float | None, typer.Option(help="... this share of the golden score (default 1e-9).")
    ] = None
    rehearsal_timeout_ms: RehearsalTimeout = 60_000
    rehearsal_memory_bytes: RehearsalMemory = 2 * 2**30
    rehearsal_batch_ms: Annotated[
        int, typer.Option(min=1, help="The same: most time that 1,000 events may take.")
    ] = 1_000
    runtime: Annotated[
        str,
        typer.Option(
            metavar="sklearn|auto|onnx",
            help="auto: convert tree ensembles to ONNX, many times as fast on small batches, if the answers"
            " are equal; onnx: convert, or fail.",
        ),
    ] = "sklearn"
    trusted: Annotated[
        list[str] | None,
        typer.Option("--trust", metavar="TYPE", help="A type in a skops file that you trust; repeatable."),
    ] = None
    hashes: Annotated[
        bool,
        typer.Option("--hashes", help="Record the hash of every wheel, as the package index has it."),
    ] = False
    as_json: AsJson = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagePathOptions:
    """The options of `package inspect`."""

    path: Annotated[Path, typer.Argument(metavar="PACKAGE", help="The package: a folder or a .zip file.")]
    as_json: AsJson = False


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyPackageOptions(PackagePathOptions):
    """The options of `package verify`."""

    rehearsal_timeout_ms: RehearsalTimeout = 60_000
    rehearsal_memory_bytes: RehearsalMemory = 2 * 2**30


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallPackageOptions:
    """The options of `package install`."""

    path: Annotated[Path, typer.Argument(metavar="PACKAGE", help="The package: a folder or a .zip file.")]
    target: Annotated[
        Path | None,
        typer.Option(metavar="VENV", help="The new virtual environment (default NAME-VERSION.venv)."),
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerfileOptions:
    """The options of `package dockerfile`."""

    path: Annotated[Path, typer.Argument(metavar="PACKAGE", help="The package: a folder or a .zip file.")]
    output: Annotated[Path, typer.Option("--output", "-o", help="The new folder for `docker build`.")]
    base: Annotated[
        str | None,
        typer.Option(metavar="IMAGE", help="Base image with its exact tag (default: python, this release)."),
    ] = None


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
def verify_command(options: VerifyPackageOptions) -> None:
    """Check every file against its digest, load the model, replay the golden rows (refused: exit code 3).

    The model runs in a process of its own, as in the rehearsal of a worker.
    """
    from stream_infer.cli import packages  # noqa: PLC0415 - loads scikit-learn

    packages.print_verified(options)


@app.command("inspect")
@takes_options
def inspect_command(options: PackagePathOptions) -> None:
    """Show manifest, features and files. The digests are checked; the model is not unpickled."""
    from stream_infer.cli import packages  # noqa: PLC0415 - loads scikit-learn

    packages.print_inspected(options)


@app.command("install")
@takes_options
def install_command(options: InstallPackageOptions) -> None:
    """Make a virtual environment with exactly the versions that PACKAGE was made with, and verify it there.

    pip installs them, with its own settings: index, proxy, credentials.
    """
    from stream_infer.cli import packages  # noqa: PLC0415 - loads scikit-learn

    packages.print_installed(options)


@app.command("dockerfile")
@takes_options
def dockerfile_command(options: DockerfileOptions) -> None:
    """Write a folder for `docker build`: an image of PACKAGE with exactly its versions."""
    from stream_infer.cli import packages  # noqa: PLC0415 - loads scikit-learn

    packages.print_dockerfile(options)
