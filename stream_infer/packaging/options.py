"""The options of `package create` and their syntax: `COLUMN=field` pairs, `FEATURE=policy` policies."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

import pandas as pd
from numpy.typing import ArrayLike, NDArray

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.models.manifest import Policy, Unseen
from stream_infer.packaging.csv_layout import CsvOptions

T = TypeVar("T")
RUNTIMES = ("sklearn", "auto", "onnx")
"""As it is; converted to ONNX where that is proved equal, else as it is; converted, or no package."""
_CHOICES = "FEATURE=reject|pass|impute:VALUE"
_UNSEEN_CHOICES = "[FEATURE=]reject|null"
_UNSEEN_CHOICE = re.compile(r"(?:(?P<name>.+?)\s*=\s*)?(?P<policy>reject|null)")
_CHOICE = re.compile(r"(?P<name>.+?)\s*=\s*(?:(?P<policy>reject|pass)|impute:(?P<value>.+))")


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateOptions:
    """The options of `package create`, as they were written on the command line.

    Model, schema, samples and answers are files, or what they would hold: a fitted estimator, the schema as a
    mapping, frames, and output -> answers. `columns`, `dtypes`, `missing`, `nan`, `infinite` and `unseen` are
    `NAME=VALUE` strings, and one of `unseen` may be a policy alone; `features` names the model's columns of
    an estimator without column names;
    `values` names the numbers of a model that gives several, `primary` the one that is `value` too;
    tolerances of None are found; the limits of the rehearsal are the settings `[model]` of a worker;
    `runtime` is one of `RUNTIMES`; `trusted` are types of a skops file; `notes` are for the report; `hashes`
    asks the package index for those of the wheels.
    """

    model: Any
    name: str
    version: str
    schema: Path | Mapping[str, Any]
    golden: Path | pd.DataFrame | NDArray[Any] | None
    output: Path
    reference: Path | pd.DataFrame | NDArray[Any] | None = None
    target: str | None = None
    answers: str | Mapping[str, ArrayLike] | None = None
    columns: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    threshold: float | None = None
    code: Path | None = None
    class_scores: bool = False
    values: tuple[str, ...] = ()
    primary: str | None = None
    missing: tuple[str, ...] = ()
    nan: tuple[str, ...] = ()
    infinite: tuple[str, ...] = ()
    unseen: tuple[str, ...] = ()
    absolute_tolerance: float | None = None
    relative_tolerance: float | None = None
    rehearsal_timeout_ms: int = 60_000
    rehearsal_memory_bytes: int = 2 * 2**30
    rehearsal_batch_ms: int = 1_000
    runtime: str = "sklearn"
    trusted: tuple[str, ...] = ()
    hashes: bool = False
    notes: tuple[str, ...] = ()
    csv: CsvOptions = field(default_factory=CsvOptions)


@dataclass(frozen=True, slots=True)
class UnseenOptions:
    """The policies for values that the model does not know: of some features, and of all others."""

    named: Mapping[str, Unseen] = field(default_factory=dict)
    others: Unseen | None = None


@dataclass(frozen=True, slots=True)
class PolicyOption:
    """The policy for one kind of unusable value of a feature; `value` only for `Policy.IMPUTE`."""

    policy: Policy
    value: str | None = None


def parse_pairs(option: str, texts: Iterable[str], shape: str) -> dict[str, str]:
    """Read `NAME=VALUE` texts; raise `Misconfigured` with each text of another form or repeated name."""
    found: dict[str, str] = {}
    problems = []
    for text in texts:
        # Split at the last "=": a CSV column may have one in its name, a field path may not.
        name, equals, value = (part.strip() for part in text.rpartition("="))
        if not (name and equals and value):
            problems.append(Problem(option, text, f"is not {shape}", f"write {option} '{shape}'"))
        elif name in found:
            problems.append(Problem(option, text, f"names '{name}' a second time", "leave one of the two"))
        else:
            found[name] = value
    if problems:
        raise Misconfigured(problems)
    return found


def parse_policies(option: str, texts: Iterable[str]) -> dict[str, PolicyOption]:
    """Read `FEATURE=reject`, `FEATURE=pass` and `FEATURE=impute:VALUE`."""
    chosen: dict[str, PolicyOption] = {}
    problems = []
    for text in texts:
        read = _CHOICE.fullmatch(text.strip())
        if read is None:
            problems.append(Problem(option, text, f"is not {_CHOICES}", f"write {option} '{_CHOICES}'"))
        elif read["name"] in chosen:
            problems.append(
                Problem(option, text, f"names '{read['name']}' a second time", "leave one of the two")
            )
        else:
            chosen[read["name"]] = PolicyOption(Policy(read["policy"] or Policy.IMPUTE), read["value"])
    if problems:
        raise Misconfigured(problems)
    return chosen


def parse_unseen(texts: Iterable[str]) -> UnseenOptions:
    """Read `FEATURE=reject`, `FEATURE=null`, and `reject` or `null` for all other features."""
    chosen: dict[str | None, Unseen] = {}
    problems = []
    for text in texts:
        read = _UNSEEN_CHOICE.fullmatch(text.strip())
        if read is None:
            fix = f"write --unseen '{_UNSEEN_CHOICES}'"
            problems.append(Problem("--unseen", text, f"is not {_UNSEEN_CHOICES}", fix))
        elif read["name"] in chosen:
            problems.append(Problem("--unseen", text, "says it a second time", "leave one of the two"))
        else:
            chosen[read["name"]] = cast(Unseen, read["policy"])
    if problems:
        raise Misconfigured(problems)
    others = chosen.pop(None, None)
    return UnseenOptions({str(name): policy for name, policy in chosen.items()}, others)


def attempt(problems: list[Problem], read: Callable[[], T]) -> T | None:
    """Return the result of `read`; add the problems of `Misconfigured` to `problems` and return None."""
    try:
        return read()
    except Misconfigured as error:
        problems.extend(error.problems)
        return None


def unknown_names(option: str, named: Mapping[str, object], known: Iterable[str], what: str) -> list[Problem]:
    """Return a problem for each name of an option that is not one of `known`."""
    names = list(known)
    return [
        Problem(option, name, f"there is no {what} '{name}'", f"use one of: {listed(names)}")
        for name in named
        if name not in names
    ]


def listed(names: Iterable[str], limit: int = 12) -> str:
    """Return names for a message: all of them, or the first few."""
    every = list(names)
    shown = ", ".join(every[:limit])
    return f"{shown}, ... ({len(every)} in all)" if len(every) > limit else shown
