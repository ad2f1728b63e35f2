"""What a person who is woken at night reads: each sentence says what, since when, how much, against what, and
what to look at next."""

from __future__ import annotations

import math
import re

import pytest

from stream_infer.app.event_text import event_text
from stream_infer.drift.aspects import Aspect
from stream_infer.drift.detector_bank import DetectionPolicy
from stream_infer.drift.levels import LevelLimits
from stream_infer.drift.monitor import MonitorPolicy
from stream_infer.drift.pipeline_levels import LevelPolicy
from tests.support.alarm_streams import (
    COLOURS,
    Change,
    Fault,
    Line,
    Told,
    moved,
    nothing_readable,
    put,
    rescored,
    tell,
)

START, WITHIN = 20_000, 10_000
LIMITS = MonitorPolicy(
    levels=LevelPolicy(limits=LevelLimits(0.02, {Aspect.NULLS: 0.05, Aspect.OUT_OF_RANGE: 0.05}))
)
COMPARED_WITH = re.compile(
    r"compared with (the training data \([\d,]+ rows\)|the first [\d,]+ events|a limit of the settings)"
)
COMPARED = MonitorPolicy(detection=DetectionPolicy(compare=("PSI", "KS")))
CASES: dict[str, tuple[Fault, float, int, MonitorPolicy | None]] = {
    "a mean that rises": (moved("weight", 24.0), 1.0, 5_000, None),
    "a mean that falls": (moved("height", -20.0), 1.0, 5_000, None),
    "a mean without a reference": (moved("weight", 24.0), 1.0, 0, None),
    "a small shift": (moved("age", 15.0), 1.0, 5_000, None),
    "a share": (moved("share", 0.3), 1.0, 5_000, None),
    "all null": (put("income", math.nan), 1.0, 5_000, None),
    "half null": (put("income", math.nan), 0.5, 5_000, None),
    "nulls without a reference": (put("income", math.nan), 1.0, 0, None),
    "nulls over a limit": (put("income", math.nan), 0.2, 5_000, LIMITS),
    "infinities": (put("wait", math.inf), 0.5, 5_000, None),
    "a burst of infinities": (put("wait", math.inf), 0.02, 5_000, None),
    "unseen categories": (put("colour", COLOURS), 0.5, 5_000, None),
    "one category": (put("colour", 3.0), 0.5, 5_000, None),
    "a flag that is always true": (put("fraudulent", 1.0), 1.0, 5_000, None),
    "a constant": (put("age", 42.0), 1.0, 5_000, None),
    "a code": (put("size", 3.0), 1.0, 5_000, None),
    "out of range over a limit": (put("wait", 1e9), 0.2, 5_000, LIMITS),
    "dead letters": (nothing_readable, 0.6, 5_000, None),
    "dead letters over a limit": (nothing_readable, 0.1, 5_000, LIMITS),
    "the score alone": (rescored(3.0), 1.0, 5_000, COMPARED),
}


def first_told(name: str) -> Told:
    fault, share, rows, policy = CASES[name]
    line = Line(START + WITHIN, 3, [Change(fault, START, share=share)], rows=rows)
    return next(one for one in tell(line, policy) if one.state == "open")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_a_sentence_says_what_since_when_how_much_against_what_and_what_to_look_at(name: str) -> None:
    told = first_told(name)
    time_ms = round(told.event["time"].timestamp() * 1000)
    sentence = event_text({**told.event, "time": time_ms})

    subject = told.event["attributes"]["subject"]
    assert re.search(r"dead letters|feature '\w+'|of the score", subject)
    assert subject in sentence
    assert re.search(r"since orders/0 offset \d+ \(2025-06-15 \d\d:\d\d:\d\d\+00:00\)", sentence)
    assert len(re.findall(r"\d[\d.e+-]*(?: %)?", sentence.partition(" since ")[0].partition(subject)[2])) >= 2
    assert COMPARED_WITH.search(sentence)
    assert ". Look at " in sentence
    assert "?" not in sentence
