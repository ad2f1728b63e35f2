"""The door to the terminal: every line that a command prints goes through it."""

from __future__ import annotations

import typer

from stream_infer.common.printable import printable, printable_json


def say(*lines: str, err: bool = False) -> None:
    """Print each of `lines` as one line without control characters, on stderr where `err`."""
    typer.echo("\n".join(printable(line) for line in lines), err=err)


def say_json(document: object) -> None:
    """Print `document` as one line of JSON. Raises `TypeError` for what JSON has no form for."""
    typer.echo(printable_json(document))
