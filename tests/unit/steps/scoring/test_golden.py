"""Golden samples are written the same every time, and replayed the way of a worker."""

from __future__ import annotations

import io
from dataclasses import replace

import fastavro
import pytest

from stream_infer.flow.errors import Refused
from stream_infer.models.manifest import OutputContract, Tolerance
from stream_infer.steps.scoring.golden import (
    GOLDEN_SCHEMA,
    Golden,
    GoldenReport,
    golden_columns,
    read_golden,
    replay,
    write_golden,
)
from tests.unit.steps.world import EVENT, GIVES_NAN, RAISES, event, model

ROWS = [
    Golden(event(1.0), "no", 0.5),
    Golden(event(3.0, items=4), "no", 0.25),
    Golden(event(0.25), "yes", 0.8),
]


def replayed(*rows: Golden, output: OutputContract | None = None) -> GoldenReport:
    served = model(output=output) if output else model()
    return replay(served, EVENT, write_golden(rows))


def test_golden_rows_are_read_as_written_and_written_the_same_every_time() -> None:
    rows = [*ROWS, Golden(b"", None, None, 1.5, {"a": 0.1, "b": 0.9})]

    assert read_golden(write_golden(rows)) == rows
    assert write_golden(rows) == write_golden(iter(rows))


def test_any_avro_reader_reads_golden_rows() -> None:
    records = list(fastavro.reader(io.BytesIO(write_golden(ROWS))))

    assert [(r["label"], r["score"]) for r in records] == [("no", 0.5), ("no", 0.25), ("yes", 0.8)]  # type: ignore[call-overload, index]


def test_a_model_that_gives_the_golden_answers_is_ok() -> None:
    report = replayed(*ROWS)

    assert report == GoldenReport(3, 0.0, 0, [])
    assert report.ok


def test_a_score_may_differ_by_rounding_and_no_more() -> None:
    assert replayed(Golden(event(1.0), "no", 0.5 + 1e-13)).ok

    report = replayed(*ROWS, Golden(event(1.0), "no", 0.5 + 1e-6))

    assert not report.ok
    assert report.max_abs_difference == pytest.approx(1e-6)
    assert report.failures == ["golden row 3 differs by 1e-06"]


def test_the_tolerance_is_the_package_s_own() -> None:
    lenient = model(tolerance=Tolerance(absolute=0.1))

    assert replay(lenient, EVENT, write_golden([Golden(event(1.0), "no", 0.55)])).ok


def test_another_label_is_a_mismatch() -> None:
    report = replayed(Golden(event(3.0), "yes", 0.25))

    assert (report.label_mismatches, report.failures) == (1, ["golden row 0 has another label"])


def test_another_label_is_forgiven_on_the_very_border() -> None:
    at_half = Golden(event(1.0), "yes", 0.5)
    contract = model().manifest.output

    assert replayed(at_half).ok
    assert replayed(Golden(event(3.0), "no", 0.25), output=replace(contract, threshold=0.25)).ok
    assert not replayed(at_half, output=replace(contract, threshold=0.7)).ok


def test_another_label_is_forgiven_where_two_classes_are_equal_by_their_own_scores() -> None:
    contract = replace(model().manifest.output, class_scores=True)

    assert replayed(Golden(event(1.0), "yes", 0.5, None, {"no": 0.5, "yes": 0.5}), output=contract).ok
    assert not replayed(Golden(event(3.0), "yes", 0.25, None, {"no": 0.75, "yes": 0.25}), output=contract).ok


def test_class_scores_are_compared_by_name() -> None:
    contract = replace(model().manifest.output, class_scores=True)

    assert not replayed(Golden(event(3.0), "no", 0.25, None, {"no": 0.25, "yes": 0.75}), output=contract).ok
    assert not replayed(Golden(event(3.0), "no", 0.25, None, {"no": 0.75, "maybe": 0.25}), output=contract).ok


def test_class_scores_that_the_contract_does_not_ask_for_do_not_matter() -> None:
    assert replayed(Golden(event(3.0), "no", 0.25, None, {"no": 0.75, "yes": 0.25})).ok


def test_an_answer_where_none_is_expected_is_a_failure() -> None:
    assert replayed(Golden(event(1.0), "no", None)).failures == ["golden row 0 differs by inf"]


def test_rejected_rows_are_failures() -> None:
    report = replayed(
        ROWS[0],
        Golden(b"\x02", "no", 0.5),
        Golden(event(float("nan")), "no", 0.5),
        Golden(event(RAISES), "no", 0.5),
        Golden(event(GIVES_NAN), "no", 0.5),
        ROWS[1],
    )

    assert [failure.split(":")[0] for failure in report.failures] == [
        "golden row 1 was rejected (truncated)",
        "golden row 2 was rejected (nan)",
        "golden row 3 was rejected (raised)",
        "golden row 4 was rejected (output_nan)",
    ]
    assert report.max_abs_difference == 0.0


def test_no_golden_rows_prove_nothing() -> None:
    assert not replayed().ok


def test_golden_rows_on_which_the_model_raises_are_failures_that_name_the_place() -> None:
    failures = replayed(*[Golden(event(RAISES), "no", 0.5)] * 20).failures

    assert len(failures) == 20
    assert failures[0].startswith(
        "golden row 0 was rejected (raised): the model raised ValueError in predict_proba"
    )


def test_the_first_golden_rows_are_kept_as_columns() -> None:
    columns = golden_columns(model(), EVENT, write_golden(ROWS * 100))

    assert columns["amount"].to_pylist() == [1.0, 3.0, 0.25] * 33 + [1.0]


def other(codec: str, schema: object) -> bytes:
    file = io.BytesIO()
    fastavro.writer(file, fastavro.parse_schema(schema), [{"event": b""}], codec=codec)  # type: ignore[arg-type]
    return file.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"Obj\x01",
        write_golden(ROWS)[:-20],
        other("deflate", GOLDEN_SCHEMA),
        other("null", {**GOLDEN_SCHEMA, "fields": GOLDEN_SCHEMA["fields"][:1]}),
    ],
    ids=["nothing", "magic only", "cut", "compressed", "another schema"],
)
def test_bytes_that_are_no_golden_samples_are_refused(data: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_golden(data)

    assert refused.value.code == "golden"
