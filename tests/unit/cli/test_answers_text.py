"""What `stream-infer send` prints."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from stream_infer.app.answers import EventPrediction, EventRejection
from stream_infer.app.send import SendReport
from stream_infer.cli.answers import AnswerPrinter, prediction_text, rejection_text


def prediction(offset: int, **more: object) -> EventPrediction:
    fields: dict[str, object] = {"label": None, "score": None, "value": None, "values": None, **more}
    return EventPrediction(id=f"shop/0/{offset}", model_name="fraud", model_version="1.0", **fields)  # type: ignore[arg-type]


def rejection(offset: int) -> EventRejection:
    return EventRejection(id=f"shop/0/{offset}", stage="validate", error_class="nan", message="a\nis NaN")


def report(predicted: int, rejected: Mapping[str, int], *, interrupted: bool = False) -> SendReport:
    return SendReport(
        topic="shop",
        schema="Visit",
        sent=10,
        predicted=predicted,
        rejected=rejected,
        interrupted=interrupted,
        seconds=2.0,
    )


def test_a_prediction_is_a_line_with_what_the_model_gives() -> None:
    classified = prediction(3, label="yes", score=0.1234567)

    assert prediction_text(classified) == "shop/0/3  label yes  score 0.123457  model fraud 1.0"
    assert prediction_text(prediction(4, value=12.5)) == "shop/0/4  value 12.5  model fraud 1.0"
    several = prediction(5, values={"low": 1.5, "high": 2.0})
    assert prediction_text(several) == "shop/0/5  low 1.5  high 2  model fraud 1.0"


def test_a_dead_letter_is_one_line() -> None:
    assert rejection_text(rejection(5)) == "shop/0/5  dead letter nan (validate): a is NaN"


def test_only_the_first_of_each_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    printer = AnswerPrinter(show=1, as_json=False)
    printer.note("sending")
    for answer in (prediction(0), prediction(1), rejection(2), rejection(3)):
        printer.answer(answer)
    printer.end(report(8, {"raised": 1, "nan": 1}), 30.0)

    out, err = capsys.readouterr()
    assert [line.split()[0] for line in out.splitlines()] == ["sending", "shop/0/0", "shop/0/2", "sent"]
    assert out.splitlines()[-1] == "sent 10, answered 10: 8 predictions, 2 dead letters (1 nan, 1 raised)"
    assert err == ""


@pytest.mark.parametrize(
    ("timeout_s", "interrupted", "told"), [(30.0, False, True), (0.0, False, False), (30.0, True, False)]
)
def test_missing_answers_are_an_error_where_they_were_waited_for(
    capsys: pytest.CaptureFixture[str], *, timeout_s: float, interrupted: bool, told: bool
) -> None:
    AnswerPrinter(show=1, as_json=False).end(report(8, {}, interrupted=interrupted), timeout_s)

    assert ("no answer to 2 events" in capsys.readouterr().err) is told


def test_a_machine_gets_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    printer = AnswerPrinter(show=5, as_json=True)
    printer.note("sending")
    printer.answer(prediction(0, value=1.0))
    printer.answer(rejection(1))
    printer.end(report(8, {"nan": 1}), 30.0)

    document = json.loads(capsys.readouterr().out)
    assert (document["sent"], document["answered"], document["unanswered"]) == (10, 9, 1)
    assert document["rejected"] == {"nan": 1}
    assert document["notes"] == ["sending"]
    assert document["predictions"][0]["value"] == 1.0
    assert document["dead_letters"][0]["error_class"] == "nan"
