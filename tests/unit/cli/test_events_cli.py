from __future__ import annotations

import json
import math

import pytest

from stream_infer.cli.events import as_line, moment_ms
from stream_infer.flow.errors import Misconfigured

NOW_MS = 1_790_000_000_000


@pytest.mark.parametrize(
    ("when", "milliseconds"),
    [
        ("90s", NOW_MS - 90_000),
        ("15m", NOW_MS - 900_000),
        ("2h", NOW_MS - 7_200_000),
        ("7d", NOW_MS - 604_800_000),
        ("1970-01-01T00:00:01.5Z", 1_500),
        ("1970-01-01 01:00:00+01:00", 0),
    ],
)
def test_a_time_is_an_age_or_iso_8601_with_a_zone(when: str, milliseconds: int) -> None:
    assert moment_ms(when, NOW_MS) == milliseconds


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("yesterday", "is neither an age nor a time"),
        ("2h30m", "is neither an age nor a time"),
        ("2026-01-31T00:00:00", "has no time zone"),
    ],
)
def test_any_other_text_is_refused_with_its_option(when: str, message: str) -> None:
    with pytest.raises(Misconfigured) as raised:
        moment_ms(when, NOW_MS, "--from")

    [problem] = raised.value.problems
    assert (problem.key, problem.value, problem.message) == ("--from", when, message)


def test_a_line_has_no_number_that_json_lacks() -> None:
    event = {"type": "drift.detected", "drift": {"statistic": math.inf, "values": [1.0, math.nan]}}

    line = json.loads(as_line(event))

    assert line["drift"] == {"statistic": None, "values": [1.0, None]}
