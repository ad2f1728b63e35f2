"""Progress and summary of `stream-infer score`: a bar on a terminal, plain lines elsewhere, or JSON."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from stream_infer.cli.output import say, say_json
from stream_infer.flow.events import BatchCommitted, Event

if TYPE_CHECKING:
    from stream_infer.app.score import BatchReport
    from stream_infer.batch.scoring import PreparedBatch
    from stream_infer.batch.success import Counts

_LINE_EVERY_S = 10.0


class ScoreProgress:
    """An `Observer` of the run that shows what is done; all of it on standard error but the summary."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._console = Console(stderr=True, highlight=False)
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._began = self._told = time.monotonic()
        self._rows = self._rejected = 0
        self._total: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, prepared: PreparedBatch, resumed: Counts) -> None:
        """Show that scoring begins, and where."""
        self._began = self._told = time.monotonic()
        total = prepared.plan.rows
        self._total = None if total is None else total - resumed.rows
        if self._as_json:
            return
        manifest = prepared.scorer.model.manifest
        say(
            f"{manifest.name} {manifest.version} scores {_number(total)} rows "
            f"in {len(prepared.plan.splits)} splits"
            + (f"; {resumed.rows:,} of them are done" if resumed.rows else ""),
            err=True,
        )
        if self._console.is_terminal:
            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
            )
            self._bar = Progress(*columns, console=self._console)
            self._task = self._bar.add_task("", total=self._total, rate="")
            self._bar.start()

    def __call__(self, event: Event, /) -> None:
        if not isinstance(event, BatchCommitted):
            return
        self._rows += event.records
        self._rejected += sum(event.rejected.values())
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, completed=self._rows, rate=f"{self._rate(now):,.0f} rows/s")
        elif now - self._told >= _LINE_EVERY_S:
            self._told = now
            self._tell(now)

    def end(self, report: BatchReport) -> None:
        """Print the summary."""
        seconds = time.monotonic() - self._began
        counts = report.counts
        if self._as_json:
            document = {
                "scored": report.document is not None,
                "rows": counts.rows,
                "predicted": counts.predicted,
                "rejected": dict(counts.rejected),
                "resumed_rows": report.resumed_rows,
                "seconds": round(seconds, 3),
            }
            say_json(document)
            return
        if report.document is None:
            say("nothing to do: the output is up to date")
            return
        say(
            f"{counts.rows:,} rows: {counts.predicted:,} predictions, {counts.rejected_rows:,} rejected; "
            f"{len(report.document['parts'])} parts in {seconds:.1f} s "
            f"({self._rate(time.monotonic()):,.0f} rows/s)"
        )
        for reason, count in counts.rejected.items():
            say(f"  {count:,} {reason}")

    def _tell(self, now: float) -> None:
        left = None
        if self._total is not None and self._rows:
            left = (self._total - self._rows) / self._rate(now)
        if self._as_json:
            document = {
                "rows": self._rows,
                "rejected": self._rejected,
                "rows_per_s": round(self._rate(now), 1),
            }
            say(json.dumps({**document, "left_s": left and round(left, 1)}), err=True)
            return
        say(
            f"{self._rows:,} of {_number(self._total)} rows, {self._rejected:,} rejected, "
            f"{self._rate(now):,.0f} rows/s" + ("" if left is None else f", {left:.0f} s left"),
            err=True,
        )

    def _rate(self, now: float) -> float:
        return self._rows / max(1e-9, now - self._began)


def _number(count: int | None) -> str:
    return "an unknown number of" if count is None else f"{count:,}"
