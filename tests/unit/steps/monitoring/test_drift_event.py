"""Events about drift and quality: what moved, from where to where, in the units of the column."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from stream_infer.drift.alarms import Alarm
from stream_infer.drift.aspects import RECORDS, Aspect, Signal
from stream_infer.drift.baseline import LearnedBaseline
from stream_infer.drift.frames import (
    FEATURE_CATEGORY,
    FEATURE_NUMBER,
    OUTPUT_CATEGORY,
    OUTPUT_NUMBER,
    ColumnSummary,
    ObservationFrame,
)
from stream_infer.drift.incident import (
    Ending,
    Incident,
    IncidentOpened,
    IncidentResolved,
    IncidentSettled,
    IncidentUpdated,
    Nature,
    Track,
    TrackKey,
    group_of,
)
from stream_infer.drift.monitor import ReferenceMissing
from stream_infer.drift.reference import LABEL, Reference, ReferenceColumn
from stream_infer.drift.windows import StreamKey
from stream_infer.flow.records import Partition
from stream_infer.steps.monitoring.drift_event import (
    opened_event,
    reference_missing_event,
    resolved_event,
    settled_event,
    updated_event,
)
from stream_infer.steps.monitoring.event_context import EventContext

SOURCE = Partition("events", 2)
REFERENCE = Reference(
    1_000,
    {
        (FEATURE_NUMBER, "amount"): ReferenceColumn(
            "amount", FEATURE_NUMBER, 1_000, nulls=20, mean=5.0, stddev=2.0, low=0.0, high=10.0,
            edges=(0.0, 5.0, 10.0), shares=(0.0, 0.5, 0.5, 0.0),
        ),
        (FEATURE_CATEGORY, "city"): ReferenceColumn(
            "city", FEATURE_CATEGORY, 1_000, categories=("berlin", "cairo"), shares=(0.6, 0.39, 0.01)
        ),
        (OUTPUT_CATEGORY, LABEL): ReferenceColumn(LABEL, OUTPUT_CATEGORY, 1_000),
    },
)  # fmt: skip
AMOUNT = ColumnSummary(
    "amount", FEATURE_NUMBER, count=100, nulls=160, non_finite=32, mean=7.0, m2=99 * 9.0, low=1.0, high=12.0,
    bins=(0, 20, 70, 10),
)  # fmt: skip
CITY = ColumnSummary("city", FEATURE_CATEGORY, count=100, bins=(30, 60, 10))
SCORE = ColumnSummary("score", OUTPUT_NUMBER, count=100, mean=0.25, m2=99 * 0.04)


def frame(*columns: ColumnSummary, first: int = 1_600, dead_letters: int = 80) -> ObservationFrame:
    return ObservationFrame(
        "1.2.0",
        "d1",
        SOURCE,
        first,
        first + 1_599,
        first,
        first + 1_599,
        0,
        0,
        1_600,
        dead_letters,
        100,
        columns,
    )


NOW = frame(AMOUNT, CITY, SCORE)
FIRST = frame(replace(AMOUNT, nulls=8, mean=5.5), replace(SCORE, mean=0.125), first=0, dead_letters=8)
LEARNED = LearnedBaseline(FIRST, {})
WITH_REFERENCE, WITHOUT = EventContext(REFERENCE, LEARNED), EventContext(None, LEARNED)


def incident(signal: Signal, nature: Nature = Nature.DRIFT) -> Incident:
    alarm = Alarm(signal, "PageHinkley", {"delta": 1.5}, 6.5, 5.0, 8.25, 0.5, 1_600)
    tracks = {TrackKey(StreamKey(SOURCE, "d1"), signal): Track(0.5, 1_600, 2, 2)}
    return Incident("abc", nature, alarm, "PageHinkley", "1.2.0", "d1", [group_of(signal)], tracks)


def summary(signal: Signal, context: EventContext = WITH_REFERENCE, shown: ObservationFrame = NOW) -> str:
    event = opened_event("p", IncidentOpened(incident(signal), shown, []), context, 7)
    sentence, where = str(event["summary"]).split(" since ")
    where, _, advice = where.partition(". Look at ")
    place, compared, model = re.split(", (?=[a-z])", where)
    assert (place, model) == ("events/2 offset 1600 (1970-01-01 00:00:00+00:00)", "model 1.2.0")
    assert advice
    column = context.column(signal)
    said = "the first 1,600 events of the pipeline" if context.learned is not None else "the windows before"
    said = said if column is None else f"the training data ({column.rows:,} rows)"
    assert compared == f"compared with {said}"
    return sentence


NUMBER, CATEGORY, OUTPUT = FEATURE_NUMBER, FEATURE_CATEGORY, OUTPUT_NUMBER


@pytest.mark.parametrize(
    ("kind", "aspect", "subject", "change"),
    [
        (NUMBER, Aspect.MEAN, "mean of feature 'amount'", "5 to 7"),
        (NUMBER, Aspect.SPREAD, "standard deviation of feature 'amount'", "2 to 3"),
        (NUMBER, Aspect.NULLS, "null rate of feature 'amount'", "2 % to 10 %"),
        (NUMBER, Aspect.NON_FINITE, "non finite rate of feature 'amount'", "0 % to 2 %"),
        (
            NUMBER,
            Aspect.OUT_OF_RANGE,
            "share out of the reference's range of feature 'amount'",
            "none in training to 10 %",
        ),
        (
            NUMBER,
            Aspect.DISTRIBUTION,
            "distribution of feature 'amount'",
            "median 5 (10 to 90 %: 1 to 9) to median 7.143 (10 to 90 %: 2.5 to 10)",
        ),
        (CATEGORY, Aspect.CATEGORIES, "mix of categories of feature 'city'", "berlin 60 % to 30 %"),
        (
            CATEGORY,
            Aspect.DISTRIBUTION,
            "distribution of feature 'city'",
            "cairo 39 %, berlin 60 % to cairo 60 %, berlin 30 %",
        ),
        (CATEGORY, Aspect.UNSEEN, "share of unseen categories of feature 'city'", "1 % to 10 %"),
        (OUTPUT, Aspect.MEAN, "mean of the score", "0.125 to 0.25"),
        (RECORDS, Aspect.DEAD_LETTERS, "dead letters", "0.5 % to 5 %"),
    ],
)
def test_a_sentence_names_the_signal_its_baseline_and_its_value(
    kind: str, aspect: Aspect, subject: str, change: str
) -> None:
    name = {NUMBER: "amount", CATEGORY: "city", OUTPUT: "score"}.get(kind, "")

    assert summary(Signal(kind, name, aspect)) == f"{subject} went from {change}"


@pytest.mark.parametrize(
    ("aspect", "sentence"),
    [
        (Aspect.MEAN, "mean of feature 'amount' went from 5.5 to 7"),
        (Aspect.SPREAD, "standard deviation of feature 'amount' went from 3 to 3"),
        (Aspect.NULLS, "null rate of feature 'amount' went from 0.5 % to 10 %"),
    ],
)
def test_without_a_reference_the_first_windows_are_the_baseline(aspect: Aspect, sentence: str) -> None:
    assert summary(Signal(FEATURE_NUMBER, "amount", aspect), WITHOUT) == sentence


def test_numbers_that_are_not_known_are_a_question_mark() -> None:
    nothing = EventContext(None, None)

    assert summary(Signal(FEATURE_NUMBER, "amount", Aspect.MEAN), nothing).endswith(" went from ? to 7")
    assert summary(Signal(FEATURE_NUMBER, "amount", Aspect.MEAN), nothing, frame()).endswith("from ? to ?")
    assert summary(Signal(RECORDS, "", Aspect.DEAD_LETTERS), nothing) == "dead letters went from none to 5 %"


def test_an_opened_incident_is_a_warning_with_statistic_range_and_both_distributions() -> None:
    signal, other = Signal(FEATURE_NUMBER, "amount", Aspect.MEAN), Signal(OUTPUT_NUMBER, "score", Aspect.MEAN)
    event = opened_event("p", IncidentOpened(incident(signal), NOW, [other]), WITH_REFERENCE, 7)

    assert str(event["summary"]).endswith(
        ", compared with the training data (1,000 rows), model 1.2.0; with it: mean of the score. "
        "Look at where this feature comes from: a deployment, a unit, a season"
    )
    assert event["id"] == "p/abc/events/2/3199"
    assert (event["type"], event["severity"], event["time"]) == ("drift.detected", "warning", 7)
    assert event["ranges"] == [
        {"topic": "events", "partition": 2, "first_offset": 1_600, "last_offset": None}
    ]
    assert event["drift"] == {
        "signal": "mean",
        "feature": "amount",
        "detector": "PageHinkley",
        "parameters": {"delta": 1.5},
        "statistic": 6.5,
        "threshold": 5.0,
        "reference_kind": "training",
        "sample_size": 100,
        "reference": {
            "count": 1_000, "nulls": 20, "non_finite": 0, "mean": 5.0, "stddev": 2.0, "min": 0.0, "max": 10.0
        },
        "current": {
            "count": 100, "nulls": 160, "non_finite": 32, "mean": 7.0, "stddev": 3.0, "min": 1.0, "max": 12.0
        },
    }  # fmt: skip
    assert event["attributes"] == {
        "compared_with": "the training data (1,000 rows)",
        "raised_by": "PageHinkley",
        "usual": "0.5",
        "value": "8.25",
        "also": "mean of the score",
        "state": "open",
        "subject": "mean of feature 'amount'",
    }


@pytest.mark.parametrize(
    ("ending", "sentence"),
    [
        (Ending.RETURNED, "is back to what it was"),
        (Ending.REPLACED, "ended with the model that it was seen under"),
    ],
)
def test_a_resolved_incident_says_how_it_ended_and_where(ending: Ending, sentence: str) -> None:
    wild = incident(Signal(FEATURE_NUMBER, "amount", Aspect.NON_FINITE), Nature.QUALITY)
    event = resolved_event("p", IncidentResolved(wild, NOW, ending), WITH_REFERENCE, 7)

    assert event["summary"] == (
        f"non finite rate of feature 'amount' {sentence}: 2 %, before 0 % "
        "at events/2 offset 3199, model 1.2.0"
    )
    assert (event["type"], event["severity"]) == ("quality", "info")
    assert event["ranges"] == [
        {"topic": "events", "partition": 2, "first_offset": 1_600, "last_offset": 3_199}
    ]
    assert event["attributes"] == {"state": "resolved", "ending": ending.value}


def test_an_updated_incident_says_what_joined_and_what_moved_further_and_how_far() -> None:
    mean = Signal(FEATURE_NUMBER, "amount", Aspect.MEAN)
    lost, score = mean._replace(aspect=Aspect.NULLS), Signal(OUTPUT_NUMBER, "score", Aspect.MEAN)
    event = updated_event("p", IncidentUpdated(incident(mean), NOW, [score], [lost]), WITH_REFERENCE, 7)

    assert event["summary"] == (
        "mean of the score changed too: 0.25, before 0.125; null rate of feature 'amount' moved further: "
        "10 %, before 2 % at events/2 offset 3199; goes on: mean of feature 'amount', model 1.2.0"
    )
    assert (event["type"], event["severity"]) == ("drift.updated", "warning")
    assert event["attributes"] == {
        "state": "updated",
        "joined": "mean of the score",
        "moved": "null rate of feature 'amount'",
    }
    assert isinstance(event["drift"], dict)
    assert (event["drift"]["signal"], event["drift"]["feature"]) == ("mean", None)


def test_an_update_is_critical_where_most_values_are_missing() -> None:
    mean = Signal(FEATURE_NUMBER, "amount", Aspect.MEAN)
    lost, shown = mean._replace(aspect=Aspect.NULLS), frame(replace(AMOUNT, nulls=1_600))
    event = updated_event("p", IncidentUpdated(incident(mean), shown, [lost], []), WITH_REFERENCE, 7)

    assert event["severity"] == "critical"


def test_a_settled_incident_says_its_level_and_the_one_before() -> None:
    mean = Signal(FEATURE_NUMBER, "amount", Aspect.MEAN)
    event = settled_event("p", IncidentSettled(incident(mean), NOW), WITH_REFERENCE, 7)

    assert event["summary"] == (
        "mean of feature 'amount' keeps its new level: 7, before 5 at events/2 offset 3199, model 1.2.0"
    )
    assert (event["type"], event["severity"]) == ("drift.updated", "info")
    assert event["attributes"] == {"state": "settled"}


def test_a_signal_of_records_and_a_label_without_shares_have_no_training_baseline() -> None:
    for signal in (
        Signal(RECORDS, "", Aspect.DEAD_LETTERS),
        Signal(OUTPUT_CATEGORY, LABEL, Aspect.CATEGORIES),
    ):
        drift = opened_event("p", IncidentOpened(incident(signal), NOW, []), WITH_REFERENCE, 7)["drift"]

        assert isinstance(drift, dict)
        assert (drift["reference_kind"], drift["reference"]) == ("first_windows", None)
        assert (drift["sample_size"], drift["current"]) == (1_600, None)


def test_a_reference_that_is_too_small_is_reported_with_its_rows() -> None:
    event = reference_missing_event("p", ReferenceMissing(NOW, "insufficient_reference", 40), 7)

    assert event["id"] == "p/insufficient_reference/d1"
    assert str(event["summary"]).startswith("model 1.2.0 has a reference of 40 rows: ")
    assert event["attributes"] == {"reason": "insufficient_reference", "rows": "40"}
