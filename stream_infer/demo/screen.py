"""What the demo prints: a live panel on a terminal, plain lines elsewhere, one JSON object for machines."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Protocol, Self

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from stream_infer.demo.traffic import Tally


class Screen(Protocol):
    """Shows the story as it goes."""

    def say(self, sentence: str) -> None:
        """Tell one thing that happened."""

    def show(self, tally: Tally, elapsed_s: float) -> None:
        """Show the state of the tally now."""

    def end(self, summary: Mapping[str, object]) -> None:
        """Show what came of it."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exception: object) -> None: ...


class PlainScreen:
    """Lines, for logs and pipes: a sentence as it comes, the state every two seconds."""

    _EVERY_S = 2.0

    def __init__(self) -> None:
        self._next_s = 0.0

    def say(self, sentence: str) -> None:
        sys.stdout.write(f"{sentence}\n")
        sys.stdout.flush()

    def show(self, tally: Tally, elapsed_s: float) -> None:
        if elapsed_s >= self._next_s:
            self._next_s = elapsed_s + self._EVERY_S
            self.say(
                f"  {elapsed_s:5.1f} s  sent {tally.sent}  predicted {tally.predicted}  "
                f"accuracy {_percent(tally.accuracy)}  dead letters {tally.dead_letters.total()}"
            )

    def end(self, summary: Mapping[str, object]) -> None:
        self.say("")
        for name, value in summary.items():
            self.say(f"  {name.replace('_', ' '):<24} {value}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        pass


class JsonScreen(PlainScreen):
    """Nothing but the summary, as one JSON object."""

    def say(self, sentence: str) -> None:
        pass

    def show(self, tally: Tally, elapsed_s: float) -> None:
        pass

    def end(self, summary: Mapping[str, object]) -> None:
        sys.stdout.write(json.dumps(summary) + "\n")


class LiveScreen(PlainScreen):
    """A panel that is drawn anew in place, below the sentences said so far."""

    def __init__(self) -> None:
        super().__init__()
        self._console = Console()
        self._live = Live(console=self._console, refresh_per_second=8)

    def say(self, sentence: str) -> None:
        self._console.print(Text(sentence))

    def show(self, tally: Tally, elapsed_s: float) -> None:
        self._live.update(_panel(tally, elapsed_s))

    def end(self, summary: Mapping[str, object]) -> None:
        self._live.stop()
        table = Table(show_header=False, box=None)
        for name, value in summary.items():
            table.add_row(name.replace("_", " "), Text(str(value), style="bold"))
        self._console.print(table)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()


def screen_for(*, as_json: bool) -> Screen:
    """Return the screen that suits standard output."""
    if as_json:
        return JsonScreen()
    return LiveScreen() if sys.stdout.isatty() else PlainScreen()


def _panel(tally: Tally, elapsed_s: float) -> Panel:
    table = Table.grid(padding=(0, 3))
    rate = tally.answered / elapsed_s if elapsed_s else 0.0
    table.add_row("pages sent", f"{tally.sent:,}", "answered a second", f"{rate:,.0f}")
    table.add_row("predictions", f"{tally.predicted:,}", "accuracy", _percent(tally.accuracy))
    letters = ", ".join(f"{count} {reason}" for reason, count in tally.dead_letters.items()) or "none"
    table.add_row("dead letters", letters, "model", ", ".join(tally.versions) or "…")
    return Panel(Group(table, Text(tally.latest, style="dim")), title="stream-infer demo")


def _percent(share: float | None) -> str:
    return "…" if share is None else f"{share:.1%}"
