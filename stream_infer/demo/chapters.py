"""How chapters run: each acts, then waits until it observes the effect in the topics. None is scripted."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeVar

from stream_infer.demo.phishing import PhishingData
from stream_infer.demo.report import ChapterResult
from stream_infer.demo.screen import Screen
from stream_infer.demo.tally import Tally
from stream_infer.demo.traffic import DemoReader, PageSender
from stream_infer.runtime.stop import Stop
from stream_infer.store.model_store import ModelStore

_WITHIN_S = 60.0

T = TypeVar("T")
Facts = Mapping[str, object]


class NotObserved(Exception):
    """The effect that a chapter waits for did not occur."""


class Interrupted(Exception):
    """The demo was asked to end, or a part of it failed."""


class Chapter(NamedTuple):
    """A chapter: machine name, title, and the function that runs it and returns its outcome and facts."""

    name: str
    title: str
    play: Callable[[DemoRun], tuple[str, Facts]]


@dataclass(frozen=True, slots=True)
class DemoRun:
    """Everything that chapters use."""

    data: PhishingData
    folder: Path
    store: ModelStore
    sender: PageSender
    reader: DemoReader
    tally: Tally
    screen: Screen
    stop: Stop

    def update(self) -> None:
        """Read new records and show them. Raises `Interrupted`."""
        if self.stop.requested:
            raise Interrupted
        for event in self.reader.read(0.1):
            self.screen.event(event)
        self.screen.progress(self.tally)

    def wait_for(self, found: Callable[[], T | None], otherwise: str) -> T:
        """Return the first value of `found` that is not None.

        Raises `NotObserved` with `otherwise` after a minute without one, and `Interrupted`.
        """
        deadline = time.monotonic() + _WITHIN_S
        while (value := found()) is None:
            if time.monotonic() > deadline:
                raise NotObserved(f"{otherwise} within {_WITHIN_S:.0f} s.")
            self.update()
        return value


def run_chapters(run: DemoRun, chapters: Sequence[Chapter]) -> Sequence[ChapterResult]:
    """Run `chapters` until one fails or the demo is interrupted; return the results."""
    results: list[ChapterResult] = []
    with suppress(Interrupted):
        for number, chapter in enumerate(chapters, 1):
            run.screen.chapter(number, chapter.title)
            results.append(_play(run, chapter))
            run.screen.result(results[-1])
            if not results[-1].happened:
                break
    return results


def _play(run: DemoRun, chapter: Chapter) -> ChapterResult:
    started = time.monotonic()
    facts: Facts = {}
    try:
        outcome, facts = chapter.play(run)
        happened = True
    except NotObserved as failure:
        outcome, happened = str(failure), False
    seconds = round(time.monotonic() - started, 1)
    return ChapterResult(chapter.name, chapter.title, happened, outcome, seconds, facts)
