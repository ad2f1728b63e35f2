"""Makes a package in the session that trained its model: frame, answers and types as they are in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.packaging.create import create_package
from stream_infer.packaging.create_report import CreateReport
from stream_infer.packaging.options import CreateOptions, listed

_FILES = ("schema", "output", "reference", "code")


def package(
    model: Any,  # noqa: ANN401 - any estimator
    golden: pd.DataFrame | NDArray[Any],
    *,
    name: str,
    version: str,
    schema: str | Path | Mapping[str, Any],
    output: str | Path,
    **options: Any,  # noqa: ANN401 - the other fields of CreateOptions
) -> CreateReport:
    """Make a package of a fitted `model` as `stream-infer package create` does, and prove its answers.

    `golden` are rows as `model.predict` takes them: a frame, or an array with `features=[...]`. The package
    must answer them as `model` does here, and as `answers` says where given, such as `{"score": array}`.
    `schema` is a file or a mapping. Each other option of the command is an argument of the same name:
    `reference` (a frame), `columns` (of --map) and the policies `missing`, `nan`, `infinite`, `unseen` as
    mappings, ...
    Raises `Misconfigured` and `Refused`.
    """
    known = {field.name for field in fields(CreateOptions)}
    unknown = [option for option in options if option not in known]
    if unknown:
        raise Misconfigured([_unknown(option, known) for option in unknown])
    given = {"schema": schema, "output": output, **options}
    written = {option: _as_option(option, value) for option, value in given.items()}
    return create_package(
        CreateOptions(
            model=model,
            golden=golden,
            name=name,
            version=version,
            **written,
        )
    )


def _as_option(option: str, value: Any) -> Any:  # noqa: ANN401 - the value of any option
    """Return `value` as the command line has it: a path, or texts in a tuple."""
    if option in _FILES and isinstance(value, str):
        return Path(value)
    if option in _FILES or option == "answers":
        return value
    if option == "unseen" and isinstance(value, str):
        return (value,)
    if isinstance(value, Mapping):
        return tuple(f"{name}={text}" for name, text in value.items())
    return tuple(value) if isinstance(value, list | pd.Index) else value


def _unknown(option: str, known: set[str]) -> Problem:
    near = get_close_matches(option, known) or sorted(known)
    return Problem(option, "", "is no option of a package", f"use one of: {listed(near)}")
