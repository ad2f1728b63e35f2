"""A validation error as a `Problem`: key, value as written, what is wrong, fix.

The values of keys that may hold a secret are not shown, nor those of tables.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from datetime import date

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from stream_infer.flow.errors import Problem
from stream_infer.kafka.client import MASK, is_secret

HIDDEN = "(not shown)"
_LONGEST_VALUE = 120


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, or None when none is like it."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)), None)


def describe_error(key: str, value: object) -> str:
    """Return `value` as TOML writes it; masked where the key may hold a secret."""
    if value is None:
        return HIDDEN if is_secret(key) else ""
    if is_secret(key):
        return MASK
    if isinstance(value, Mapping):
        return "(a table)"
    if isinstance(value, (list, tuple)) and any(isinstance(item, Mapping) for item in value):
        return "(a list of tables)"
    text = str(value) if isinstance(value, date) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."


def from_validation(
    error: ValidationError, known: Mapping[str, Iterable[str]], examples: Mapping[str, str]
) -> list[Problem]:
    """Return one problem for each wrong key of `error`.

    `known` maps each section to its keys, "" to those of the top level; `examples` maps each key to a line
    of TOML.
    """
    problems: dict[str, Problem] = {}
    for details in error.errors(include_url=False):
        problem = _problem(details, known, examples)
        problems.setdefault(problem.key, problem)
    return list(problems.values())


def place_of(details: ErrorDetails) -> tuple[str, ...]:
    """Return the section of a validation error, and the key where there is one; no indexes into a list."""
    return tuple(part for part in details["loc"][:2] if isinstance(part, str))


def key_of(place: tuple[str, ...]) -> str:
    """Return the dotted key of a place; a blank name is quoted."""
    return ".".join(part if part.strip() else json.dumps(part) for part in place)


def _problem(
    details: ErrorDetails, known: Mapping[str, Iterable[str]], examples: Mapping[str, str]
) -> Problem:
    place = place_of(details)
    key = key_of(place)
    if details["type"] == "extra_forbidden":
        return Problem(key, describe_error(key, details["input"]), *_unknown(place, known))
    if details["type"] == "missing":
        where = f" to [{place[0]}]" if place[1:] else ""
        return Problem(key, "", "is required", f"add it{where}, for example {examples[key]}")
    message, fix = _message(key, details, examples)
    return Problem(key, describe_error(key, details["input"]), message, fix)


def _message(key: str, details: ErrorDetails, examples: Mapping[str, str]) -> tuple[str, str]:
    context = details.get("ctx", {})
    match details["type"]:
        case "wrong":
            return str(context["message"]), str(context["fix"])
        case "enum" | "literal_error":
            return "is not one of the choices", f"use {context['expected']}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "must be a table", f"write [{key}] and its keys below it"
        case "tuple_type":
            return "must be a list", f"for example {examples[key]}"
        case "too_short":
            return "must have at least one item", f"for example {examples[key]}"
    rule = details["msg"].partition(" should ")[2]
    return f"must {rule}" if rule else details["msg"], f"for example {examples[key]}"


def _unknown(place: tuple[str, ...], known: Mapping[str, Iterable[str]]) -> tuple[str, str]:
    section, name = ("", *place)[-2:]
    where = f"[{section}]" if section else "the top level"
    siblings = sorted(known[section])
    match = nearest(name, siblings)
    if match:
        return f"is not a setting of {where}", f"did you mean {match}?"
    elsewhere = {k: f"{s}.{k}" for s, keys in known.items() if s for k in keys}
    other = elsewhere.get(name) or elsewhere.get(nearest(name, elsewhere) or "")
    if other:
        return f"is not a setting of {where}", f"did you mean {other}?"
    return f"is not a setting of {where}", f"remove it; settings there: {', '.join(siblings)}"
