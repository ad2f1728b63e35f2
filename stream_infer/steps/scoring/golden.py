"""Golden samples: events with the expected answers, which were computed from the user's own frame.

An Avro container file in memory, kept in the package. An answer agrees when it is within the tolerance of the
manifest: linear models differ by some 1e-15 between batch sizes and memory layouts.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import fastavro
import numpy as np
from fastavro.schema import to_parsing_canonical_form

from stream_infer.avro.decode import Decoded
from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused
from stream_infer.flow.records import Rejected
from stream_infer.models.frame_builder import Columns
from stream_infer.models.load import Model
from stream_infer.models.manifest import OutputContract, Tolerance
from stream_infer.models.scores import Floats, Scores
from stream_infer.steps.scoring.infer import Inferred, infer
from stream_infer.steps.scoring.plan import Events, plan_scoring

GOLDEN_SCHEMA = {
    "type": "record",
    "name": "Golden",
    "namespace": "io.streaminfer.package.v1",
    "fields": [
        {"name": "event", "type": "bytes"},
        {"name": "label", "type": ["null", "string"], "default": None},
        {"name": "score", "type": ["null", "double"], "default": None},
        {"name": "value", "type": ["null", "double"], "default": None},
        {"name": "class_scores", "type": ["null", {"type": "map", "values": "double"}], "default": None},
    ],
}

_VALUES = {"name": "values", "type": ["null", {"type": "map", "values": "double"}], "default": None}
_Numbers = TypeVar("_Numbers", float, Floats)

_KEPT = 100  # as many as a small batch has: they are scored again when the model raises
# Packages of models with several values have them too; the others stay readable by earlier releases.
_WITHOUT_VALUES = fastavro.parse_schema(GOLDEN_SCHEMA)
_WITH_VALUES = fastavro.parse_schema({**GOLDEN_SCHEMA, "fields": [*GOLDEN_SCHEMA["fields"], _VALUES]})
_WRITTEN = {("null", to_parsing_canonical_form(one)) for one in (_WITHOUT_VALUES, _WITH_VALUES)}
# Not random, so that one model gives one package; any 16 bytes will do in a file of our own.
_SYNC_MARKER = hashlib.sha256(b"io.streaminfer.package.v1.Golden").digest()[:16]


@dataclass(frozen=True, slots=True)
class Golden:
    """One event, as the bare datum in the package's input schema, and the expected answer."""

    event: bytes
    label: str | None = None
    score: float | None = None
    value: float | None = None
    class_scores: Mapping[str, float] | None = None
    values: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class GoldenReport:
    """The result of a replay: the number of rows, the greatest difference of a number, and the failures.

    A failure names the row that disagrees and the reason, without payload. A rejected row is a failure too.
    """

    rows: int
    max_abs_difference: float
    label_mismatches: int
    failures: Sequence[str]

    @property
    def ok(self) -> bool:
        """Whether there are rows, and all of them agree."""
        return self.rows > 0 and not self.failures


def write_golden(rows: Iterable[Golden]) -> bytes:
    """Return `rows` as a container file, the same bytes for the same rows."""
    file, given = io.BytesIO(), list(rows)
    schema = _WITHOUT_VALUES if all(row.values is None for row in given) else _WITH_VALUES
    records = [
        {
            "event": row.event,
            "label": row.label,
            "score": row.score,
            "value": row.value,
            "class_scores": dict(row.class_scores) if row.class_scores is not None else None,
            "values": dict(row.values) if row.values is not None else None,
        }
        for row in given
    ]
    fastavro.writer(file, schema, records, codec="null", sync_marker=_SYNC_MARKER)
    return file.getvalue()


def read_golden(data: bytes) -> list[Golden]:
    """Return the rows of a container file; raise `Refused(RefusalCode.GOLDEN)` when it is none of ours."""
    try:
        reader = fastavro.reader(io.BytesIO(data))
        written = reader.codec, to_parsing_canonical_form(reader.writer_schema)
        # Nothing is read with a schema of someone else's making.
        records = list(reader) if written in _WRITTEN else None
    except Exception as error:  # noqa: BLE001 - fastavro raises a dozen types for bytes that are no container
        raise Refused(RefusalCode.GOLDEN, f"golden.avro cannot be read: {type(error).__name__}") from None
    if records is None:
        raise Refused(RefusalCode.GOLDEN, "golden.avro does not hold golden samples")
    return [Golden(**record) for record in records if isinstance(record, dict)]


def replay(model: Model, schema: Schema, golden: bytes) -> GoldenReport:
    """Decode the golden events, apply policies, predict, and compare the answers with the expected ones.

    `schema` is the package's input schema. A converted model predicts in both of its forms. Raises `Refused`
    when the file or the schema does not fit the model.
    """
    return replay_rows(model, schema, read_golden(golden))


def replay_rows(model: Model, schema: Schema, rows: Sequence[Golden]) -> GoldenReport:
    """Replay `rows` in one batch, as `replay` does."""
    reports = [_replay(form, schema, rows) for form in model.forms()]
    return GoldenReport(
        rows=len(rows),
        max_abs_difference=max(report.max_abs_difference for report in reports),
        label_mismatches=max(report.label_mismatches for report in reports),
        failures=[failure for report in reports for failure in report.failures],
    )


def golden_columns(model: Model, schema: Schema, golden: bytes) -> Columns:
    """Return the columns of the first golden events, which tell whether `model` still answers at all.

    Raises `Refused` as `replay` does.
    """
    return _decode(model, schema, read_golden(golden)[:_KEPT]).columns


def _decode(model: Model, schema: Schema, rows: Sequence[Golden]) -> Decoded:
    plan = plan_scoring(model, Events(Framing.NONE, [schema]))
    return plan.decoder.decode([row.event for row in rows])


def _replay(model: Model, schema: Schema, rows: Sequence[Golden]) -> GoldenReport:
    decoded = _decode(model, schema, rows)
    inferred = infer(model, decoded.columns)
    places = {int(decoded.rows[row]): place for place, row in enumerate(inferred.rows.tolist())}
    rejected = {reject.row: reject for reject in decoded.rejected}
    rejected |= {int(decoded.rows[reject.row]): reject for reject in inferred.rejected}
    return _compare(rows, places, inferred, rejected, model)


def _compare(
    rows: Sequence[Golden],
    places: Mapping[int, int],
    inferred: Inferred,
    rejected: Mapping[int, Rejected],
    model: Model,
) -> GoldenReport:
    contract, tolerance = model.manifest.output, model.manifest.tolerance
    failures: list[str] = []
    greatest = 0.0
    mismatches = 0
    for index, expected in enumerate(rows):
        if index not in places:
            reject = rejected[index]
            failures.append(f"golden row {index} was rejected ({reject.error_class}): {reject.message}")
            continue
        found = row_of(inferred.scores, places[index], contract)
        difference, agrees = _compare_numbers(found, expected, tolerance)
        greatest = max(greatest, difference)
        if not agrees:
            failures.append(f"golden row {index} differs by {difference:.3g}")
        if found.label != expected.label and not tied(expected, contract, tolerance):
            mismatches += 1
            failures.append(f"golden row {index} has another label")
    return GoldenReport(len(rows), greatest, mismatches, failures)


def row_of(scores: Scores, place: int, contract: OutputContract) -> Golden:
    """Return one answer in the form of a golden row."""
    return Golden(
        event=b"",
        label=None if scores.label is None else str(scores.label[place]),
        score=None if scores.score is None else float(scores.score[place]),
        value=None if scores.value is None else float(scores.value[place]),
        class_scores=None
        if scores.class_scores is None
        else dict(zip(contract.classes, scores.class_scores[place].tolist(), strict=True)),
        values=None
        if scores.values is None
        else dict(zip(contract.values, scores.values[place].tolist(), strict=True)),
    )


def _compare_numbers(found: Golden, expected: Golden, tolerance: Tolerance) -> tuple[float, bool]:
    """Return the greatest difference of all numbers, and whether all are within tolerance."""
    pairs = [(found.score, expected.score), (found.value, expected.value)]
    # A golden row may have all class scores although the contract does not ask for them.
    if found.class_scores is not None and expected.class_scores is not None:
        if found.class_scores.keys() != expected.class_scores.keys():
            return np.inf, False
        pairs += [(score, expected.class_scores[name]) for name, score in found.class_scores.items()]
    if (found.values or {}).keys() != (expected.values or {}).keys():
        return np.inf, False
    pairs += [(value, (expected.values or {})[name]) for name, value in (found.values or {}).items()]
    if any((a is None) != (b is None) for a, b in pairs):
        return np.inf, False
    numbers = [(a, b) for a, b in pairs if a is not None and b is not None]
    agrees = all(abs(a - b) <= slack(b, tolerance) for a, b in numbers)
    return max((abs(a - b) for a, b in numbers), default=0.0), agrees


def slack(golden: _Numbers, tolerance: Tolerance) -> _Numbers:
    """Return how far from `golden` another number may be."""
    return tolerance.absolute + tolerance.relative * abs(golden)


def tied(expected: Golden, contract: OutputContract, tolerance: Tolerance) -> bool:
    """Return whether the golden answer is so close to another label that rounding decides between them."""
    if expected.class_scores is not None and len(expected.class_scores) > 1 and contract.threshold is None:
        second, first = sorted(expected.class_scores.values())[-2:]
        return first - second <= 2 * slack(first, tolerance)
    threshold = _decision_threshold(contract)
    return (
        expected.score is not None
        and threshold is not None
        and abs(expected.score - threshold) <= slack(threshold, tolerance)
    )


def _decision_threshold(contract: OutputContract) -> float | None:
    """Return the score at which the label of two classes changes, if one score decides it."""
    if contract.threshold is not None:
        return contract.threshold
    if len(contract.classes) != 2:  # noqa: PLR2004 - with more, one score does not decide
        return None
    return 0.5 if contract.score == "probability" else 0.0
