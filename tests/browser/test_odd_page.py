"""Odd pipelines on the page: texts are never markup, long lists are short, and what is missing is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stream_infer.dashboard.documents import ReadingProgress
from stream_infer.dashboard.page_access import PageAccess
from stream_infer.dashboard.page_documents import event_documents, figure_documents, frame_documents
from stream_infer.dashboard.page_files import load_page_files
from stream_infer.dashboard.page_server import page_application
from stream_infer.dashboard.pipeline_state import LagView, PipelineState, WorkerView, empty_state
from stream_infer.dashboard.published import PageCell
from stream_infer.drift.frames import FEATURE_CATEGORY, FEATURE_NUMBER, ColumnSummary
from stream_infer.drift.reference import Reference, ReferenceColumn
from stream_infer.ops.http import HttpServer, Listening
from tests.support.browser import Browser, violations
from tests.support.worker_process import until
from tests.unit.dashboard.observed import DIGEST, NOW_MS, drift, event, frame, measured

MARKUP = (
    '<img src="//evil.example/x" onerror="document.title=1"><b>bold</b> <a href="javascript:x()">link</a>'
)
LONG = "f" * 200
DONE = ReadingProgress(1.0, 0.2, caught_up=True)
TOKEN = "0123456789abcdef"  # noqa: S105 - of this test alone
FILES = load_page_files()

pytestmark = pytest.mark.slow


@contextmanager
def shown(state: PipelineState, access: PageAccess | None = None) -> Iterator[str]:
    """Show a state on a page of its own; yield its address."""
    cell = PageCell()
    of_frames, details = frame_documents(state, NOW_MS)
    cell.publish(
        {**figure_documents(state, "shop", DONE, NOW_MS), **event_documents(state), **of_frames}, details
    )
    application = page_application(cell, FILES, access or PageAccess(None, is_local=True))
    with HttpServer(application, Listening(port=0)) as server:
        yield f"{server.url}/"


def is_live(browser: Browser) -> bool:
    return browser.text("#connection") == "Live" and browser.count("#figures dd") > 0


def show(browser: Browser, url: str) -> None:
    browser.open("about:blank")
    browser.console_errors()
    browser.hosts_asked()
    browser.show_as(width=1280, height=900)
    browser.open(url)
    until("the page is live", lambda: is_live(browser))


def odd_state() -> PipelineState:
    """Return a pipeline in which every text is markup, or long."""
    number = ReferenceColumn(
        MARKUP, FEATURE_NUMBER, 100, mean=1, stddev=1, low=0, high=2, edges=(0.0, 1.0, 2.0),
        shares=(0, 0.5, 0.5, 0),
    )  # fmt: skip
    categories = ReferenceColumn(
        LONG, FEATURE_CATEGORY, 100, categories=(MARKUP, "<script>alert(1)</script>"), shares=(0.5, 0.5, 0.0)
    )
    known = Reference(100, {(one.kind, one.name): one for one in (number, categories)})
    state = empty_state(lambda _: known, shows_payload=True)
    signals = [
        ColumnSummary(MARKUP, FEATURE_NUMBER, 600, mean=5.0, m2=6.0, high=9, bins=(0, 300, 200, 100)),
        ColumnSummary(LONG, FEATURE_CATEGORY, 600, bins=(500, 50, 50)),
    ]
    state.take_frame(frame(signals), NOW_MS - 1_000)
    members = ", ".join(f"mean of feature 'member {n} {MARKUP if n == 7 else ''}'" for n in range(300))
    opened = {"state": "open", "also": members}
    state.take_event(
        event(
            "drift.detected",
            MARKUP,
            summary=MARKUP,
            drift=drift(MARKUP),
            attributes=opened,
            severity="critical",
        )
    )
    refused = {"reason": MARKUP, "reason_code": "digest"}
    state.take_event(event("model.rejected", summary=MARKUP, model=refused))
    state.take_event(
        event(
            "performance", model_version=MARKUP, performance=measured("accuracy", 0.5, 100), time=NOW_MS - 1
        )
    )
    headers = [("streaminfer.error.class", MARKUP.encode()), ("__dlq.errors.message", MARKUP.encode())]
    state.letters.take((MARKUP, 0, 1), NOW_MS, MARKUP.encode(), MARKUP.encode(), headers)
    state.workers = {
        MARKUP: WorkerView(
            name=MARKUP, state=MARKUP, version=MARKUP, digest=DIGEST, generation=1, partitions=4,
            serves_since_ms=10**18, updated_ms=NOW_MS, refused=MARKUP, member=False,
        )
    }  # fmt: skip
    state.troubles = (MARKUP,)
    state.lag = LagView((), MARKUP)
    return state


@pytest.fixture(scope="module")
def odd() -> Iterator[str]:
    with shown(odd_state()) as url:
        yield url


def test_markup_in_any_text_is_shown_and_never_interpreted(browser: Browser, odd: str) -> None:
    show(browser, odd)
    until("charts are drawn", lambda: browser.count("#column-list .main-svg") > 0)
    browser.run("for (const one of document.querySelectorAll('details')) one.open = true")

    assert browser.count("main img, main b, main script, main a[href^=javascript], svg a, svg image") == 0
    places = ("#troubles", "#reading", "#incident-list", "#timeline-list", "#worker-table", "#column-list h3",
              "#metric-table", "#letter-list summary", "#letter-list dd")  # fmt: skip
    assert [place for place in places if MARKUP not in browser.run(
        "return [...document.querySelectorAll(arguments[0])].map((one) => one.textContent).join()", place
    )] == []  # fmt: skip
    legends = browser.run(
        "return [...document.querySelectorAll('.legendtext')].map((one) => one.textContent)"
    )
    assert any(text.startswith("<img src=") for text in legends)
    assert browser.run("return document.title") == "(1) shop: stream_infer"
    assert browser.hosts_asked() == {odd.removeprefix("http://").rstrip("/")}
    assert browser.console_errors() == []


@pytest.mark.parametrize("width", [1280, 390])
def test_long_names_and_three_hundred_members_keep_to_the_width_and_the_rules(
    browser: Browser, odd: str, width: int
) -> None:
    show(browser, odd)
    browser.show_as(width=width, height=900)
    until("charts are drawn", lambda: browser.count("#column-list .main-svg") > 0)

    assert browser.run("return document.documentElement.scrollWidth - innerWidth") <= 0
    assert "300 members" in browser.text("#incident-list summary")
    assert not browser.run("return document.querySelector('#incident-list details').open")
    assert violations(browser) == []


def test_a_link_holds_an_incident_whose_id_is_odd(browser: Browser, odd: str) -> None:
    show(browser, odd)
    browser.run("document.querySelector('#incident-list a').click()")

    until("it is named", lambda: browser.count("li.named") == 1)
    assert browser.run("return document.querySelector('li.named').dataset.incident") == MARKUP


def test_five_hundred_classes_and_two_hundred_features_are_shown_some_at_a_time(browser: Browser) -> None:
    classes = tuple(f"class <{n:03}>" for n in range(500))
    label = ReferenceColumn(
        "label", "output.category", 500, categories=classes, shares=(*[1 / 500] * 500, 0.0)
    )
    state = empty_state(lambda _: Reference(500, {(label.kind, label.name): label}))
    many = [ColumnSummary(f"feature_{n}", FEATURE_NUMBER, 600, mean=1.0) for n in range(200)]
    state.take_frame(
        frame([*many, ColumnSummary("label", "output.category", 600, bins=(100, *[1] * 500))]), NOW_MS
    )
    with shown(state) as url:
        show(browser, url)
        until("cards are there", lambda: browser.count("#column-list > li") == 12)
        until("charts are drawn", lambda: browser.count("#column-list .main-svg") > 0)
        assert browser.text("#place") == "1 to 12 of 201"
        assert browser.text("#column-list h3") == "label"
        browser.run("document.getElementById('next').click()")
        until("the next ones are there", lambda: browser.text("#place") == "13 to 24 of 201")
        assert violations(browser) == []
        assert browser.console_errors() == []


def test_an_empty_pipeline_says_so_in_every_section(browser: Browser) -> None:
    with shown(empty_state(lambda _: None)) as url:
        show(browser, url)
        until("features are told", lambda: "No feature was observed yet" in browser.text("#column-note"))

        text = browser.text()
        for sentence in (
            "The lag is unknown: not asked yet.",
            "No incident in the history.",
            "No worker has told its status.",
            "Nothing is known of the model yet.",
            "No metric was published",
            "No dead letter in the history.",
        ):
            assert sentence in text
        assert violations(browser) == []
        assert browser.console_errors() == []


def test_beyond_this_machine_the_page_asks_for_its_token(browser: Browser) -> None:
    state = empty_state(lambda _: None)
    with shown(state, PageAccess(TOKEN, is_local=False)) as url:
        browser.open(url)
        until("it asks", lambda: browser.text("#connection") == "A token is needed")
        assert violations(browser) == []
        submit = (
            "document.getElementById('token').value = arguments[0];"
            "document.querySelector('form button').click()"
        )
        browser.run(submit, "wrong")
        until("it refuses", lambda: browser.text("#token-refused") == "This token was refused.")
        browser.run(submit, TOKEN)
        until("it is live", lambda: is_live(browser))
        browser.open(url)
        until("it is live again", lambda: is_live(browser))
