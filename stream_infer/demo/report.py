"""What came of the demo: each chapter with its facts, the books of pages and answers, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ChapterResult:
    """A chapter: whether it happened, in a sentence, and the facts that were read back from the topics."""

    name: str
    title: str
    happened: bool
    outcome: str
    seconds: float
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoReport:
    """The whole. `predictions` are by model version, `dead_letters` by the class of their error."""

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
        """Whether everything happened, and every page had exactly one answer."""
        return not self.problems

    @property
    def problems(self) -> list[str]:
        """What did not come out as it should, a sentence each."""
        return list(self._problems())

    def _problems(self) -> Iterator[str]:
        for told in self.chapters:
            if not told.happened:
                yield f"The chapter '{told.title}' did not happen: {told.outcome}"
        if self.untold:
            yield f"Not told: {', '.join(self.untold)}."
        if self.unanswered:
            yield f"{self.unanswered} pages have no answer."
        if self.answered_twice:
            yield f"{self.answered_twice} answers are to pages that had one before."
