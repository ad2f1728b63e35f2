"""The report of the demo: each chapter with its facts, the totals, and every problem."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ChapterResult:
    """The result of a chapter; `facts` were read from the topics."""

    name: str
    title: str
    happened: bool
    outcome: str
    seconds: float
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """The whole demo. `predictions` are by model version, `dead_letters` by error class.

    `untold` are the titles of chapters that did not run.
    """

    broker: str
    delivery: str
    seed: int
    seconds: float
    chapters: Sequence[ChapterResult]
    untold: Sequence[str]
    pages_sent: int
    predictions: Mapping[str, int]
    dead_letters: Mapping[str, int]
    unanswered: int
    answered_twice: int

    @property
    def ok(self) -> bool:
        """Whether every effect was observed and every page has exactly one answer."""
        return not self.problems

    @property
    def problems(self) -> list[str]:
        """The problems, one sentence each."""
        return list(self._problems())

    def _problems(self) -> Iterator[str]:
        for result in self.chapters:
            if not result.happened:
                yield f"Chapter '{result.title}' failed: {result.outcome}"
        if self.untold:
            yield f"Not run: {', '.join(self.untold)}."
        if self.unanswered:
            yield f"{self.unanswered} pages have no answer."
        if self.answered_twice:
            yield f"{self.answered_twice} answers are duplicates."
