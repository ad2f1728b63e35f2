"""Reference pages from the code: `python -m docs.generate` writes them, `--check` fails when one is stale."""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from docs import settings
from docs.markdown import page, table
from stream_infer.flow.codes import (
    DeadLetterClass,
    DocumentedEnum,
    EventType,
    ExitCode,
    LogEvent,
    ReadinessReason,
    RefusalCode,
)
from stream_infer.flow.errors import StreamInferError
from stream_infer.ops.metric_table import TABLE
from stream_infer.ops.progress import LoopState

ROOT = Path(__file__).resolve().parents[1]
RECORDS = ("Prediction", "MonitoringEvent", "Label", "WorkerStatus", "Deployment", "ObservationFrame")


def _members(enumeration: type[DocumentedEnum], heading: str) -> str:
    return table([heading, "meaning"], ([f"`{member}`", member.meaning] for member in enumeration))


def refusal_codes() -> str:
    """Return the page of refusal codes."""
    return page(
        "Refusal codes",
        "A package that is refused changes nothing: the previous model serves on. The code is printed by "
        "`package verify`, `check` and `model promote --wait` (exit code 3), and is `reason_code` in "
        "`model.rejected` events and in worker statuses.",
        _members(RefusalCode, "code"),
    )


def dead_letter_classes() -> str:
    """Return the page of dead-letter classes."""
    return page(
        "Dead-letter classes",
        "A record that cannot be scored goes to the dead-letter topic as it came. The header "
        "`streaminfer.error.class` has the class, `streaminfer.error.stage` the stage (decode, validate, "
        "predict, encode) and `__dlq.errors.message` a sentence. The metric "
        "`stream_infer_records_failed_total` counts them by stage and class.",
        _members(DeadLetterClass, "class"),
    )


def log_events() -> str:
    """Return the page of log events."""
    return page(
        "Log events",
        "Each log line has one of these texts as `event`; its details are fields. Lines of librdkafka come "
        "from the logger `librdkafka` with its own texts.",
        _members(LogEvent, "event"),
    )


def exit_codes() -> str:
    """Return the page of exit codes."""
    return page(
        "Exit codes",
        "Of the worker, the monitor and every command. What to do about each is in the "
        "[runbook](../operations.md#exit-codes).",
        table(["code", "name", "meaning"], ([f"`{int(c)}`", c.title, c.meaning] for c in ExitCode)),
        "## Errors",
        "The classes of `stream_infer.flow.errors`, with the code that each ends the process with.",
        table(["error", "code", "meaning"], _errors(StreamInferError)),
    )


def _errors(error: type[StreamInferError]) -> Iterator[Sequence[str]]:
    if error.__module__ == StreamInferError.__module__:
        doc = (error.__doc__ or "").partition("\n")[0]
        yield [f"`{error.__name__}`", f"`{int(error.exit_code)}`", doc]
        for below in error.__subclasses__():
            yield from _errors(below)


def readiness() -> str:
    """Return the page of readiness reasons."""
    return page(
        "Readiness",
        "`/readyz` answers 503 while a worker is not ready, and 200 when it is. `waiting_for` in the answer "
        "has these reasons; a colon and details may follow. What to do about each is in the "
        "[runbook](../operations.md#readiness).",
        _members(ReadinessReason, "reason"),
        "## Other fields of the answer",
        table(
            ["field", "meaning"],
            [
                ["`ready`", "Whether the worker scores."],
                ["`state`", f"Phase of the worker: {', '.join(f'`{state}`' for state in LoopState)}."],
                ["`model_version`", "Version of the package that serves, or null."],
                ["`joined`", "Whether the consumer group has assigned partitions, even none."],
                ["`assigned_partitions`", "Number of assigned partitions."],
                [
                    "`not_following_since`",
                    "Since when the deployer has not asked for the desired deployment; null while it does.",
                ],
                [
                    "`degraded`",
                    "Reasons why monitoring is incomplete, as sentences. They do not affect `ready`.",
                ],
                [
                    "`foreign_members`",
                    "Consumers in the group that are no worker, as sentences. They do not affect `ready`.",
                ],
                [
                    "`client_error`",
                    "Last failure of a client since a commit or an assignment (`reason`, `ago_s`), or null.",
                ],
            ],
        ),
    )


def events() -> str:
    """Return the page of monitoring events."""
    schema = _schema("MonitoringEvent")
    return page(
        "Monitoring events",
        "Records of the monitoring topic. CloudEvents headers (`ce_id`, `ce_type`, `ce_source`, `ce_time`) "
        "repeat what a filter needs.",
        _members(EventType, "type"),
        "## Fields",
        *_fields(schema),
    )


def metrics() -> str:
    """Return the page of metrics."""
    return page(
        "Metrics",
        "On `/metrics` of every worker and monitor. Every metric has the label `pipeline` beside its own. "
        "Metrics of the process (`process_cpu_seconds_total`, `process_resident_memory_bytes` and others) "
        "are those of prometheus_client.",
        table(
            ["metric", "kind", "unit", "labels", "meaning"],
            (
                [
                    f"`{one.name}`",
                    one.kind,
                    one.unit,
                    ", ".join(f"`{name}`" for name in one.labels),
                    one.meaning,
                ]
                for one in TABLE
            ),
        ),
    )


def records() -> str:
    """Return the page of record types."""
    parts: list[str] = []
    for name in RECORDS:
        schema = _schema(name)
        parts += [f"## {name}", str(schema.get("doc", "")), *_fields(schema)]
    return page("Record types", "The Avro schemas are in `schemas/`, and in the wheel.", *parts)


def _schema(name: str) -> Mapping[str, object]:
    schema: Mapping[str, object] = json.loads((ROOT / "schemas" / f"{name}.avsc").read_text("utf-8"))
    return schema


def _fields(schema: Mapping[str, object]) -> Iterator[str]:
    """Yield a table of the fields, and one for each record below them."""
    below: list[Mapping[str, object]] = []
    rows = [
        [f"`{field['name']}`", _type(field["type"], below), str(field.get("doc", ""))]
        for field in _maps(schema["fields"])
    ]
    yield table(["field", "type", "meaning"], rows)
    for record in below:
        yield f"### {record['name']}"
        if record.get("doc"):
            yield str(record["doc"])
        yield from _fields(record)


def _type(kind: object, below: list[Mapping[str, object]]) -> str:
    if isinstance(kind, list):
        return " or ".join(_type(branch, below) for branch in kind)
    if not isinstance(kind, Mapping):
        return str(kind)
    match kind["type"]:
        case "record":
            below.append(kind)
            return str(kind["name"])
        case "array":
            return f"array of {_type(kind['items'], below)}"
        case "map":
            return f"map of {_type(kind['values'], below)}"
        case "enum":
            return f"enum ({', '.join(map(str, kind['symbols']))})"  # type: ignore[arg-type]  # JSON
        case plain:
            return f"{plain}, {kind['logicalType']}" if "logicalType" in kind else str(plain)


def _maps(value: object) -> Sequence[Mapping[str, object]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else ()


def files() -> str:
    """Return the file map: the first line of each module's docstring, package by package."""
    parts: list[str] = []
    package = ROOT / "stream_infer"
    for folder in sorted({path.parent for path in package.rglob("*.py")} - {package}):
        rows = [
            [f"`{path.name}`", summary.splitlines()[0]]
            for path in sorted(folder.glob("*.py"))
            if (summary := ast.get_docstring(ast.parse(path.read_text("utf-8"))))
        ]
        parts += (
            [f"## {folder.relative_to(package).as_posix()}", table(["file", "content"], rows)] if rows else []
        )
    return page("File map", "Start at `runtime/loop.py`, then `flow/ports.py`.", *parts)


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/files.md": files,
    "configuration.md": settings.configuration,
    "worker.schema.json": settings.editor_schema,
    "reference/refusal-codes.md": refusal_codes,
    "reference/dead-letter-classes.md": dead_letter_classes,
    "reference/events.md": events,
    "reference/metrics.md": metrics,
    "reference/records.md": records,
    "reference/log-events.md": log_events,
    "reference/exit-codes.md": exit_codes,
    "reference/readiness.md": readiness,
}
"""What is generated, by its path below `docs/`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write every page, or with `--check` name those that are stale (exit code 1)."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a page is stale")
    check = parser.parse_args(arguments).check
    stale = []
    for name, generated in PAGES.items():
        path = ROOT / "docs" / name
        text = generated()
        if path.exists() and path.read_text("utf-8") == text:
            continue
        stale.append(name)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    for name in stale:
        sys.stdout.write(f"{'stale' if check else 'written'}: docs/{name}\n")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
