"""Reads everything that the options of `package create` name, and reports all problems at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from numpy.typing import NDArray

from stream_infer.avro.schemas import Schema, SchemaRefused, leaves, parse_schema
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.code import Code
from stream_infer.models.formats import ModelFormat
from stream_infer.models.load import force_one_job
from stream_infer.packaging import frames
from stream_infer.packaging.contract import PolicyOptions
from stream_infer.packaging.convert import require_libraries
from stream_infer.packaging.csv_layout import DEFAULT_LAYOUT, layout_of
from stream_infer.packaging.model_bytes import recognise
from stream_infer.packaging.options import (
    RUNTIMES,
    CreateOptions,
    attempt,
    listed,
    parse_pairs,
    parse_policies,
    parse_unseen,
)
from stream_infer.packaging.own_answers import answers_beside, parse_answers, split_answers
from stream_infer.packaging.promised import target_column
from stream_infer.packaging.trial_reading import require_readable
from stream_infer.packaging.user_model import Files, importer_of, open_model, pickled, read_bytes, read_code


@dataclass(frozen=True, slots=True)
class UserModel:
    """The bytes of the model file and their format, its estimator, and the modules that it needs.

    `importer` has imported those of `code`: objects of the estimator are of its classes, and of no others'.
    `trained` is the estimator of the session that trained it, where the model is not given as a file.
    """

    data: bytes
    form: ModelFormat
    estimator: Any
    code: Files
    importer: Code
    trained: Any = None


@dataclass(frozen=True, slots=True)
class InputSchema:
    """The bytes of the schema file, and the schema."""

    data: bytes
    schema: Schema


@dataclass(frozen=True, slots=True)
class Samples:
    """The golden frame, the reference frame if any, and column -> field of --map.

    `answers` are the maker's own to the golden rows, a column for each output, if they were given; `truth` is
    what is true of the reference rows.
    """

    golden: pd.DataFrame
    reference: pd.DataFrame | None
    renamed: Mapping[str, str]
    answers: pd.DataFrame | None = None
    truth: pd.Series | None = None

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
    dtypes: Mapping[str, str]


def read_inputs(options: CreateOptions) -> PackageInputs:
    """Read all that `options` name; raise `Misconfigured` with every problem of every part."""
    problems: list[Problem] = []
    if options.output.exists():
        what = "exists already, and a package never changes"
        problems.append(Problem("--output", str(options.output), what, "give another name, or remove it"))
    later: list[Problem] = []
    schema = attempt(later, partial(_schema, options.schema))
    texts = frozenset() if schema is None else _text_fields(schema.schema)
    samples = attempt(later, partial(_samples, options, texts))
    rows = pd.DataFrame() if samples is None else samples.golden
    model = attempt(problems, partial(_model, options, rows))
    problems += later
    policies = attempt(problems, partial(_policies, options))
    dtypes = attempt(problems, partial(parse_pairs, "--dtype", options.dtypes, "COLUMN=DTYPE"))
    attempt(problems, partial(_check_runtime, options.runtime))
    if problems or model is None or schema is None or samples is None or policies is None:
        raise Misconfigured(problems)
    return PackageInputs(model, schema, samples, policies, dtypes or {})


def _check_runtime(runtime: str) -> None:
    if runtime not in RUNTIMES:
        raise Misconfigured(
            [Problem("--runtime", runtime, "unknown runtime", f"use one of: {listed(RUNTIMES)}")]
        )
    if runtime != "sklearn":
        require_libraries(runtime)


def _model(options: CreateOptions, rows: pd.DataFrame) -> UserModel:
    problems: list[Problem] = []
    in_file = isinstance(options.model, Path)
    read = partial(read_bytes, "MODEL") if in_file else pickled
    data = attempt(problems, partial(read, options.model))
    code: Files | None = {}
    if options.code is not None:
        code = attempt(problems, partial(read_code, options.code))
    if data is None or code is None:
        raise Misconfigured(problems)
    name = str(options.model) if in_file else type(options.model).__name__
    form = recognise(name, data)
    require_readable(name, form, data, rows)
    importer = importer_of(code)
    estimator = open_model(name, data, importer, form, options.trusted)
    # One job, as in a worker: several jobs sum trees in the order in which they finish.
    force_one_job(estimator)
    return UserModel(data, form, estimator, code, importer, None if in_file else options.model)


def _schema(given: Path | Mapping[str, Any]) -> InputSchema:
    in_file = isinstance(given, Path)
    data = read_bytes("--schema", given) if isinstance(given, Path) else json.dumps(given, indent=1).encode()
    try:
        return InputSchema(data, parse_schema(data.decode()))
    except (SchemaRefused, UnicodeDecodeError) as error:
        fix = "give the Avro schema (JSON) of one event, a record"
        raise Misconfigured([Problem("--schema", str(given) if in_file else "", str(error), fix)]) from error


def _text_fields(schema: Schema) -> frozenset[str]:
    return frozenset(path for path, leaf in leaves(schema).items() if leaf.kind in {"string", "enum"})


def _samples(options: CreateOptions, texts: Collection[str]) -> Samples:
    problems: list[Problem] = []
    renamed = attempt(problems, partial(parse_pairs, "--map", options.columns, "COLUMN=FIELD"))
    layout = attempt(problems, partial(layout_of, options.csv)) or DEFAULT_LAYOUT
    read_file = partial(frames.read_frame, renamed=renamed or {}, texts=texts, layout=layout)
    read = partial(_frame, options.features, read_file)
    golden = attempt(problems, partial(read, "--golden", options.golden))
    reference = None
    if options.reference is not None:
        reference = attempt(problems, partial(read, "--reference", options.reference))
    answered = None if golden is None else attempt(problems, partial(_answers, golden, options))
    truth = None if problems else attempt(problems, partial(target_column, options.target, reference))
    if problems or answered is None:
        raise Misconfigured(problems)
    golden, answers = answered
    frames.require_few_rows(golden)
    return Samples(golden.reset_index(drop=True), reference, renamed or {}, answers, truth)


def _frame(
    features: Sequence[str],
    read_file: Callable[[str, Path], pd.DataFrame],
    option: str,
    given: Path | pd.DataFrame | NDArray[Any],
) -> pd.DataFrame:
    """Return the rows of a file, or a frame or array as it is in memory, with its index."""
    if isinstance(given, Path):
        return read_file(option, given)
    return frames.frame_in_memory(option, given, features)


def _answers(golden: pd.DataFrame, options: CreateOptions) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return the golden frame without columns of answers, and the answers by row number."""
    given = options.answers
    if given is None:
        return golden, None
    if isinstance(given, str):
        rest, answers = split_answers(golden, parse_answers(given, options.values))
    else:
        rest, answers = golden, answers_beside(golden, given)
    return rest, answers.reset_index(drop=True)


def _policies(options: CreateOptions) -> PolicyOptions:
    problems: list[Problem] = []
    given = {"missing": options.missing, "nan": options.nan, "infinite": options.infinite}
    policies = {
        name: attempt(problems, partial(parse_policies, f"--{name}", texts)) or {}
        for name, texts in given.items()
    }
    unseen = attempt(problems, partial(parse_unseen, options.unseen))
    if problems or unseen is None:
        raise Misconfigured(problems)
    return PolicyOptions(**policies, unseen=unseen)
