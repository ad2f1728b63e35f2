"""The output of the demo: text with live progress for people, one JSON object for machines."""

from __future__ import annotations

import json
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.text import Text

from stream_infer.app.event_text import event_text
from stream_infer.demo.report import ChapterResult, DemoReport
from stream_infer.demo.tally import Event, Tally

_WIDEST = 100
_INDENT = "   "
_PROGRESS_EVERY_S = 5.0
_STYLES = {"warning": "yellow", "critical": "red"}


class Screen(Protocol):
    """Shows the demo while it runs."""

    def say(self, text: str) -> None:
        """Print a paragraph."""

    def quote(self, text: str) -> None:
        """Print lines as they are, indented."""

    def chapter(self, number: int, title: str) -> None:
        """Print the heading of a chapter."""

    def event(self, event: Event) -> None:
        """Print a monitoring event."""

    def result(self, result: ChapterResult) -> None:
        """Print the outcome of a chapter."""

    def progress(self, tally: Tally) -> None:
        """Show rate, answers, accuracy and serving model."""

    def summary(self, report: DemoReport, next_steps: Sequence[str]) -> None:
        """Print the report."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


class JsonScreen:
    """Prints the report only, as one JSON object."""

    def say(self, text: str) -> None:
        pass

    def quote(self, text: str) -> None:
        pass

    def chapter(self, number: int, title: str) -> None:
        pass

    def event(self, event: Event) -> None:
        pass

    def result(self, result: ChapterResult) -> None:
        pass

    def progress(self, tally: Tally) -> None:
        pass

    def summary(self, report: DemoReport, next_steps: Sequence[str]) -> None:
        del next_steps
        document = {"ok": report.ok, **asdict(report), "problems": report.problems}
        sys.stdout.write(json.dumps(document) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


class TextScreen:
    """Prints text as it comes. Progress is a live line on a terminal, and a line every 5 s elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._page = _Page(console)
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._next_progress_s = 0.0

    def say(self, text: str) -> None:
        self._page.paragraph(text)

    def quote(self, text: str) -> None:
        self._page.line(f"\n{textwrap.indent(text.strip(), 2 * _INDENT)}", "dim")

    def chapter(self, number: int, title: str) -> None:
        self._page.line(f"\n{number}  {title}", "bold")

    def event(self, event: Event) -> None:
        self._page.paragraph(event_text(event), _STYLES.get(event["severity"], "cyan"), hanging=_INDENT)

    def result(self, result: ChapterResult) -> None:
        verdict, style = _verdict(result)
        self._page.paragraph(f"{verdict}: {result.outcome}", style)

    def progress(self, tally: Tally) -> None:
        line = f"{_INDENT}{_progress_text(tally)}"
        if self._console.is_terminal:
            self._live.update(Text(line, style="reverse", overflow="ellipsis", no_wrap=True))
        elif time.monotonic() >= self._next_progress_s:
            self._next_progress_s = time.monotonic() + _PROGRESS_EVERY_S
            self._page.line(line)

    def summary(self, report: DemoReport, next_steps: Sequence[str]) -> None:
        self._live.stop()
        page = self._page
        page.line("\nSummary", "bold")
        for result in report.chapters:
            verdict, style = _verdict(result)
            page.row(result.title, f"{verdict}, {result.seconds:.0f} s", style)
        page.line("")
        for name, value in _totals(report).items():
            page.row(name, value)
        for problem in report.problems:
            page.paragraph(problem, "bold red")
        page.line("\nNext", "bold")
        for number, step in enumerate(next_steps, 1):
            page.paragraph(f"{number}. {step}", hanging=_INDENT)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()


class _Page:
    """Indented text of at most 100 columns."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._width = min(console.width, _WIDEST)

    def line(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)
        self._console.file.flush()

    def paragraph(self, text: str, style: str = "", *, hanging: str = "") -> None:
        wrapped = textwrap.fill(
            text,
            self._width,
            initial_indent=_INDENT,
            subsequent_indent=_INDENT + hanging,
            break_long_words=False,
            break_on_hyphens=False,
        )
        self.line(wrapped, style)

    def row(self, name: str, value: str, style: str = "") -> None:
        wrapped = textwrap.wrap(value, self._width - 33, break_long_words=False) or [""]
        for at, part in enumerate(wrapped):
            self.line(f"{_INDENT}{name if not at else '':<30}{part}", style)


def screen_for(*, as_json: bool) -> Screen:
    """Return the screen for people or for machines."""
    return JsonScreen() if as_json else TextScreen(Console(highlight=False))


def _verdict(result: ChapterResult) -> tuple[str, str]:
    """Return whether the effect of a chapter was observed, and the style for it."""
    return ("Observed", "green") if result.happened else ("NOT OBSERVED", "bold red")


def _progress_text(tally: Tally) -> str:
    measured = tally.accuracies.get(tally.serving)
    accuracy = f"{measured[-1].value:.1%}" if measured else "unknown"
    serving = f"{tally.serving} serves" if tally.serving else "no model yet"
    return f"{tally.rate():>6,.0f} pages/s  {tally.answered:>9,} answered  accuracy {accuracy}  {serving}"


def _totals(report: DemoReport) -> Mapping[str, str]:
    letters = ", ".join(f"{count:,} {reason}" for reason, count in report.dead_letters.items())
    return {
        "broker": report.broker,
        "delivery": report.delivery,
        "pages sent": f"{report.pages_sent:,}",
        "predictions": ", ".join(f"{n:,} by model {v}" for v, n in report.predictions.items()) or "none",
        "dead letters": letters or "none",
        "without an answer": f"{report.unanswered:,}",
        "answered twice": f"{report.answered_twice:,}",
        "seconds": f"{report.seconds:.0f}",
    }
