"""`stream-infer score`: the options. The run is in `app.score`, its progress in `score_progress`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from stream_infer.cli.options import AsJson, CsvFileOptions, takes_options
from stream_infer.runtime.gc_schedule import without_collections


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreOptions(CsvFileOptions):
    """The options of `score`."""

    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Files or folders of .parquet, .avro, .csv, .jsonl or .arrow files; paths or URIs.",
        ),
    ]
    package: Annotated[Path, typer.Option(metavar="PATH", help="The package: a folder or a .zip file.")]
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="FOLDER",
            help="The folder of the parts: Avro if it ends in .avro, else Parquet.",
        ),
    ]
    copy: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="A column of the input beside the prediction; may be repeated."),
    ] = None
    join: Annotated[bool, typer.Option("--join", help="All columns of the input beside the prediction.")] = (
        False
    )
    max_rejected: Annotated[
        str,
        typer.Option(
            metavar="SHARE", help="Publish nothing where more rows are rejected, such as 1% or 0.01."
        ),
    ] = "100%"
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write a page about the run: counts, drift against training."),
    ] = None
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column with the true label, for the report.")
    ] = None
    if_changed: Annotated[
        bool,
        typer.Option("--if-changed", help="Do nothing where the output is up to date; replace it where not."),
    ] = False
    watermark: Annotated[
        bool, typer.Option("--watermark", help="Score only files that are new, and add to the output.")
    ] = False
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="Processes that share the splits.")] = 1
    as_json: AsJson = False


@takes_options
def score_command(options: ScoreOptions) -> None:
    """Score a data set with a package, into a folder of parts.

    The output appears when all of it is done, with a manifest named _SUCCESS. A run that was killed goes on
    when the same command is given again, and ends in the same bytes.
    """
    share = _share(options.max_rejected)
    if options.if_changed and options.watermark:
        raise typer.BadParameter("give either --if-changed or --watermark")
    with without_collections():
        from stream_infer.app.kit.lifetime import run_until_signal  # noqa: PLC0415 - imports structlog
        from stream_infer.app.score import RunPolicy, run_score  # noqa: PLC0415 - imports scikit-learn
        from stream_infer.batch.scoring import BatchRequest  # noqa: PLC0415 - as above
        from stream_infer.cli.score_progress import ScoreProgress  # noqa: PLC0415 - imports rich
        from stream_infer.packaging.csv_layout import layout_of  # noqa: PLC0415 - as above

    request = BatchRequest(
        inputs=options.inputs,
        output=options.output,
        package=options.package,
        copy=options.copy or (),
        join=options.join,
        label=options.label,
        layout=layout_of(options.csv()),
    )
    policy = RunPolicy(
        workers=options.workers,
        max_rejected=share,
        report=options.report,
        if_changed=options.if_changed,
        watermark=options.watermark,
    )
    progress = ScoreProgress(as_json=options.as_json)
    with progress:
        code = run_until_signal(
            lambda: None,
            lambda _, stop: progress.end(run_score(request, policy, stop, progress, progress.begin)),
        )
    raise typer.Exit(code)


def _share(text: str) -> float:
    """Return the share in `text`: `1%` or `0.01`."""
    number = text.strip()
    try:
        share = float(number[:-1]) / 100 if number.endswith("%") else float(number)
    except ValueError:
        share = -1.0
    if not 0 <= share <= 1:
        raise typer.BadParameter("write a share of the rows, such as 1% or 0.01", param_hint="--max-rejected")
    return share
