"""A CSV file is read as it is written, or refused with the option that reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression

from stream_infer.flow.errors import Misconfigured, Problem
from stream_infer.packaging.csv_layout import CsvLayout, CsvOptions, CsvUnreadable, csv_rows, layout_of
from tests.unit.packaging.workshop import Workshop, assert_close, column

VISITS = pd.DataFrame({"amount": [1234.5, 2000.25, 7.0], "visits": [1, 2, 3]})
EVENT = {
    "type": "record",
    "name": "Visit",
    "fields": [{"name": "amount", "type": "double"}, {"name": "visits", "type": "int"}],
}
MODEL = LinearRegression().fit(VISITS, VISITS["amount"] * 2)


def problems(workshop: Workshop, text: str, *, encoding: str = "utf-8", **csv: Any) -> tuple[Problem, ...]:
    """Return the problems of a package whose golden rows are `text`."""
    golden = workshop.folder / "golden.csv"
    golden.write_text(text, encoding)
    with pytest.raises(Misconfigured) as raised:
        workshop.create(MODEL, golden, schema=EVENT, csv=CsvOptions(**csv))
    assert not workshop.package.exists()
    return raised.value.problems


READABLE = {
    "digit groups": ('amount,visits\n"1,234.5",3\n"2,000.25",1\n', {"thousands": ","}),
    "semicolons": ("amount;visits\n1234,5;3\n2000,25;1\n", {"separator": ";", "decimal": ","}),
    "German": (
        "amount;visits\n1.234,5;3\n2.000,25;1\n",
        {"separator": ";", "decimal": ",", "thousands": "."},
    ),
    "tabs": ("amount\tvisits\n1234.5\t3\n2000.25\t1\n", {"separator": "tab"}),
    "Latin-1": ("ort,amount,visits\nKöln,1234.5,3\nKöln,2000.25,1\n", {"encoding": "latin-1"}),
    "UTF-16": ("amount,visits\n1234.5,3\n2000.25,1\n", {"encoding": "utf-16"}),
    "byte order mark": ("amount,visits\n1234.5,3\n2000.25,1\n", {"encoding": "UTF-8-SIG"}),
}


@pytest.mark.parametrize("name", READABLE)
def test_a_sample_is_read_as_its_options_say(workshop: Workshop, name: str) -> None:
    text, csv = READABLE[name]
    golden = workshop.folder / "golden.csv"
    golden.write_text(text, csv.get("encoding", "utf-8"))

    workshop.create(MODEL, golden, schema=EVENT, csv=CsvOptions(**csv))

    events = [{"amount": 1234.5, "visits": 3}]
    assert_close(column(workshop.answers(events), "value"), MODEL.predict(pd.DataFrame(events)))


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        ('amount,visits\n"1,234.5",3\n', "has the text '1,234.5', and field 'amount' is double",
         "--csv-thousands ','"),
        ('amount,visits\n"1.234,5",3\n', "has the text '1.234,5'", "--csv-decimal ',' --csv-thousands '.'"),
        ('amount,visits\n"1234,5",3\n', "has the text '1234,5'", "give --csv-decimal ','"),
        ('amount,visits\n"1,234",3\n', "has the text '1,234'", "--csv-decimal ',' if it is the decimal mark"),
        ("amount,visits\n$1234.5,3\n", "has the text '$1234.5'", "without $"),
        ("amount,visits\n12 €,3\n", "has the text '12 €'", "without €"),
        ("amount,visits\n1-2,3\n", "has the text '1-2'", "write plain numbers, such as 1234.5"),
        ("amount;visits\n1234,5;3\n", "the header is one column, 'amount;visits'", "--csv-separator ';'"),
        ("amount\tvisits\n1234.5\t3\n", "its cells look separated by tab",
         "--csv-separator tab"),
        ("amount,visits\n1234.5,3,\n2000,1,\n", "row 1 has 3 cells, and the header has 2: it ends in",
         "remove the separator at the end"),
        ("amount,visits\n1234.5,3\n1,2,3\n", "row 2 has 3 cells", "needs quotes"),
        ("amount,visits\n1234.5,3\n1\n", "row 2 has 1 cells", "correct or remove the row"),
        ("amount,amount\n1234.5,3\n", "the header has amount more than once", "one name"),
    ],
)  # fmt: skip
def test_a_sample_that_would_be_read_wrongly_is_refused_with_a_way_on(
    workshop: Workshop, text: str, message: str, fix: str
) -> None:
    [problem] = problems(workshop, text)

    assert problem.key == "--golden"
    assert message in problem.message
    assert fix in problem.fix


@pytest.mark.parametrize(("encoding", "fix"), [("latin-1", "latin-1"), ("utf-16", "utf-16")])
def test_another_encoding_is_refused_with_its_option(workshop: Workshop, encoding: str, fix: str) -> None:
    [problem] = problems(workshop, "ort,amount,visits\nKöln,1,2\n", encoding=encoding)

    assert "is not utf-8" in problem.message
    assert f"--csv-encoding {fix}" in problem.fix


def test_a_decimal_mark_is_not_read_as_digit_groups(workshop: Workshop) -> None:
    [problem] = problems(workshop, 'amount,visits\n"1,5",3\n', thousands=",")

    assert "row 1 column 'amount' has '1,5', and --csv-thousands ',' groups three digits" in problem.message


def test_one_column_with_a_semicolon_in_its_name_is_taken_with_the_option(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a;b\n1\n")

    with pytest.raises(CsvUnreadable):
        list(csv_rows(tmp_path / "a.csv", CsvLayout()))
    assert list(csv_rows(tmp_path / "a.csv", CsvLayout(","))) == [["a;b"], ["1"]]


def test_text_in_a_parquet_column_of_numbers_is_named(workshop: Workshop) -> None:
    golden = workshop.folder / "golden.parquet"
    VISITS.astype({"amount": str}).to_parquet(golden)

    with pytest.raises(Misconfigured) as raised:
        workshop.create(MODEL, golden, schema=EVENT)

    [problem] = raised.value.problems
    assert problem.message == "column 'amount' has the text '1234.5', and field 'amount' is double"
    assert problem.fix == "make it a column of numbers"


def test_options_that_contradict_each_other_or_are_unknown_are_all_named() -> None:
    with pytest.raises(Misconfigured) as raised:
        layout_of(CsvOptions(separator="ab", decimal="1", thousands="1", encoding="klingon"))

    keys = [problem.key for problem in raised.value.problems]
    assert keys == [
        "--csv-separator",
        "--csv-decimal",
        "--csv-thousands",
        "--csv-thousands",
        "--csv-encoding",
    ]
