"""Refusals of options: their form, the names in them, policies, answers, limits."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from sklearn.ensemble import RandomForestRegressor

from stream_infer.flow.codes import RefusalCode
from stream_infer.packaging import convert
from stream_infer.packaging.create import create_package
from stream_infer.packaging.in_memory import package
from stream_infer.packaging.publish import _FIXES
from stream_infer.rollout.rehearsal_task import ChildExit, Refusal, RehearsalReport, format_report
from tests.support.rehearsals import unrehearsed
from tests.unit.packaging.refusals.bench import (
    DONE,
    NUMBERS,
    SUM,
    Bench,
    Steps,
    case,
    cases,
    classifier,
    event,
    linear,
)

Patch = pytest.MonkeyPatch
FEW = NUMBERS.head(12)
OWN = FEW.assign(own=linear().predict(FEW), text="many")


@cases(
    ({"columns": ("a",)}, "write --map 'COLUMN=FIELD'", {"columns": ("a=a",)}),
    ({"columns": ("a=a", "a=b")}, "leave one of the two", {"columns": ("a=a",)}),
    ({"columns": ("x=a",)}, "use one of: a, b", {"columns": ("b=b",)}),
    ({"dtypes": ("x=float64",)}, "use one of: a, b", {"dtypes": ("b=float64",)}),
    ({"missing": ("a=perhaps",)}, "write --missing 'FEATURE=reject|pass", {"missing": ("a=reject",)}),
    ({"missing": ("a=reject", "a=impute:1")}, "leave one of the two", {"missing": ("a=impute:1",)}),
    ({"missing": ("x=reject",)}, "use one of: a, b", {"missing": ("a=reject",)}),
    ({"missing": ("a=impute:many",)}, "impute a double", {"missing": ("a=impute:1.5",)}),
    ({"missing": ("a=impute:1",), "nan": ("a=impute:2",)}, "use one value", {"missing": ("a=impute:1",)}),
    ({"unseen": ("a=perhaps",)}, "write --unseen '[FEATURE=]reject|null'", {}),
    ({"unseen": ("reject", "null")}, "leave one of the two", {"unseen": ("reject",)}),
    ({"unseen": ("x=reject",)}, "use one of: a, b", {"unseen": ("reject",)}),
    ({"unseen": ("a=reject",)}, "leave 'a' out", {"unseen": ("reject",)}),
    ({"threshold": 0.5, "class_scores": True}, "leave --threshold out; leave --class-scores out", {}),
    ({"runtime": "tensorrt"}, "use one of: sklearn, auto, onnx", {"runtime": "auto"}),
    ({"runtime": "onnx"}, "use --runtime auto", {"runtime": "auto"}),
    ({"schema": event(a=[])}, "give the Avro schema (JSON) of one event, a record", {}),
    ({"schema": "string"}, "give the Avro schema (JSON) of one event, a record", {}),
)  # fmt: skip
def an_option(bench: Bench, _: Patch, wrong: dict[str, Any], fix: str, right: dict[str, Any]) -> Steps:
    wrong = {name: bench.schema(value) if name == "schema" else value for name, value in wrong.items()}
    yield fix, lambda: bench.make(**wrong)
    yield DONE, lambda: bench.make(**right)


@cases(("name", "a b", "a-b"), ("version", "../1", "1"))
def a_name(bench: Bench, _: Patch, option: str, wrong: str, right: str) -> Steps:
    options = bench.options(linear(), FEW, schema=event())
    fix = "use letters, digits, dots, dashes and underscores"
    yield fix, lambda: create_package(replace(options, **{option: wrong}), unrehearsed)
    yield DONE, lambda: create_package(replace(options, **{option: right}), unrehearsed)


@case
def a_package_that_exists(bench: Bench, _: Patch) -> Steps:
    bench.make()
    yield "give another name, or remove it", bench.make
    yield DONE, lambda: bench.make(output=bench.folder / "other")


@case
def an_argument_that_is_none(bench: Bench, patch: Patch) -> Steps:
    patch.setattr("stream_infer.packaging.in_memory.create_package", partial(create_package, run=unrehearsed))
    call = partial(
        package, linear(), FEW, name="m", version="1", schema=event(), output=str(bench.folder / "made")
    )
    yield "use one of: reference", lambda: call(referense=NUMBERS)
    yield DONE, lambda: call(reference=NUMBERS)


@case
def conversion_without_its_libraries(bench: Bench, patch: Patch) -> Steps:
    forest = RandomForestRegressor(3, random_state=0).fit(NUMBERS, SUM)
    installed = convert.LIBRARIES
    patch.setattr(convert, "LIBRARIES", ("absent-library",))
    yield "pip install 'stream-infer-worker[onnx]'", lambda: bench.make(forest, runtime="auto")
    patch.setattr(convert, "LIBRARIES", installed)
    yield DONE, lambda: bench.make(forest, runtime="auto")


@cases(
    ("value=", "write --answers 'label=COLUMN,score=COLUMN,value=COLUMN'"),
    ("value=owns", "name a column of the sample: a, b, own"),
    ("score=own", "give its value"),
    ("value=text", "name the column that has the numbers"),
)
def answers_in_columns(bench: Bench, _: Patch, wrong: str, fix: str) -> Steps:
    yield fix, lambda: bench.make(golden=OWN, answers=wrong)
    yield DONE, lambda: bench.make(golden=OWN, answers="value=own")


@cases(
    ({"worth": OWN["own"]}, "give its value"),
    ({"value": OWN["own"].iloc[::-1]}, "give value.loc[frame.index], or an array"),
    ({"value": OWN["own"].head(3).to_numpy()}, "give one answer for each row"),
    ({"value": OWN["own"].mask(OWN["own"] == OWN["own"][0])}, "give the answer of the model for each row"),
)
def answers_in_memory(bench: Bench, _: Patch, wrong: dict[str, Any], fix: str) -> Steps:
    yield fix, lambda: bench.make_in_memory(answers=wrong)
    yield DONE, lambda: bench.make_in_memory(answers={"value": OWN["own"]})


@case
def answers_that_differ(bench: Bench, _: Patch) -> Steps:
    array = linear().__class__().fit(NUMBERS.to_numpy(), SUM)
    golden = OWN[["b", "a", "own"]]
    fix = "name the order with --features"
    yield fix, lambda: bench.make(array, golden, answers="value=own")
    yield DONE, lambda: bench.make(array, golden, answers="value=own", features=("a", "b"))


@case
def a_threshold_that_is_no_number(bench: Bench, _: Patch) -> Steps:
    yield "leave --threshold out", lambda: bench.make(classifier(), threshold=float("nan"))
    yield DONE, lambda: bench.make(classifier())


@cases(*((code,) for code in _FIXES))
def a_rehearsal(bench: Bench, _: Patch, code: RefusalCode) -> Steps:
    """The model is mended, or the limit raised: then the rehearsal has no complaint."""
    report = format_report(RehearsalReport(refused=Refusal(code, "it was seen in the rehearsal")))
    options = bench.options(linear(), FEW, schema=event())
    yield _FIXES[code], lambda: create_package(options, lambda *_: ChildExit(report, 0))
    yield DONE, lambda: create_package(options, unrehearsed)
