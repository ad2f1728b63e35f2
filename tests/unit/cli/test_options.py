from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner

from stream_infer.cli.options import takes_options


@dataclass(frozen=True, slots=True, kw_only=True)
class GreetOptions:
    name: Annotated[str, typer.Argument(help="Whom to greet.")]
    times: Annotated[int, typer.Option(min=1, help="How often.")] = 1


@takes_options
def greet(options: GreetOptions) -> None:
    """Greet somebody.

    This paragraph is as long in the source as a line may be, and therefore
    continues on another one.
    """
    typer.echo(f"{options}")


def invoke(*arguments: str) -> tuple[int, str]:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(greet)
    result = CliRunner().invoke(app, arguments)
    return result.exit_code, result.output


def test_each_field_is_a_parameter_and_its_default_a_default() -> None:
    assert invoke("ada", "--times", "2") == (0, "GreetOptions(name='ada', times=2)\n")
    assert invoke("ada") == (0, "GreetOptions(name='ada', times=1)\n")


def test_a_field_without_default_is_required() -> None:
    exit_code, output = invoke()

    assert exit_code == 2
    assert "Missing argument" in output


def test_a_paragraph_of_the_help_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")

    _, output = invoke("--help")

    assert "as a line may be, and therefore continues on another one." in output
    assert "How often." in output
