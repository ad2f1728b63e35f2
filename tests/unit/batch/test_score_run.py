"""A whole run: what it writes, what it refuses, and what a second one does."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import stream_infer
from stream_infer.app.score import RunPolicy
from stream_infer.batch.folder_files import FolderFiles
from stream_infer.batch.locations import locate
from stream_infer.batch.output_folder import OutputFolder
from stream_infer.flow.errors import Fatal, Misconfigured, ModelFailed
from tests.unit.batch.conftest import NOW_MS
from tests.unit.batch.world import (
    BREAKS,
    GIVES_NAN,
    GROUP_ROWS,
    RAISES,
    Observed,
    digests,
    manifest,
    payments,
    predictions,
    rejected,
    score,
    spoilt,
    write_parquet,
)

Clock = Callable[[int], Any]


def problems(error: pytest.ExceptionInfo[Misconfigured]) -> list[tuple[str, str]]:
    return [(problem.key, problem.message) for problem in error.value.problems]


def test_each_row_has_the_answer_that_open_package_gives(fraud: Path, tmp_path: Path, clock: Clock) -> None:
    table = payments(250)
    given = write_parquet(table, tmp_path / "in.parquet")

    report = score(fraud, given, tmp_path / "out")

    answers = stream_infer.open_package(fraud).predict(
        [{**row, "distance": float(row["distance"])} for row in table.to_pylist()]
    )
    scored = predictions(tmp_path / "out")
    assert (report.counts.rows, report.counts.predicted, report.counts.rejected) == (250, 250, {})
    assert [row["label"] for row in scored] == [answer["label"] for answer in answers]
    assert [row["score"] for row in scored] == pytest.approx([a["score"] for a in answers], abs=1e-12)


def test_a_prediction_names_file_split_and_row(fraud: Path, tmp_path: Path, clock: Clock) -> None:
    given = write_parquet(payments(250), tmp_path / "in.parquet")

    score(fraud, given, tmp_path / "out")

    scored = predictions(tmp_path / "out")
    assert [row["source_offset"] for row in scored] == list(range(250))
    assert [row["source_partition"] for row in scored] == [row // GROUP_ROWS for row in range(250)]
    assert {row["source_topic"] for row in scored} == {str(given)}
    assert scored[120]["id"] == f"{given}/1/120"
    assert {int(row["scored_at"].timestamp() * 1000) for row in scored} == {NOW_MS}
    assert {(row["model_name"], row["model_version"]) for row in scored} == {("picky", "1.0.0")}


def test_readers_of_data_sets_see_the_parts_alone(fraud: Path, tmp_path: Path) -> None:
    score(fraud, write_parquet(spoilt(250, {3: RAISES}), tmp_path / "in.parquet"), tmp_path / "out")

    assert ds.dataset(tmp_path / "out", format="parquet").count_rows() == 249


def test_bad_rows_are_beside_the_parts_as_dead_letters_are(fraud: Path, tmp_path: Path) -> None:
    faults = {3: RAISES, 120: GIVES_NAN, 249: float("nan")}
    given = write_parquet(spoilt(250, faults), tmp_path / "in.parquet")

    report = score(fraud, given, tmp_path / "out")

    letters = rejected(tmp_path / "out")
    assert [(one["stage"], one["class"], one["source_offset"]) for one in letters] == [
        ("predict", "raised", 3),
        ("predict", "output_nan", 120),
        ("validate", "nan", 249),
    ]
    assert [one["source_partition"] for one in letters] == [0, 1, 2]
    assert letters[0]["message"].startswith("the model raised ValueError in predict_proba")
    assert letters[0]["row"]["amount"] == RAISES
    assert report.counts.rejected == {"predict/output_nan": 1, "predict/raised": 1, "validate/nan": 1}
    assert {row["source_offset"] for row in predictions(tmp_path / "out")} == set(range(250)) - {*faults}


def test_the_manifest_names_package_input_parts_and_counts(fraud: Path, tmp_path: Path, clock: Clock) -> None:
    given = write_parquet(spoilt(250, {3: RAISES}), tmp_path / "in.parquet")

    score(fraud, given, tmp_path / "out")

    document = manifest(tmp_path / "out")
    files = digests(tmp_path / "out")
    assert document["package"]["digest"] == stream_infer.open_package(fraud).model.digest
    assert document["counts"] == {"rows": 250, "predicted": 249, "rejected": {"predict/raised": 1}}
    assert [one["name"] for one in document["input"]["files"]] == [str(given)]
    assert {part["name"]: part["sha256"] for part in document["parts"]}.items() <= files.items()
    assert [part["rows"] for part in document["parts"]] == [99, 100, 50]
    assert all(document["checks"].values())


def test_more_rejected_rows_than_allowed_publish_nothing(fraud: Path, tmp_path: Path) -> None:
    given = write_parquet(spoilt(250, {1: RAISES, 2: RAISES, 3: RAISES}), tmp_path / "in.parquet")

    with pytest.raises(Fatal, match=r"3 of 250 rows \(1\.20%\) were rejected, and --max-rejected is 1\.00%"):
        score(fraud, given, tmp_path / "out", policy=RunPolicy(max_rejected=0.01))

    assert digests(tmp_path / "out") == {}
    seen = Observed()
    score(fraud, given, tmp_path / "out", seen, policy=RunPolicy(max_rejected=0.02))
    assert (seen.batches, len(predictions(tmp_path / "out"))) == (0, 247)


def test_a_broken_model_stops_the_run_without_a_rejected_row(fraud: Path, tmp_path: Path) -> None:
    given = write_parquet(spoilt(250, {150: BREAKS}), tmp_path / "in.parquet")
    seen = Observed()

    with pytest.raises(ModelFailed, match="fails on golden rows too"):
        score(fraud, given, tmp_path / "out", seen)

    assert seen.batches == 1
    assert digests(tmp_path / "out") == {}
    assert not list((tmp_path / "out").rglob("*.jsonl"))


@pytest.mark.parametrize("suffix", ["", ".avro"])
def test_a_run_that_was_stopped_goes_on_and_ends_in_the_same_bytes(
    fraud: Path, tmp_path: Path, clock: Clock, suffix: str
) -> None:
    given = write_parquet(spoilt(450, {3: RAISES, 333: GIVES_NAN}), tmp_path / "in.parquet")
    score(fraud, given, tmp_path / f"whole{suffix}")
    output = tmp_path / f"out{suffix}"

    for stop_after in (2, 1):
        with pytest.raises(Fatal, match="the same command goes on"):
            score(fraud, given, output, Observed(stop_after=stop_after))
        assert digests(output) == {}
    clock(NOW_MS + 3_600_000)
    report = score(fraud, given, output)

    assert report.resumed_rows == 300
    assert digests(output) == digests(tmp_path / f"whole{suffix}")


def test_a_part_that_is_lost_is_written_again(fraud: Path, tmp_path: Path, clock: Clock) -> None:
    given = write_parquet(payments(450), tmp_path / "in.parquet")
    score(fraud, given, tmp_path / "whole")
    with pytest.raises(Fatal):
        score(fraud, given, tmp_path / "out", Observed(stop_after=3))
    (tmp_path / "out" / "_stream_infer" / "parts" / "part-00001-000000000100.parquet").unlink()

    score(fraud, given, tmp_path / "out")

    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


@pytest.mark.slow
def test_the_bytes_do_not_depend_on_the_number_of_workers(fraud: Path, tmp_path: Path, clock: Clock) -> None:
    given = write_parquet(spoilt(450, {3: RAISES, 333: GIVES_NAN}), tmp_path / "in.parquet")

    score(fraud, given, tmp_path / "one")
    seen = Observed()
    score(fraud, given, tmp_path / "two", seen, policy=RunPolicy(workers=2))

    assert seen.batches == 5
    assert digests(tmp_path / "two") == digests(tmp_path / "one")


@pytest.mark.slow
def test_the_failure_of_a_worker_is_that_of_the_run(fraud: Path, tmp_path: Path) -> None:
    given = write_parquet(spoilt(450, {333: BREAKS}), tmp_path / "in.parquet")

    with pytest.raises(Fatal, match="fails on golden rows too"):
        score(fraud, given, tmp_path / "out", policy=RunPolicy(workers=2))

    assert digests(tmp_path / "out") == {}


def test_two_runs_on_one_output_exclude_each_other(fraud: Path, tmp_path: Path) -> None:
    given = write_parquet(payments(150), tmp_path / "in.parquet")
    held = OutputFolder(locate("-o", str(tmp_path / "out")))
    with held.exclusive(), pytest.raises(Misconfigured) as error:
        score(fraud, given, tmp_path / "out")

    assert problems(error) == [("-o", "another run writes it now")]
    score(fraud, given, tmp_path / "out")


def test_an_output_that_is_complete_is_not_touched(fraud: Path, tmp_path: Path) -> None:
    given = write_parquet(payments(150), tmp_path / "in.parquet")
    score(fraud, given, tmp_path / "out")
    before = digests(tmp_path / "out")

    with pytest.raises(Misconfigured) as error:
        score(fraud, given, tmp_path / "out")

    assert problems(error) == [("-o", "holds the predictions for this package and input")]
    assert digests(tmp_path / "out") == before


def test_if_changed_leaves_at_once_where_nothing_has(fraud: Path, tmp_path: Path, clock: Clock) -> None:
    given = write_parquet(payments(350), tmp_path / "in.parquet")
    policy = RunPolicy(if_changed=True)
    score(fraud, given, tmp_path / "out", policy=policy)
    before = digests(tmp_path / "out")
    clock(NOW_MS + 1)

    assert score(fraud, given, tmp_path / "out", policy=policy).document is None
    assert digests(tmp_path / "out") == before

    write_parquet(payments(150, seed=8), given)
    score(fraud, given, tmp_path / "out", policy=policy)
    assert len(predictions(tmp_path / "out")) == 150
    assert len(list((tmp_path / "out").glob("part-*"))) == 2


def test_if_changed_replaces_an_unfinished_run_of_another_input(fraud: Path, tmp_path: Path) -> None:
    given = write_parquet(payments(350), tmp_path / "in.parquet")
    with pytest.raises(Fatal):
        score(fraud, given, tmp_path / "out", Observed(stop_after=1))
    write_parquet(payments(150, seed=8), given)

    score(fraud, given, tmp_path / "out", policy=RunPolicy(if_changed=True))

    assert len(predictions(tmp_path / "out")) == 150


def test_watermark_scores_new_files_only_and_adds_to_the_output(fraud: Path, tmp_path: Path) -> None:
    days, policy = tmp_path / "days", RunPolicy(watermark=True)
    write_parquet(payments(150), days / "day=2026-01-01" / "a.parquet")
    score(fraud, days, tmp_path / "out", policy=policy)
    first = {name: digest for name, digest in digests(tmp_path / "out").items() if name != "_SUCCESS"}
    write_parquet(payments(250, seed=8), days / "day=2026-01-02" / "a.parquet")

    report = score(fraud, days, tmp_path / "out", policy=policy)

    assert report.counts.rows == 250
    assert first.items() <= digests(tmp_path / "out").items()
    assert manifest(tmp_path / "out")["counts"]["rows"] == 400 == len(predictions(tmp_path / "out"))
    assert score(fraud, days, tmp_path / "out", policy=policy).document is None


def test_watermark_refuses_a_file_that_has_changed(fraud: Path, tmp_path: Path) -> None:
    given = write_parquet(payments(150), tmp_path / "days" / "a.parquet")
    score(fraud, tmp_path / "days", tmp_path / "out", policy=RunPolicy(watermark=True))
    write_parquet(payments(151), given)

    with pytest.raises(Misconfigured) as error:
        score(fraud, tmp_path / "days", tmp_path / "out", policy=RunPolicy(watermark=True))

    assert "has changed since it was scored" in problems(error)[0][1]


def test_the_folders_of_a_partitioned_data_set_are_columns(fraud: Path, tmp_path: Path) -> None:
    table = payments(150)
    for country in ("DE", "FR"):
        write_parquet(table.drop(["country"]), tmp_path / "days" / f"country={country}" / "a.parquet")

    score(fraud, tmp_path / "days", tmp_path / "out", copy=["country", "amount"])

    scored = predictions(tmp_path / "out")
    assert [row["country"] for row in scored] == ["DE"] * 150 + ["FR"] * 150
    assert [row["amount"] for row in scored] == table["amount"].to_pylist() * 2


@pytest.mark.parametrize("suffix", ["", ".avro"])
def test_join_puts_every_column_beside_the_prediction(fraud: Path, tmp_path: Path, suffix: str) -> None:
    table = payments(150).append_column("label", pa.array(["fine"] * 150))
    given = write_parquet(table, tmp_path / "in.parquet")
    output = tmp_path / f"out{suffix}"

    score(fraud, given, output, join=True)

    scored = predictions(output)
    renamed = {"id": "input_id", "label": "input_label"}
    for name in table.column_names:
        assert [row[renamed.get(name, name)] for row in scored] == table[name].to_pylist(), name


def test_the_sync_marker_of_an_avro_part_comes_from_its_name(
    fraud: Path, tmp_path: Path, clock: Clock
) -> None:
    given = write_parquet(payments(150), tmp_path / "in.parquet")

    score(fraud, given, tmp_path / "a.avro")
    score(fraud, given, tmp_path / "b.avro")

    assert digests(tmp_path / "a.avro") == digests(tmp_path / "b.avro")
    with (tmp_path / "a.avro" / "part-00000-000000000000.avro").open("rb") as file:
        reader = fastavro.reader(file)
        assert sum(1 for _ in reader) == 100
        assert isinstance(reader.writer_schema, dict)
        assert reader.writer_schema["name"] == "io.streaminfer.v1.Prediction"


def test_an_input_that_changes_during_the_run_is_not_published(fraud: Path, tmp_path: Path) -> None:
    given = write_parquet(payments(250), tmp_path / "in.parquet")
    stat = given.stat()

    class Touching(Observed):
        def __call__(self, event: Any, /) -> None:
            super().__call__(event)
            os.utime(given, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))

    with pytest.raises(Fatal, match=r"the input changed while it was scored: .*in\.parquet"):
        score(fraud, given, tmp_path / "out", Touching())

    assert digests(tmp_path / "out") == {}


def test_an_unfinished_run_does_not_go_on_with_another_input(fraud: Path, tmp_path: Path) -> None:
    given = write_parquet(payments(250), tmp_path / "in.parquet")
    with pytest.raises(Fatal):
        score(fraud, given, tmp_path / "out", Observed(stop_after=1))
    write_parquet(payments(250, seed=8), given)

    with pytest.raises(Misconfigured) as error:
        score(fraud, given, tmp_path / "out")

    assert problems(error) == [("-o", "holds an unfinished run of an input that has changed since")]


def test_a_field_without_a_column_is_named_before_anything_is_scored(fraud: Path, tmp_path: Path) -> None:
    given = write_parquet(payments(150).drop(["balance", "velocity"]), tmp_path / "in.parquet")

    with pytest.raises(Misconfigured) as error:
        score(fraud, given, tmp_path / "out", copy=["no such"])

    what = "the input has no such column, and the field has no default"
    assert problems(error) == [
        ("balance", what),
        ("velocity", what),
        ("--copy", "the input has no such column"),
    ]


def test_a_column_of_another_type_is_named_before_anything_is_scored(fraud: Path, tmp_path: Path) -> None:
    given = write_parquet(payments(150, balance=["much"] * 150), tmp_path / "in.parquet")

    with pytest.raises(Misconfigured) as error:
        score(fraud, given, tmp_path / "out")

    assert problems(error) == [("balance", "the column is string, and the field double")]


def test_nulls_of_a_feature_that_rejects_them_are_rejected_rows(fraud: Path, tmp_path: Path) -> None:
    table = payments(150)
    attempts = [None, *table["attempts"].to_pylist()[1:]]
    given = write_parquet(
        table.set_column(5, "attempts", pa.array(attempts, pa.int32())), tmp_path / "in.parquet"
    )

    score(fraud, given, tmp_path / "out")

    [letter] = rejected(tmp_path / "out")
    assert (letter["class"], letter["source_offset"]) == ("invalid", 0)
    assert letter["message"] == "field 'attempts' is null, and the schema does not allow that"
    assert letter["row"]["attempts"] is None


def test_an_empty_data_set_is_said_to_be_empty(fraud: Path, tmp_path: Path) -> None:
    given = write_parquet(payments(150).slice(0, 0), tmp_path / "in.parquet")

    with pytest.raises(Misconfigured) as error:
        score(fraud, given, tmp_path / "out")

    assert problems(error) == [("INPUT", "has no rows")]


def test_a_csv_with_a_header_only_publishes_nothing(fraud: Path, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(",".join(payments(1).column_names) + "\n")

    with pytest.raises((Fatal, Misconfigured), match=r"no rows|Empty"):
        score(fraud, tmp_path / "in.csv", tmp_path / "out")

    assert digests(tmp_path / "out") == {}


def test_a_damaged_row_group_is_named_and_the_groups_before_it_are_kept(fraud: Path, tmp_path: Path) -> None:
    given = tmp_path / "in.parquet"
    pq.write_table(payments(450), given, row_group_size=100, write_page_checksum=True)
    column = pq.ParquetFile(given).metadata.row_group(2).column(3)
    data = bytearray(given.read_bytes())
    at = (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size // 2
    data[at] ^= 0xFF
    given.write_bytes(bytes(data))
    seen = Observed()

    with pytest.raises(Fatal, match=r"in\.parquet cannot be read from row 200 on \(split 2\)"):
        score(fraud, given, tmp_path / "out", seen)

    assert seen.batches == 2
    assert digests(tmp_path / "out") == {}


def test_a_file_that_is_no_parquet_is_named(fraud: Path, tmp_path: Path) -> None:
    (tmp_path / "in.parquet").write_bytes(b"no parquet")

    with pytest.raises(Misconfigured) as error:
        score(fraud, tmp_path / "in.parquet", tmp_path / "out")

    [(key, what)] = problems(error)
    assert (key, what.startswith("cannot be read as parquet: ")) == ("INPUT", True)


def test_files_with_other_columns_are_refused_by_name(fraud: Path, tmp_path: Path) -> None:
    write_parquet(payments(150), tmp_path / "in" / "a.parquet")
    write_parquet(payments(150).drop(["id"]), tmp_path / "in" / "b.parquet")

    with pytest.raises(Misconfigured) as error:
        score(fraud, tmp_path / "in", tmp_path / "out")

    assert "has no column 'id', which " in problems(error)[0][1]


@pytest.mark.parametrize("given", ["nothing.parquet", "empty"])
def test_an_input_that_is_not_there_is_named(fraud: Path, tmp_path: Path, given: str) -> None:
    (tmp_path / "empty").mkdir()

    with pytest.raises(Misconfigured) as error:
        score(fraud, tmp_path / given, tmp_path / "out")

    assert problems(error)[0][1] in {"there is no such file or folder", "the folder has no data file"}


def test_a_publication_that_was_killed_is_gone_on_with(
    fraud: Path, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = write_parquet(spoilt(450, {3: RAISES}), tmp_path / "in.parquet")
    score(fraud, given, tmp_path / "whole")
    real, left = FolderFiles.move, [2]

    def killed(work: FolderFiles, name: str, other: FolderFiles, final: str) -> None:
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        real(work, name, other, final)

    monkeypatch.setattr(FolderFiles, "move", killed)
    with pytest.raises(KeyboardInterrupt):
        score(fraud, given, tmp_path / "out")
    assert not (tmp_path / "out" / "_SUCCESS").exists()
    monkeypatch.setattr(FolderFiles, "move", real)
    seen = Observed()

    score(fraud, given, tmp_path / "out", seen)

    assert seen.batches == 0
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")


def test_a_rejected_row_is_one_json_object(fraud: Path, tmp_path: Path) -> None:
    given = write_parquet(spoilt(150, {3: RAISES}), tmp_path / "in.parquet")

    score(fraud, given, tmp_path / "out")

    [line] = (tmp_path / "out" / "_rejected" / "part-00000-000000000000.jsonl").read_text().splitlines()
    assert set(json.loads(line)) == {
        "source_topic", "source_partition", "source_offset", "stage", "class", "message", "model_version",
        "row",
    }  # fmt: skip
