"""What the demo prints: chapters, sentences and live figures for people; one JSON object for machines."""

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
_FIGURES_EVERY_S = 5.0
_STYLES = {"warning": "yellow", "critical": "red"}


class Screen(Protocol):
    """Shows the story as it goes."""

    def say(self, text: str) -> None:
        """Tell something in a paragraph."""

    def quote(self, text: str) -> None:
        """Show the lines of a file as they are."""

    def chapter(self, number: int, title: str) -> None:
        """Begin a chapter."""

    def event(self, event: Event) -> None:
        """Show a monitoring event as it came."""

    def told(self, told: ChapterResult) -> None:
        """End a chapter."""

    def figures(self, tally: Tally) -> None:
        """Show how things stand now."""

    def end(self, report: DemoReport, next_steps: Sequence[str]) -> None:
        """Show what came of it all."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


class JsonScreen:
    """Nothing but the report, as one JSON object."""

    def say(self, text: str) -> None:
        pass

    def quote(self, text: str) -> None:
        pass

    def chapter(self, number: int, title: str) -> None:
        pass

    def event(self, event: Event) -> None:
        pass

    def told(self, told: ChapterResult) -> None:
        pass

    def figures(self, tally: Tally) -> None:
        pass

    def end(self, report: DemoReport, next_steps: Sequence[str]) -> None:
        del next_steps
        document = {"ok": report.ok, **asdict(report), "problems": report.problems}
        sys.stdout.write(json.dumps(document) + "\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


class TextScreen:
    """Paragraphs as they come; figures are a line below them on a terminal, and one in a while elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._width = min(console.width, _WIDEST)
        self._live = Live(console=console, refresh_per_second=4, transient=True)
        self._next_figures_s = 0.0

    def say(self, text: str) -> None:
        self._print(text)

    def quote(self, text: str) -> None:
        self._line(f"\n{textwrap.indent(text.strip(), 2 * _INDENT)}", "dim")

    def chapter(self, number: int, title: str) -> None:
        self._line(f"\n{number}  {title}", "bold")

    def event(self, event: Event) -> None:
        self._print(event_text(event), _STYLES.get(event["severity"], "cyan"), hanging=_INDENT)

    def told(self, told: ChapterResult) -> None:
        seen, style = _seen(told)
        self._print(f"{seen}: {told.outcome}", style)

    def figures(self, tally: Tally) -> None:
        line = f"{_INDENT}{_figures(tally)}"
        if self._console.is_terminal:
            self._live.update(Text(line, style="reverse", overflow="ellipsis", no_wrap=True))
        elif time.monotonic() >= self._next_figures_s:
            self._next_figures_s = time.monotonic() + _FIGURES_EVERY_S
            self._line(line, "")

    def end(self, report: DemoReport, next_steps: Sequence[str]) -> None:
        self._live.stop()
        self._line("\nSummary", "bold")
        for told in report.chapters:
            seen, style = _seen(told)
            self._row(told.title, f"{seen}, {told.seconds:.0f} s", style)
        self._line("", "")
        for name, value in _books(report).items():
            self._row(name, value, "")
        for problem in report.problems:
            self._print(problem, "bold red")
        self._line("\nNext", "bold")
        for number, step in enumerate(next_steps, 1):
            self._print(f"{number}. {step}", hanging=_INDENT)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def _row(self, name: str, value: str, style: str) -> None:
        wrapped = textwrap.wrap(value, self._width - 29, break_long_words=False) or [""]
        for at, part in enumerate(wrapped):
            self._line(f"{_INDENT}{name if not at else '':<26}{part}", style)

    def _print(self, text: str, style: str = "", *, hanging: str = "") -> None:
        wrapped = textwrap.fill(
            text,
            self._width,
            initial_indent=_INDENT,
            subsequent_indent=_INDENT + hanging,
            break_long_words=False,
            break_on_hyphens=False,
        )
        self._line(wrapped, style)

    def _line(self, text: str, style: str) -> None:
        self._console.print(Text(text, style=style), soft_wrap=True)
        self._console.file.flush()


def screen_for(*, as_json: bool) -> Screen:
    """Return the screen that was asked for."""
    return JsonScreen() if as_json else TextScreen(Console(highlight=False))


def _seen(told: ChapterResult) -> tuple[str, str]:
    """Return whether a chapter happened, and the style to say it in."""
    return ("Seen", "green") if told.happened else ("NOT SEEN", "bold red")


def _figures(tally: Tally) -> str:
    measured = tally.accuracies.get(tally.serving)
    accuracy = f"{measured[-1].value:.1%}" if measured else "unknown"
    serving = f"{tally.serving} serves" if tally.serving else "no model yet"
    return f"{tally.rate():>6,.0f} pages/s  {tally.answered:>9,} answered  accuracy {accuracy}  {serving}"


def _books(report: DemoReport) -> Mapping[str, str]:
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
