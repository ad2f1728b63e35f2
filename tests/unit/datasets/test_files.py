from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import fastavro
import pandas as pd
import pytest

from stream_infer.datasets.files import DataRow, read_rows
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.packaging.csv_layout import CsvLayout

ROWS = [{"name": "ada", "age": 36}, {"name": "bob", "age": None}]
SCHEMA = {
    "type": "record",
    "name": "Person",
    "fields": [{"name": "name", "type": "string"}, {"name": "age", "type": ["null", "long"]}],
}


def csv(path: Path) -> None:
    path.write_text("name,age\nada,36\n\nbob,\n")


def json_lines(path: Path) -> None:
    path.write_text("".join(f"{json.dumps(row)}\n\n" for row in ROWS))


def parquet(path: Path) -> None:
    pd.DataFrame(ROWS).astype({"age": "Int64"}).to_parquet(path)


def avro(path: Path) -> None:
    with path.open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(SCHEMA), ROWS)


def rows(path: Path) -> list[DataRow]:
    return list(read_rows("FILE", path))


def problem(path: Path) -> Problem:
    with pytest.raises(Misconfigured) as raised:
        rows(path)
    [found] = raised.value.problems
    return found


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("people.jsonl", json_lines),
        ("people.NDJSON", json_lines),
        ("people.parquet", parquet),
        ("people.avro", avro),
    ],
)
def test_rows_come_in_order_with_values_of_their_types(
    tmp_path: Path, name: str, write: Callable[[Path], None]
) -> None:
    write(tmp_path / name)

    assert rows(tmp_path / name) == ROWS


def test_a_csv_has_text_and_no_value_where_pandas_reads_none(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text('\ufeffname,age\nada,36\n"b,ob",\n\nNA,nan\n', "utf-8")

    assert rows(tmp_path / "people.csv") == [
        {"name": "ada", "age": "36"},
        {"name": "b,ob", "age": None},
        {"name": None, "age": None},
    ]


def test_what_a_csv_leaves_out_is_what_pandas_reads_as_missing(tmp_path: Path) -> None:
    words = ["", "#N/A", "NA", "N/A", "NULL", "NaN", "None", "nan", "null", "<NA>", "none", "-", "0", "False"]
    file = tmp_path / "words.csv"
    pd.DataFrame({"number": range(len(words)), "word": words}).to_csv(file, index=False)

    assert [row["word"] is None for row in rows(file)] == pd.read_csv(file)["word"].isna().tolist()


def test_rows_are_read_as_they_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"a": 1}\nnot JSON\n')

    reading = read_rows("FILE", tmp_path / "rows.jsonl")

    assert next(reading) == {"a": 1}


@pytest.mark.parametrize(
    ("name", "text", "row", "message"),
    [
        ("a.csv", "x,y\n1,2\n3\n", 2, "has 1 cells, and the header has 2"),
        ("a.csv", "x,y\n1,2,3\n", 1, "has 3 cells, and the header has 2"),
        ("a.jsonl", '{"x": 1}\n{"x": \n', 2, "is not JSON"),
        ("a.jsonl", "[1]\n", 1, "is not a JSON object"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, text: str, row: int, message: str
) -> None:
    (tmp_path / name).write_text(text)

    found = problem(tmp_path / name)

    assert found.key == f"{name}, row {row}"
    assert message in found.message


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"x,y\n", "has no rows"),
        ("a.jsonl", b"", "has no rows"),
        ("a.csv", b"x,y,x\n1,2,3\n", "the header has x more than once"),
        ("a.csv", b"\xff\xfe\n", "is not utf-8"),
        ("a.csv", b"x;y\n1;2\n", "its cells look separated by ';'"),
        ("a.parquet", b"PAR?", "cannot be read as parquet"),
        ("a.avro", b"Obj\x02", "cannot be read as avro"),
        ("a.json", b"[]", "the suffix is none of .csv, .parquet, .jsonl, .ndjson, .avro"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)

    found = problem(tmp_path / name)

    assert (found.key, found.value) == ("FILE", str(tmp_path / name))
    assert message in found.message
    assert found.fix


def test_a_csv_of_another_layout_is_read_as_that_says(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("ort;menge\nKöln;1,5\n", "latin-1")

    read = read_rows("FILE", tmp_path / "a.csv", CsvLayout(";", ",", None, "latin-1"))

    assert list(read) == [{"ort": "Köln", "menge": "1,5"}]


def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    assert problem(tmp_path / "a.csv").message == "there is no such file"


def test_an_avro_file_of_other_values_than_records_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "a.avro").open("wb") as file:
        fastavro.writer(file, "long", [1])

    assert problem(tmp_path / "a.avro").message == "is not a record"
