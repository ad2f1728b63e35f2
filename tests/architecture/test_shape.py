"""How large the parts of the package may be, and that no public name stands twice in it."""

from __future__ import annotations

import ast
import statistics
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.tree import ROOT

PACKAGE = ROOT / "stream_infer"
# The aim of the median is 110; a little more than that fails nobody's change.
LINES_MEDIAN, LINES_P90, LINES_A_BODY, LINES_A_CLASS, METHODS_A_CLASS = 115, 300, 40, 200, 12
Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text("utf-8"))


def lines_of(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def body_lines(function: Function) -> int:
    documented = ast.get_docstring(function, clean=False) is not None
    first = function.body[1] if documented and len(function.body) > 1 else function.body[0]
    return (function.end_lineno or 0) - first.lineno + 1


def methods(definition: ast.ClassDef) -> int:
    return sum(isinstance(one, Function) for one in definition.body)


def test_every_public_class_and_function_has_a_name_of_its_own() -> None:
    places: dict[str, list[str]] = defaultdict(list)
    for module, tree in modules():
        for one in tree.body:
            if isinstance(one, ast.ClassDef | Function) and not one.name.startswith("_"):
                places[one.name].append(module)

    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_files_are_short() -> None:
    sizes = sorted(size for path in PACKAGE.rglob("*.py") if (size := lines_of(path)))

    assert statistics.median(sizes) <= LINES_MEDIAN
    assert sizes[len(sizes) * 9 // 10] <= LINES_P90


def test_functions_do_one_thing() -> None:
    long = [
        (module, one.name, body_lines(one))
        for module, tree in modules()
        for one in ast.walk(tree)
        if isinstance(one, Function) and body_lines(one) > LINES_A_BODY
    ]

    assert long == []


def test_classes_do_one_thing() -> None:
    large = [
        (module, one.name, (one.end_lineno or 0) - one.lineno + 1, methods(one))
        for module, tree in modules()
        for one in ast.walk(tree)
        if isinstance(one, ast.ClassDef)
        if methods(one) > METHODS_A_CLASS or (one.end_lineno or 0) - one.lineno >= LINES_A_CLASS
    ]

    assert large == []


def test_there_is_at_least_as_much_test_as_package() -> None:
    source = sum(lines_of(path) for path in PACKAGE.rglob("*.py"))
    tests = sum(lines_of(path) for path in (ROOT / "tests").rglob("*.py"))

    assert tests >= source
