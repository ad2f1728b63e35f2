from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import fastavro
import pytest

from stream_infer.app.event_file import EventFile
from stream_infer.avro.schemas import parse_schema
from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.packaging.csv_layout import CsvLayout

SCHEMA = parse_schema(
    json.dumps(
        {
            "type": "record",
            "name": "Visit",
            "fields": [
                {"name": "id", "type": "string"},
                {"name": "pages", "type": "int"},
                {"name": "shop", "type": ["null", {"type": "record", "name": "Shop", "fields": [
                    {"name": "country", "type": ["null", "string"]}]}]},
            ],
        }
    )
)  # fmt: skip


def events(folder: Path, text: str, key_field: str | None = None, *, fill: bool = False) -> EventFile:
    (folder / "visits.csv").write_text(text)
    renamed = {"number": "pages"}
    return EventFile(
        folder / "visits.csv",
        SCHEMA,
        renamed=renamed,
        fill=fill,
        key_field=key_field,
        layout=CsvLayout(decimal=",", thousands="."),
    )


def problems(file: EventFile) -> tuple[Problem, ...]:
    with pytest.raises(Misconfigured) as raised:
        file.check()
    return raised.value.problems


def test_each_row_is_an_event_with_its_key(tmp_path: Path) -> None:
    file = events(tmp_path, "id,number,shop.country\na,3,DE\nb,4,\n", key_field="shop.country")

    assert file.check() == 2
    first, second = file.events()

    read: Any = fastavro.schemaless_reader(io.BytesIO(first.datum), SCHEMA.parsed, None)
    assert read == {"id": "a", "pages": 3, "shop": {"country": "DE"}}
    assert (first.row, first.key) == (1, b"DE")
    assert (second.row, second.key) == (2, None)


def test_numbers_are_read_in_the_layout_of_the_file_and_text_is_left(tmp_path: Path) -> None:
    [event] = events(tmp_path, "id,number\n1.234,1.234\n").events()

    read: Any = fastavro.schemaless_reader(io.BytesIO(event.datum), SCHEMA.parsed, None)
    assert (read["id"], read["pages"]) == ("1.234", 1234)


def test_every_bad_row_is_told_up_to_a_limit(tmp_path: Path) -> None:
    file = events(tmp_path, "id,number\n" + "a,x\n" * 30)

    found = problems(file)

    assert len(found) == 20
    assert found[0] == Problem(
        "visits.csv, row 1, field pages", "'x'", "is not a whole number", "write a whole number of 32 bits"
    )
    assert found[-1].key == "visits.csv, row 20, field pages"


def test_a_long_value_is_cut_and_cannot_speak_to_the_terminal(tmp_path: Path) -> None:
    [found] = problems(events(tmp_path, "id,number\na,\x1b[31m" + "x" * 200 + "\n"))

    assert len(found.value) == 80
    assert "\x1b" not in found.value


def test_a_key_field_that_is_no_scalar_is_refused(tmp_path: Path) -> None:
    [found] = problems(events(tmp_path, "id,number\na,1\n", key_field="shop"))

    assert (found.key, found.value) == ("--key-field", "shop")
    assert found.fix == "use one of: id, pages, shop.country"


def test_columns_that_are_not_sent_and_fields_that_are_made_up_are_told(tmp_path: Path) -> None:
    file = events(tmp_path, "number,target\n1,0\n", fill=True)

    file.check()

    assert file.notes() == [
        "columns without a field in Visit: target",
        "fields without a column, sent as zero: id",
    ]
