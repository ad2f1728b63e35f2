"""Codes, classes and types that operators meet are members of their enumerations, never loose strings."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypeVar

import pytest

from stream_infer.flow.codes import (
    DeadLetterClass,
    DocumentedEnum,
    EventType,
    ExitCode,
    LogEvent,
    ReadinessReason,
    RefusalCode,
)
from tests.architecture.tree import ROOT

# The places of a code in the arguments of those who take one.
TAKERS = {"Refused": 0, "StoreProblem": 0, "Rejected": 2, "Malformed": 0, "Unusable": 0}
Node = TypeVar("Node", bound=ast.expr)
LOGS = {"debug", "info", "warning", "error", "exception"}


def nodes(kind: type[Node]) -> Iterator[tuple[str, Node]]:
    for path in sorted((ROOT / "stream_infer").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, kind):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def test_nobody_is_given_a_loose_code() -> None:
    taken = [
        (where, call.args[TAKERS[call.func.id]])
        for where, call in nodes(ast.Call)
        if isinstance(call.func, ast.Name) and call.func.id in TAKERS
        if len(call.args) > TAKERS[call.func.id]
    ]

    assert len(taken) > len(RefusalCode)
    assert [where for where, code in taken if is_text(code)] == []


def test_no_log_line_has_a_loose_event() -> None:
    logged = [
        (where, call.args[0])
        for where, call in nodes(ast.Call)
        if isinstance(call.func, ast.Attribute) and call.func.attr in LOGS and call.args
        if "log" in ast.unparse(call.func.value).lower()
    ]

    assert len(logged) > 10
    assert [where for where, event in logged if is_text(event)] == []


def test_no_event_has_a_loose_type() -> None:
    types = [
        (where, value)
        for where, one in nodes(ast.Dict)
        for key, value in zip(one.keys, one.values, strict=True)
        if isinstance(key, ast.Constant) and key.value == "type"
    ]

    assert sum("EventType." in ast.unparse(value) for _, value in types) >= len(EventType)
    assert [where for where, value in types if ast.unparse(value).strip("'") in list(EventType)] == []


@pytest.mark.parametrize(
    "enumeration", [RefusalCode, DeadLetterClass, EventType, LogEvent, ReadinessReason, ExitCode]
)
def test_every_member_is_used_and_says_what_it_means(enumeration: type[DocumentedEnum | ExitCode]) -> None:
    source = "".join(
        path.read_text("utf-8") for path in (ROOT / "stream_infer").rglob("*.py") if path.name != "codes.py"
    )

    assert [m.name for m in enumeration if f"{enumeration.__name__}.{m.name}" not in source] == []
    assert all(member.meaning.endswith(".") and len(member.meaning) > 10 for member in enumeration)
    assert len({member.meaning for member in enumeration}) == len(enumeration)
