"""`score_arrow`: one answer a row, for whatever speaks Arrow."""

from __future__ import annotations

from pathlib import Path

import pytest

import stream_infer
from stream_infer.flow.errors import Misconfigured
from tests.unit.batch.world import RAISES, payments, predictions, score, spoilt, write_parquet


def test_tables_have_the_answers_that_files_have(fraud: Path, tmp_path: Path) -> None:
    table = spoilt(250, {3: RAISES, 249: float("nan")})
    score(fraud, write_parquet(table, tmp_path / "in.parquet"), tmp_path / "out")

    answers = [
        row
        for answered in stream_infer.open_package(fraud).score_arrow(table.to_batches(max_chunksize=100))
        for row in answered.to_pylist()
    ]

    assert len(answers) == 250
    by_row = {row["source_offset"]: row for row in predictions(tmp_path / "out")}
    for row, answer in enumerate(answers):
        if row in by_row:
            assert (answer["label"], answer["error"]) == (by_row[row]["label"], None)
            assert answer["score"] == pytest.approx(by_row[row]["score"], abs=1e-12)
        else:
            assert answer["label"] is answer["score"] is None
    assert {row: a["error"]["class"] for row, a in enumerate(answers) if a["error"]} == {
        3: "raised",
        249: "nan",
    }


def test_columns_of_the_table_come_first_where_they_are_joined(fraud: Path) -> None:
    table = payments(10).rename_columns(["label", *payments(1).column_names[1:]])

    [answered] = stream_infer.open_package(fraud).score_arrow(table.to_batches(), join=True)

    assert answered.schema.names[:2] == ["input_label", "ts"]
    assert answered.column("input_label").to_pylist() == table["label"].to_pylist()


def test_a_table_without_a_field_is_refused(fraud: Path) -> None:
    tables = payments(10).drop(["balance"]).to_batches()

    with pytest.raises(Misconfigured, match="balance"):
        list(stream_infer.open_package(fraud).score_arrow(tables))


def test_a_table_without_rows_has_answers_without_rows(fraud: Path) -> None:
    [answered] = stream_infer.open_package(fraud).score_arrow([payments(1).to_batches()[0].slice(0, 0)])

    assert answered.num_rows == 0
