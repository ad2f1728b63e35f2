"""Reads everything that the options of `package create` name, and reports all problems at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from stream_infer.avro.schemas import Schema, SchemaRefused, parse_schema
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.load import force_one_job
from stream_infer.packaging import frames
from stream_infer.packaging.contract import PolicyOptions
from stream_infer.packaging.convert import require_libraries
from stream_infer.packaging.options import (
    RUNTIMES,
    CreateOptions,
    attempt,
    listed,
    parse_pairs,
    parse_policies,
)
from stream_infer.packaging.user_model import Files, read_bytes, read_code, unpickle


@dataclass(frozen=True, slots=True)
class UserModel:
    """The bytes of the model file, its estimator, and the modules that it needs."""

    data: bytes
    estimator: Any
    code: Files


@dataclass(frozen=True, slots=True)
class InputSchema:
    """The bytes of the schema file, and the schema."""

    data: bytes
    schema: Schema


@dataclass(frozen=True, slots=True)
class Samples:
    """The golden frame, the reference frame if any, and column -> field of --map."""

    golden: pd.DataFrame
    reference: pd.DataFrame | None
    renamed: Mapping[str, str]

    def frames(self) -> tuple[pd.DataFrame, ...]:
        """Return golden and, where given, reference."""
        return (self.golden,) if self.reference is None else (self.golden, self.reference)


@dataclass(frozen=True, slots=True)
class PackageInputs:
    """The inputs of a package."""

    model: UserModel
    input: InputSchema
    samples: Samples
    policies: PolicyOptions


def read_inputs(options: CreateOptions) -> PackageInputs:
    """Read all that `options` name; raise `Misconfigured` with every problem of every part."""
    problems: list[Problem] = []
    if options.output.exists():
        what = "exists already, and a package never changes"
        problems.append(Problem("--output", str(options.output), what, "give another name, or remove it"))
    model = attempt(problems, partial(_model, options))
    schema = attempt(problems, partial(_schema, options.schema))
    samples = attempt(problems, partial(_samples, options))
    policies = attempt(problems, partial(_policies, options))
    attempt(problems, partial(_check_runtime, options.runtime))
    if problems or model is None or schema is None or samples is None or policies is None:
        raise Misconfigured(problems)
    return PackageInputs(model, schema, samples, policies)


def _check_runtime(runtime: str) -> None:
    if runtime not in RUNTIMES:
        raise Misconfigured(
            [Problem("--runtime", runtime, "unknown runtime", f"use one of: {listed(RUNTIMES)}")]
        )
    if runtime != "sklearn":
        require_libraries(runtime)


def _model(options: CreateOptions) -> UserModel:
    problems: list[Problem] = []
    data = attempt(problems, partial(read_bytes, "MODEL", options.model))
    code: Files | None = {}
    if options.code is not None:
        code = attempt(problems, partial(read_code, options.code))
    if data is None or code is None:
        raise Misconfigured(problems)
    estimator = unpickle(options.model, data, code)
    # One job, as in a worker: several jobs sum trees in the order in which they finish.
    force_one_job(estimator)
    return UserModel(data, estimator, code)


def _schema(path: Path) -> InputSchema:
    data = read_bytes("--schema", path)
    try:
        return InputSchema(data, parse_schema(data.decode()))
    except (SchemaRefused, UnicodeDecodeError) as error:
        fix = "give the Avro schema (JSON) of one event, a record"
        raise Misconfigured([Problem("--schema", str(path), str(error), fix)]) from error


def _samples(options: CreateOptions) -> Samples:
    problems: list[Problem] = []
    renamed = attempt(problems, partial(parse_pairs, "--map", options.columns, "COLUMN=FIELD"))
    golden = attempt(problems, partial(frames.read_golden_frame, options.golden, renamed or {}))
    reference = None
    if options.reference is not None:
        reference = attempt(
            problems, partial(frames.read_frame, "--reference", options.reference, renamed or {})
        )
    if problems or golden is None:
        raise Misconfigured(problems)
    return Samples(golden, reference, renamed or {})


def _policies(options: CreateOptions) -> PolicyOptions:
    problems: list[Problem] = []
    given = {"missing": options.missing, "nan": options.nan, "infinite": options.infinite}
    policies = {
        name: attempt(problems, partial(parse_policies, f"--{name}", texts)) or {}
        for name, texts in given.items()
    }
    if problems:
        raise Misconfigured(problems)
    return PolicyOptions(**policies)
