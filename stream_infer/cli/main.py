"""The `stream-infer` command: where commands are gathered and errors become one block and an exit code.

Each command has a module beside this one. None imports anything heavy at import time: a command imports what
it runs inside its function, so that `--help` answers at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import stream_infer
from stream_infer.cli import incident, model, offsets, package, topics
from stream_infer.cli.check import check_command
from stream_infer.cli.dashboard import dashboard_command
from stream_infer.cli.demo import demo_command
from stream_infer.cli.events import backtest_command, events_command
from stream_infer.cli.output import say_json
from stream_infer.cli.run import run_command
from stream_infer.cli.score import score_command
from stream_infer.cli.send import send_command
from stream_infer.cli.serve import serve_command
from stream_infer.common.printable import printable
from stream_infer.flow.codes import ExitCode
from stream_infer.flow.errors import Misconfigured, Refused, StreamInferError

EXIT_CODES = f"Exit codes: {' · '.join(f'{int(code)} {code.title}' for code in ExitCode)}."

app = typer.Typer(
    name="stream-infer",
    help="Score Avro events from Kafka with a verified model package, exactly once.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("demo")(demo_command)
app.command("check")(check_command)
app.command("run")(run_command)
app.command("serve")(serve_command)
app.command("dashboard")(dashboard_command)
app.command("score")(score_command)
app.command("send")(send_command)
app.command("events")(events_command)
app.command("backtest")(backtest_command)
app.add_typer(incident.app)
app.add_typer(topics.app)
app.add_typer(offsets.app)
app.add_typer(package.app, name="package")
app.add_typer(model.app, name="model")


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - the signature of an option callback
    if wanted:
        typer.echo(stream_infer.__version__)
        raise typer.Exit


@app.callback()
def _root(
    *,
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Score Avro events from Kafka with a verified model package, exactly once."""


def main() -> None:
    """Run the command line; an error made on purpose is a block on stderr and an exit code, no traceback."""
    try:
        app()
    except StreamInferError as error:
        if "--json" in sys.argv:
            say_json({"error": _as_json(error)})
        _show(error)
        sys.exit(error.exit_code)


def _as_json(error: StreamInferError) -> dict[str, object]:
    described: dict[str, object] = {"kind": type(error).__name__, "message": str(error)}
    if isinstance(error, Refused):
        described["code"] = error.code
    if isinstance(error, Misconfigured):
        described["problems"] = [
            {"key": p.key, "value": p.value, "message": p.message, "fix": p.fix} for p in error.problems
        ]
    return described


def _show(error: StreamInferError) -> None:
    from rich.console import Console  # noqa: PLC0415 - only when something went wrong
    from rich.text import Text  # noqa: PLC0415 - as above

    # Text, not markup: a path or a value with brackets in it is printed as it is.
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    for line, style in _lines(error):
        console.print(Text(printable(line), style=style))


def _lines(error: StreamInferError) -> list[tuple[str, str]]:
    if isinstance(error, Misconfigured):
        count = len(error.problems)
        lines = [(f"error: {count} problem{'s' * (count != 1)} to fix first", "bold red")]
        for p in error.problems:
            lines += [(f"  {p.key} = {p.value}" if p.value else f"  {p.key}", "bold")]
            lines += [(f"    {p.message}", ""), (f"    fix: {p.fix}", "green")]
        return lines
    if isinstance(error, Refused):
        return [(f"refused: {error.code}", "bold red"), (f"  {error.reason}", "")]
    return [(f"error: {type(error).__name__}", "bold red"), (f"  {error}", "")]


if __name__ == "__main__":
    main()
