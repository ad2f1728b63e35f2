"""`stream-infer send`: the options, and the answers as people and machines read them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from stream_infer.cli.options import DEFAULT_CONFIG, AsJson, ConfigFile, CsvFileOptions, takes_options
from stream_infer.flow.codes import ExitCode

_SHOW = 5
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SendOptions(CsvFileOptions):
    """The options of `send`."""

    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The rows: a .csv, .parquet, .jsonl, .ndjson or .avro file."),
    ]
    config: ConfigFile = DEFAULT_CONFIG
    topic: Annotated[
        str | None, typer.Option(metavar="TOPIC", help="The input topic; required where there are several.")
    ] = None
    schema: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Avro schema of the events (default: input.schema, else the newest in the schema registry).",
        ),
    ] = None
    columns: Annotated[
        list[str] | None,
        typer.Option("--map", metavar="COLUMN=FIELD", help="The event field of a column; may be repeated."),
    ] = None
    fill: Annotated[
        bool, typer.Option("--fill", help="Send zero, false or empty text for fields without a column.")
    ] = False
    key_field: Annotated[
        str | None, typer.Option(metavar="FIELD", help="Use this field as the record key (default: no key).")
    ] = None
    rate: Annotated[
        float | None, typer.Option(min=0.001, metavar="N", help="Send at most N events per second.")
    ] = None
    show: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Print the first N predictions and the first N dead letters."),
    ] = _SHOW
    timeout: Annotated[
        float,
        typer.Option(
            min=0.0,
            metavar="SECONDS",
            help="Give up after this many seconds without an answer (exit code 1); 0: do not wait.",
        ),
    ] = _TIMEOUT_S
    as_json: AsJson = False


@takes_options
def send_command(options: SendOptions) -> None:
    """Send the rows of FILE as events and print the first predictions.

    Columns are matched to the fields of the event schema by name; `a.b` is the field b of the record a. Every
    row is checked before the first is sent. Events have the framing of `input.framing`; under `confluent`
    their schema is looked up in the registry, and registered if it is missing.
    """
    from stream_infer.app.exchange import SendListener  # noqa: PLC0415 - imports the Kafka client
    from stream_infer.app.send import SendRequest, send_file  # noqa: PLC0415 - imports the Kafka client
    from stream_infer.cli.answers import AnswerPrinter  # noqa: PLC0415 - as above
    from stream_infer.config.settings import load_settings  # noqa: PLC0415 - as above

    request = SendRequest(
        file=options.file,
        topic=options.topic,
        schema=options.schema,
        columns=options.columns or (),
        fill=options.fill,
        key_field=options.key_field,
        rate=options.rate,
        timeout_s=options.timeout,
        csv=options.csv(),
    )
    printer = AnswerPrinter(show=options.show, as_json=options.as_json)
    settings = load_settings(options.config, os.environ)
    report = send_file(settings, request, SendListener(printer.note, printer.answer))
    printer.end(report, options.timeout)
    if report.interrupted:
        raise typer.Exit(ExitCode.INTERRUPTED)
    raise typer.Exit(1 if report.unanswered and options.timeout else 0)
