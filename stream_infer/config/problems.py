"""From what is wrong with a setting to a `Problem`: key, value as written, a sentence, a fix.

Values of keys that may hold a secret are never shown, nor those of tables.
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

_EXAMPLES: Mapping[str, str] = {
    "pipeline": 'pipeline = "payments.fraud"',
    "input.topics": 'topics = ["payments.transactions.events.v1"]',
    "input.schema": 'schema = "schemas/transaction.avsc"',
    "input.event_time": 'event_time = "ts"',
    "output.topic": 'topic = "payments.fraud.predictions.v1"',
    "output.copy": 'copy = ["transaction_id"]',
    "dlq.topic": 'topic = "dlq.payments.transactions.events.v1"',
    "monitoring.topic": 'topic = "payments.fraud.monitoring.v1"',
    "labels.topic": 'topic = "payments.transactions.labels.v1"',
    "labels.max_pending": "max_pending = 100000",
    "labels.window": "window = 200",
    "model.package": 'package = "models/fraud-1.2.0"',
    "worker.slot": 'slot = "0"',
    "worker.max_batch_records": "max_batch_records = 50000",
    "worker.max_batch_bytes": "max_batch_bytes = 67108864",
    "worker.commit_interval_ms": "commit_interval_ms = 20",
    "worker.latency_goal_ms": "latency_goal_ms = 100",
    "http.host": 'host = "127.0.0.1"',
    "http.port": "port = 8900",
}


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most like `name`, or None when none is."""
    return next(iter(difflib.get_close_matches(name, list(known), n=1, cutoff=0.7)), None)


def describe_error(key: str, value: object) -> str:
    """Return `value` as it would stand in TOML; masked where the key may hold a secret."""
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


def from_validation(error: ValidationError, known: Mapping[str, Iterable[str]]) -> list[Problem]:
    """Return one problem for each key that `error` speaks of.

    `known` maps each section to its keys, "" to the sections.
    """
    problems: dict[str, Problem] = {}
    for details in error.errors(include_url=False):
        problem = _problem(details, known)
        problems.setdefault(problem.key, problem)
    return list(problems.values())


def place_of(details: ErrorDetails) -> tuple[str, ...]:
    """Return where a validation error is: section, and key where there is one; no indexes into a list."""
    return tuple(part for part in details["loc"][:2] if isinstance(part, str))


def key_of(place: tuple[str, ...]) -> str:
    """Return the dotted key of a place; a name that would not be seen is quoted."""
    return ".".join(part if part.strip() else json.dumps(part) for part in place)


def _problem(details: ErrorDetails, known: Mapping[str, Iterable[str]]) -> Problem:
    place = place_of(details)
    key = key_of(place)
    value = "" if details["type"] == "missing" else describe_error(key, details["input"])
    message, fix = _sentence(place, details, known)
    return Problem(key, value, message, fix)


def _sentence(
    place: tuple[str, ...], details: ErrorDetails, known: Mapping[str, Iterable[str]]
) -> tuple[str, str]:
    context = details.get("ctx", {})
    key = key_of(place)
    example = _EXAMPLES.get(key)
    hint = f"for example {example}" if example else "see the README's table of settings"
    match details["type"]:
        case "wrong":
            return str(context["message"]), str(context["fix"])
        case "missing":
            return "is required", f"add it{f' to [{place[0]}]' if place[1:] else ''}, {hint}"
        case "extra_forbidden":
            return _unknown(place, known)
        case "enum" | "literal_error":
            return "is not one of the choices", f"use {context['expected']}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "must be a table", f"write [{key}] and its keys below it"
        case "tuple_type":
            return "must be a list", hint
        case "too_short":
            return "must name at least one", hint
    return f"should {details['msg'].partition(' should ')[2] or details['msg']}", hint


def _unknown(place: tuple[str, ...], known: Mapping[str, Iterable[str]]) -> tuple[str, str]:
    section, name = ("", *place)[-2:]
    where = f"[{section}]" if section else "the top level"
    siblings = sorted(known[section])
    match = nearest(name, siblings)
    if match:
        return f"is no setting of {where}", f"did you mean {match}?"
    elsewhere = {k: f"{s}.{k}" for s, keys in known.items() if s for k in keys}
    other = elsewhere.get(name) or elsewhere.get(nearest(name, elsewhere) or "")
    if other:
        return f"is no setting of {where}", f"did you mean {other}?"
    return f"is no setting of {where}", f"remove it; there are {', '.join(siblings)}"
