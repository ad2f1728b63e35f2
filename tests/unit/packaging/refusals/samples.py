"""Refusals of samples: files, frames, rows, columns and their order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder

from stream_infer.packaging.csv_layout import CsvOptions
from tests.unit.packaging.refusals.bench import (
    DONE,
    FRAME,
    NUMBERS,
    SUM,
    Bench,
    Steps,
    case,
    cases,
    event,
)
from tests.unit.packaging.refusals.models import Tagged

Patch = pytest.MonkeyPatch
FEW = NUMBERS.head(6)
TEXT = FEW.to_csv(index=False)


class Holed(Tagged):
    """A model without an answer to negative numbers."""

    def predict(self, X: Any) -> Any:  # noqa: N803 - scikit-learn's name
        return np.asarray(X["a"].where(X["a"] > 0))


def _column_a(frame: pd.DataFrame) -> pd.DataFrame:
    return frame[["a"]].fillna(0.0)


@cases(
    ("golden.json", "[]", "convert the file to one of these"),
    ("absent.csv", None, "check the path"),
    ("golden.parquet", "x", "give a file that pandas or fastavro can read"),
    ("golden.csv", "a,b\n", "give a few rows"),
    ("golden.csv", "a,a\n1,2\n", "give each column one name"),
    ("golden.csv", TEXT.replace(",", ";"), "give --csv-separator ';'"),
    ("golden.csv", TEXT.replace("\n", ",\n").replace(",\n", "\n", 1), "remove the separator at the end"),
    ("golden.csv", TEXT + "1,2,3\n", "correct or remove the row"),
    ("golden.csv", TEXT + '"' + "1" * 200_000 + '",2\n', "give a file that is whole"),
)
def a_file(bench: Bench, _: Patch, name: str, text: str | None, fix: str) -> Steps:
    path = bench.folder / name if text is None else bench.file(name, text)
    yield fix, lambda: bench.make(golden=path)
    yield DONE, lambda: bench.make(golden=bench.csv("good.csv", FEW))


@case
def semicolons_with_the_option(bench: Bench, _: Patch) -> Steps:
    path = bench.file("golden.csv", TEXT.replace(",", ";"))
    yield "give --csv-separator ';'", lambda: bench.make(golden=path)
    yield DONE, lambda: bench.make(golden=path, csv=CsvOptions(separator=";"))


@case
def another_encoding(bench: Bench, _: Patch) -> Steps:
    path = bench.bytes("golden.csv", FEW.assign(ort="Köln").to_csv(index=False).encode("latin-1"))
    yield "give --csv-encoding latin-1", lambda: bench.make(golden=path)
    yield DONE, lambda: bench.make(golden=path, csv=CsvOptions(encoding="latin-1"))


@cases(
    (CsvOptions(separator=";;"), "give one sign", CsvOptions()),
    (CsvOptions(thousands="."), "give --csv-decimal another sign", CsvOptions(decimal=",", thousands=".")),
    (CsvOptions(encoding="utf-9"), "give a name that Python knows", CsvOptions(encoding="utf-8")),
)
def an_option_of_csv(bench: Bench, _: Patch, wrong: CsvOptions, fix: str, right: CsvOptions) -> Steps:
    path = bench.file("golden.csv", 'a,b\n"1","2"\n')
    yield fix, lambda: bench.make(golden=path, csv=wrong)
    yield DONE, lambda: bench.make(golden=path, csv=right)


@cases(
    ('"1,234.5"', "give --csv-thousands ','", CsvOptions(thousands=",")),
    ('"1.234,5"', "give --csv-decimal ',' --csv-thousands '.'", CsvOptions(decimal=",", thousands=".")),
    ('"1,234"', "give --csv-thousands ','", CsvOptions(thousands=",")),
    ('"1,234"', "--csv-decimal ',' if it is the decimal mark", CsvOptions(decimal=",")),
    ('"1,5"', "give --csv-decimal ','", CsvOptions(decimal=",")),
)
def a_number_as_text(bench: Bench, _: Patch, cell: str, fix: str, right: CsvOptions) -> Steps:
    path = bench.file("golden.csv", f"a,b\n{cell},2\n")
    yield fix, lambda: bench.make(golden=path)
    yield DONE, lambda: bench.make(golden=path, csv=right)


@cases(("$1", "write plain numbers, without $"), ("1.2.3", "write plain numbers, such as 1234.5"))
def a_cell_that_is_no_number(bench: Bench, _: Patch, cell: str, fix: str) -> Steps:
    yield fix, lambda: bench.make(golden=bench.file("golden.csv", f"a,b\n{cell},2\n"))
    yield DONE, lambda: bench.make(golden=bench.file("golden.csv", "a,b\n1.2,2\n"))


@case
def numbers_that_are_text_in_parquet(bench: Bench, _: Patch) -> Steps:
    path = bench.folder / "golden.parquet"
    FEW.assign(a=FEW["a"].astype(str)).to_parquet(path)
    yield "make it a column of numbers", lambda: bench.make(golden=path)
    FEW.to_parquet(bench.folder / "good.parquet")
    yield DONE, lambda: bench.make(golden=bench.folder / "good.parquet")


@case
def digits_in_other_groups(bench: Bench, _: Patch) -> Steps:
    path = bench.file("golden.csv", 'a,b\n"1,5",2\n')
    fix = "correct the cell, or leave --csv-thousands out"
    yield fix, lambda: bench.make(golden=path, csv=CsvOptions(thousands=","))
    yield "give --csv-decimal ','", lambda: bench.make(golden=path)
    yield DONE, lambda: bench.make(golden=path, csv=CsvOptions(decimal=","))


@case
def columns_without_a_name(bench: Bench, _: Patch) -> Steps:
    path = bench.folder / "golden.parquet"
    pd.DataFrame(FEW.to_numpy()).to_parquet(path)
    yield "give each column a name", lambda: bench.make(golden=path)
    FEW.to_parquet(path)
    yield DONE, lambda: bench.make(golden=path)


@case
def too_many_rows(bench: Bench, _: Patch) -> Steps:
    whole = bench.csv("whole.csv", pd.concat([NUMBERS] * 251))
    yield "give a sample, and the whole as --reference", lambda: bench.make(golden=whole)
    yield DONE, lambda: bench.make(reference=whole)


@case
def a_list_in_memory(bench: Bench, _: Patch) -> Steps:
    rows = FEW.to_numpy()
    yield (
        "give a pandas frame or series, or a numpy array",
        lambda: bench.make_in_memory(golden=rows.tolist()),
    )
    yield "name the columns in their order: features=[...]", lambda: bench.make_in_memory(golden=rows)
    yield DONE, lambda: bench.make_in_memory(golden=rows, features=("a", "b"))


@case
def no_rows_in_memory(bench: Bench, _: Patch) -> Steps:
    yield "give rows that the model should score", lambda: bench.make_in_memory(golden=NUMBERS.head(0))
    yield DONE, lambda: bench.make_in_memory(golden=FEW)


@case
def a_column_is_spelt_otherwise(bench: Bench, _: Patch) -> Steps:
    model = LinearRegression().fit(NUMBERS.rename(columns={"a": "amount"}), SUM)
    yield "rename the column: amounts", lambda: bench.make(model, FEW.rename(columns={"a": "amounts"}))
    golden = FEW.rename(columns={"a": "amount"})
    yield "write --map 'amount=FIELD' with one of: ", lambda: bench.make(model, golden)
    yield DONE, lambda: bench.make(model, golden, columns=("amount=a",))


@case
def a_column_is_absent(bench: Bench, _: Patch) -> Steps:
    yield "add the column; the sample has: b", lambda: bench.make(golden=FEW[["b"]])
    yield DONE, lambda: bench.make(golden=FEW)


@case
def the_reference_lacks_a_column(bench: Bench, _: Patch) -> Steps:
    yield "add the column", lambda: bench.make(reference=bench.csv("reference.csv", NUMBERS[["a"]]))
    yield DONE, lambda: bench.make(reference=bench.csv("reference.csv", NUMBERS))


@case
def names_are_given_to_a_model_that_has_them(bench: Bench, _: Patch) -> Steps:
    yield "remove --features", lambda: bench.make(features=("a", "word"))
    yield DONE, bench.make


@case
def another_number_of_columns(bench: Bench, _: Patch) -> Steps:
    model, golden = LinearRegression().fit(NUMBERS.to_numpy(), SUM), FRAME[["word", "a", "b"]].head(6)
    fix = "name the model's columns in its order: --features a,b,c"
    yield fix, lambda: bench.make(model, golden)
    yield fix, lambda: bench.make(model, golden, features=("a",))
    yield DONE, lambda: bench.make(model, golden, features=("a", "b"))


@case
def too_few_columns_for_an_array(bench: Bench, _: Patch) -> Steps:
    model = LinearRegression().fit(NUMBERS.to_numpy(), SUM)
    yield "--features a,b,c", lambda: bench.make(model, FEW[["a"]])
    yield "add the column", lambda: bench.make(model, FEW[["a"]], features=("a", "b"))
    yield DONE, lambda: bench.make(model, FEW, features=("a", "b"))


@case
def an_order_that_nobody_knows(bench: Bench, _: Patch) -> Steps:
    model, golden = LinearRegression().fit(NUMBERS.to_numpy(), SUM), FEW[["b", "a"]]
    yield (
        "name the order that the array had, such as --features b,a or --features a,b",
        lambda: bench.make(model, golden),
    )
    yield DONE, lambda: bench.make(model, golden, features=("a", "b"))


@case
def text_in_an_array_of_numbers(bench: Bench, _: Patch) -> Steps:
    model = LinearRegression().fit(NUMBERS.to_numpy(), SUM)
    fix = "if it takes other columns, name them in its order: --features a,b,c"
    yield fix, lambda: bench.make(model, FRAME[["b", "word"]].head(6))
    yield DONE, lambda: bench.make(model, FRAME[["word", "a", "b"]].head(6), features=("a", "b"))


@case
def a_model_of_an_array_of_text(bench: Bench, _: Patch) -> Steps:
    words = FRAME[["word"]]
    encoded = make_pipeline(OneHotEncoder(), LinearRegression())
    yield "fit it on a frame", lambda: bench.make(encoded.fit(words.to_numpy(), SUM), words)
    yield DONE, lambda: bench.make(encoded.fit(words, SUM), words)


@case
def rows_that_make_the_model_raise(bench: Bench, _: Patch) -> Steps:
    golden = FEW.assign(a=np.nan)
    yield "give a sample like the data the model was trained on", lambda: bench.make(golden=golden)
    yield DONE, lambda: bench.make(golden=FEW)


@case
def rows_of_the_reference_that_make_the_model_raise(bench: Bench, _: Patch) -> Steps:
    holes = bench.csv("reference.csv", NUMBERS.assign(a=np.nan))
    fix = "give a sample like the data the model was trained on"
    yield fix, lambda: bench.make(reference=holes, missing=("a=pass",))
    yield DONE, lambda: bench.make(reference=bench.csv("good.csv", NUMBERS), missing=("a=reject",))


@case
def rows_without_an_answer(bench: Bench, _: Patch) -> Steps:
    yield "leave these rows out, or impute in the pipeline", lambda: bench.make(Holed())
    yield DONE, lambda: bench.make(Holed(), NUMBERS[NUMBERS["a"] > 0].head(12))


@case
def every_row_is_rejected(bench: Bench, _: Patch) -> Steps:
    holes = FEW.assign(a=np.nan)
    fix = "give rows that the model should score"
    yield fix, lambda: bench.make(golden=holes, missing=("a=reject",), nan=("a=reject",))
    yield DONE, lambda: bench.make(missing=("a=reject",), nan=("a=reject",))


@case
def a_row_that_no_event_can_hold(bench: Bench, _: Patch) -> Steps:
    model = make_pipeline(FunctionTransformer(_column_a), LinearRegression()).fit(FRAME[["a", "word"]], SUM)
    kind = {"type": "enum", "name": "Word", "symbols": ["p", "q", "r"]}
    golden = FRAME[["a", "word"]].head(6)
    fix = "give rows that your events can carry"
    yield fix, lambda: bench.make(model, golden.assign(word="s"), schema=event(word=kind))
    yield DONE, lambda: bench.make(model, golden, schema=event(word=kind))


@case
def the_truth_of_the_reference(bench: Bench, _: Patch) -> Steps:
    labelled = bench.csv("labelled.csv", NUMBERS.assign(sum=SUM, word=FRAME["word"]))
    yield "give the labelled training data as --reference", lambda: bench.make(target="summ")
    yield "name the column with the true class", lambda: bench.make(target="summ", reference=labelled)
    yield "name the column with the true numbers", lambda: bench.make(target="word", reference=labelled)
    yield DONE, lambda: bench.make(target="sum", reference=labelled)


@case
def the_truth_of_several_outputs(bench: Bench, _: Patch) -> Steps:
    model = LinearRegression().fit(NUMBERS, NUMBERS)
    given = {"values": ("x", "y"), "reference": bench.csv("labelled.csv", NUMBERS.assign(sum=SUM))}
    yield "leave --target out", lambda: bench.make(model, target="sum", **given)
    yield DONE, lambda: bench.make(model, **given)
