from __future__ import annotations

import io
import json
import socket
from typing import Any

import pytest
from rich.console import Console

from stream_infer.demo.chapters import Chapter, DemoRun, Interrupted, NotObserved, run_chapters
from stream_infer.demo.page import free_port, has_browser
from stream_infer.demo.report import ChapterResult, DemoReport
from stream_infer.demo.screen import JsonScreen, TextScreen
from stream_infer.demo.story import check_switch
from stream_infer.demo.tally import Tally
from stream_infer.runtime.stop import Stop


def demo_run(stop: Stop | None = None) -> Any:
    """Return a run for chapters that neither send nor read."""
    nothing: Any = None
    return DemoRun(nothing, nothing, nothing, nothing, nothing, Tally(), JsonScreen(), stop or Stop())


def happens(_: DemoRun) -> tuple[str, dict[str, object]]:
    return "It did.", {"pages": 3}


def does_not(_: DemoRun) -> tuple[str, dict[str, object]]:
    raise NotObserved("nothing came.")


def is_left(_: DemoRun) -> tuple[str, dict[str, object]]:
    raise Interrupted


def played(*plays: Any) -> list[ChapterResult]:
    chapters = [Chapter(f"c{number}", f"Chapter {number}", play) for number, play in enumerate(plays)]
    return list(run_chapters(demo_run(), chapters))


def report(chapters: list[ChapterResult], **differences: Any) -> DemoReport:
    whole: dict[str, Any] = {
        "broker": "mock",
        "delivery": "none",
        "seed": 0,
        "seconds": 1.0,
        "chapters": chapters,
        "untold": [],
        "pages_sent": 10,
        "predictions": {"1.0.0": 9},
        "dead_letters": {"truncated": 1},
        "unanswered": 0,
        "answered_twice": 0,
    }
    return DemoReport(**{**whole, **differences})


def test_no_chapter_runs_after_one_that_failed() -> None:
    chapters = played(happens, does_not, happens)

    assert [(one.name, one.happened, one.outcome) for one in chapters] == [
        ("c0", True, "It did."),
        ("c1", False, "nothing came."),
    ]
    assert chapters[0].facts == {"pages": 3}


def test_an_interrupt_keeps_the_results_so_far() -> None:
    assert [one.name for one in played(happens, is_left, happens)] == ["c0"]


def test_a_stop_interrupts_the_wait_of_a_chapter() -> None:
    stop = Stop()
    stop.request()

    with pytest.raises(Interrupted):
        demo_run(stop).wait_for(lambda: None, "nothing came")


@pytest.mark.parametrize(
    ("chapters", "differences", "problem"),
    [
        ([does_not], {}, "Chapter 'Chapter 0' failed: nothing came."),
        ([happens], {"untold": ["The end"]}, "Not run: The end."),
        ([happens], {"unanswered": 2}, "2 pages have no answer."),
        ([happens], {"answered_twice": 3}, "3 answers are duplicates."),
    ],
)
def test_each_problem_is_named_and_makes_the_report_fail(
    chapters: list[Any], differences: dict[str, Any], problem: str
) -> None:
    found = report(played(*chapters), **differences)

    assert found.problems == [problem]
    assert not found.ok
    assert report(played(happens)).ok


def activated(*ranges: tuple[int, int]) -> dict[str, Any]:
    return {"ranges": [{"partition": partition, "first_offset": first} for partition, first in ranges]}


def test_a_switch_at_another_offset_than_the_announced_one_is_found() -> None:
    tally = Tally()
    tally.last = {("1.0.0", 0): 99, ("1.0.0", 1): 50}
    tally.first = {("1.1.0", 0): 101, ("1.1.0", 1): 51}

    assert check_switch(tally, activated((0, 100), (1, 51), (2, 0))) == 3
    with pytest.raises(NotObserved, match="partition 0"):
        check_switch(tally, activated((0, 99)))  # 1.0.0 has answered it
    with pytest.raises(NotObserved, match="partition 1"):
        check_switch(tally, activated((1, 52)))  # 1.1.0 had begun before


def test_a_busy_port_makes_the_demo_take_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        busy = other.getsockname()[1]

        assert free_port(busy) != busy


def drift() -> dict[str, Any]:
    return {
        "time": 1_790_000_000_000,
        "severity": "warning",
        "type": "drift.detected",
        "summary": "mean of feature 'is_popular' went from 0.5 to 0.9 since pages/0 offset 6400, model 1.0.0",
        "drift": {
            "feature": "is_popular",
            "signal": "mean",
            "detector": "PageHinkley",
            "statistic": 12.5,
            "threshold": 6.0,
            "reference": {"mean": 0.5},
            "current": {"mean": 0.9},
        },
        "performance": None,
        "ranges": [],
        "model_version": "1.0.0",
        "incident_id": "a1b2",
    }


def test_a_pipe_gets_lines_of_80_columns_without_control_characters() -> None:
    file = io.StringIO()
    screen = TextScreen(Console(file=file, width=80, highlight=False))
    with screen:
        screen.say("A paragraph that is longer than a line of eighty columns, and goes on in the next one.")
        screen.chapter(1, "The inputs shift")
        screen.event(drift())
        screen.progress(Tally(sent=3, predicted=2, serving="1.0.0"))
        screen.result(ChapterResult("c", "The inputs shift", True, "It was named.", 1.0))
        screen.summary(report(played(happens, does_not)), ["Go on."])

    lines = file.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines), max(lines, key=len)
    assert all(line.isprintable() for line in lines)
    text = " ".join(file.getvalue().split())
    assert "warning drift.detected mean of feature 'is_popular' went from 0.5 to 0.9" in text
    assert "Chapter 'Chapter 1' failed: nothing came." in text


def test_machines_get_one_object_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    with JsonScreen() as screen:
        screen.say("hello")
        screen.summary(report(played(happens, does_not)), ["Go on."])

    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    assert document["problems"] == ["Chapter 'Chapter 1' failed: nothing came."]
    assert [one["happened"] for one in document["chapters"]] == [True, False]
    assert document["chapters"][0]["facts"] == {"pages": 3}


@pytest.mark.parametrize(
    ("output", "environ", "there"),
    [
        ("terminal", {"DISPLAY": ":0"}, True),
        ("terminal", {"WAYLAND_DISPLAY": "wayland-0"}, True),
        ("terminal", {}, False),
        ("file", {"DISPLAY": ":0"}, False),
    ],
)
def test_a_browser_is_opened_only_where_somebody_looks(
    monkeypatch: pytest.MonkeyPatch, output: str, environ: dict[str, str], *, there: bool
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("sys.stdout.isatty", lambda: output == "terminal")

    assert has_browser(environ) is there
