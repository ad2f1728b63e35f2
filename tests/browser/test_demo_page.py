"""The demo on its page, read as a person reads it: texts and roles, by mouse and keyboard, light and dark."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import Browser, violations
from tests.support.worker_process import until

PICTURE = "STREAM_INFER_PICTURE"
WITHIN_S = 120.0
HEADINGS = [
    "Now", "Incidents", "Traffic", "Workers", "Model timeline", "Features and scores", "Accuracy",
    "Dead letters",
]  # fmt: skip
LOOKS = {"light": (1280, 900), "dark": (1280, 900), "narrow": (390, 844)}

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Demo:
    """A demo that runs on and on, its page, and what it prints."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def printed(self) -> str:
        return self.log.read_text("utf-8")

    def state(self) -> Any:
        with urllib.request.urlopen(f"{self.url}v1/state", timeout=20) as answer:  # noqa: S310 - loopback
            return json.load(answer)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    log = tmp_path_factory.mktemp("demo") / "log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "stream_infer.cli.main", "demo", "--no-browser"],
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        until("the demo names its page", lambda: address(log) is not None, within_s=WITHIN_S)
        yield Demo(process, address(log) or "", log)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait()


def address(log: Path) -> str | None:
    found = re.search(r"on a page:\s+(http://127\.0\.0\.1:\d+/)", log.read_text("utf-8"))
    return found[1] if found else None


def shows(browser: Browser, selector: str, pattern: str) -> Callable[[], bool]:
    return lambda: re.search(pattern, browser.text(selector)) is not None


def test_the_address_is_told_before_the_first_prediction_and_the_page_follows_all_chapters(
    demo: Demo, browser: Browser
) -> None:
    assert "1  Usual traffic" not in demo.printed().partition(demo.url)[0]
    browser.open(demo.url)
    until("the page is live", shows(browser, "#connection", "Live"), within_s=WITHIN_S)
    until("there are predictions", lambda: number(browser, "Events in the history") > 0, within_s=WITHIN_S)
    until("the shift is an incident", shows(browser, "#incident-list", "is_popular"), within_s=WITHIN_S)
    until(
        "the swap is on the timeline",
        shows(browser, "#timeline-list", r"phishing 1\.1\.0 replaces 1\.0\.0"),
        within_s=WITHIN_S,
    )
    until("the tampered package is refused", shows(browser, "#timeline-list", "digest"), within_s=WITHIN_S)
    until("the worker serves the challenger", shows(browser, "#worker-table", r"1\.1\.0"), within_s=WITHIN_S)
    until("accuracy of both", shows(browser, "#metric-table", r"1\.1\.0[^%]+accuracy"), within_s=WITHIN_S)
    assert "truncated" in browser.text("#letter-note")
    until(
        "the last chapter is told", lambda: "last chapter" in demo.log.read_text("utf-8"), within_s=WITHIN_S
    )


def number(browser: Browser, name: str) -> float:
    """Return the figure of this name."""
    script = (
        "const names = [...document.querySelectorAll('dt')];"
        "return names.find((one) => one.innerText === arguments[0])?.nextSibling.innerText ?? '0'"
    )
    return float(re.sub(r"[^\d.]", "", browser.run(script, name)) or 0)


def test_figures_on_the_page_are_those_of_the_server(demo: Demo, browser: Browser) -> None:
    def agree() -> bool:
        head = demo.state()["head"]
        shown = number(browser, "Events in the history")
        open_ones = number(browser, "Open incidents")
        return 0 <= head["records"] - shown < 20_000 and open_ones == head["open_incidents"]

    until("page and server agree", agree, within_s=WITHIN_S)


@pytest.mark.parametrize("look", LOOKS)
def test_it_can_be_read_by_everybody_and_fits_its_window(demo: Demo, browser: Browser, look: str) -> None:
    width, height = LOOKS[look]
    browser.show_as(width=width, height=height, scheme="dark" if look == "dark" else "light")
    browser.open(demo.url)
    until(
        "charts are drawn",
        lambda: browser.count("#column-list .main-svg") > 0,
    )

    assert violations(browser) == []
    assert browser.run("return document.documentElement.scrollWidth - innerWidth") <= 0
    headings = browser.run("return [...document.querySelectorAll('h1, h2')].map((one) => one.innerText)")
    assert headings[1:] == HEADINGS
    charts = browser.run(
        "const charts = [...document.querySelectorAll('.chart')];"
        "return charts.map((one) => [one.getAttribute('role'), one.ariaLabel])"
    )
    assert all(role == "img" and label for role, label in charts)


def test_the_link_of_an_incident_holds_it(demo: Demo, browser: Browser) -> None:
    incident = next(
        one for one in demo.state()["incidents"]["incidents"] if one["features"] == ["is_popular"]
    )
    browser.open("about:blank")
    browser.open(f"{demo.url}#incident={incident['id']}")

    focused = "return document.activeElement.dataset.incident"
    until("the incident is focused", lambda: browser.run(focused) == incident["id"])
    assert f"incident {incident['id']}" in browser.text("li.named")
    assert "Offsets" in browser.text("li.named")

    browser.open("about:blank")
    browser.open(f"{demo.url}#incident=unknown")
    until("it says so", shows(browser, "#incident-note", "Incident unknown is not in the history"))


def test_it_is_used_by_keyboard(demo: Demo, browser: Browser) -> None:
    browser.show_as(width=1280, height=900)
    browser.open("about:blank")
    browser.open(demo.url)
    until(
        "letters are there",
        lambda: browser.count("#letter-list summary") > 0,
    )
    focused = "return document.activeElement.innerText"
    browser.press("Tab")
    assert browser.run(focused) == "Skip to the incidents"

    browser.run("document.getElementById('filter').focus()")
    for key in "https":
        browser.press(key)
    cards = "return [...document.querySelectorAll('#column-list h3')].map((one) => one.innerText)"
    until("only what was asked for is shown", lambda: browser.run(cards) == ["https"])

    browser.run("document.querySelector('#spans button:nth-child(2)').focus()")
    browser.press("Enter")
    pressed = "return document.querySelector('#spans [aria-pressed=true]').innerText"
    assert browser.run(pressed) == "a day"

    browser.run("document.querySelector('#letter-list summary').focus()")
    browser.press("Enter")
    until(
        "headers are shown",
        lambda: browser.count("#letter-list details[open]") == 1,
    )
    assert "streaminfer.error.class" in browser.text("#letter-list details[open]")
    assert "value" not in browser.text("#letter-list details[open]").split("\n")


def test_nothing_was_asked_of_another_machine_and_the_console_is_empty(demo: Demo, browser: Browser) -> None:
    browser.open(demo.url)
    until("the page is live", shows(browser, "#connection", "Live"))

    assert browser.hosts_asked() == {demo.url.removeprefix("http://").rstrip("/")}
    assert browser.console_errors() == []


def test_a_picture_is_taken_for_the_readme(demo: Demo, browser: Browser) -> None:
    browser.show_as(width=1280, height=1000)
    browser.open("about:blank")
    browser.open(demo.url)
    until(
        "charts are drawn",
        lambda: browser.count("#rate .main-svg") > 0,
    )

    picture = browser.picture()

    assert picture.startswith(b"\x89PNG")
    assert len(picture) < 200_000
    if file := os.environ.get(PICTURE):
        Path(file).write_bytes(picture)


def test_when_the_demo_ends_the_page_says_that_its_figures_are_old(demo: Demo, browser: Browser) -> None:
    browser.open(demo.url)
    until("the page is live", shows(browser, "#connection", "Live"))
    demo.process.send_signal(signal.SIGINT)

    until("the page says so", shows(browser, "#connection", "does not answer"), within_s=WITHIN_S)
    assert demo.process.wait(60) == 0
