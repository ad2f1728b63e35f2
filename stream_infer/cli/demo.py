"""`stream-infer demo`. The demo itself is in the package `demo`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from stream_infer.cli.options import AsJson, takes_options
from stream_infer.runtime.gc_schedule import without_collections


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """The options of `demo`."""

    broker: Annotated[
        str,
        typer.Option(help="HOST:PORT of a Kafka broker, or `mock`, which gives no delivery guarantee."),
    ] = "mock"
    once: Annotated[bool, typer.Option("--once", help="Exit after the last chapter.")] = False
    as_json: AsJson = False
    seed: Annotated[int, typer.Option(help="Seed for the order of events.")] = 0
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the live page where there is a browser.")
    ] = True


@takes_options
def demo_command(options: DemoOptions) -> None:
    """Run a worker and a monitor on real data; show predictions, accuracy, drift and a model change.

    Needs no installed broker and no download.
    """
    with without_collections():
        from stream_infer.demo.main import DemoPlan, run_demo  # noqa: PLC0415 - imports scikit-learn and river

    raise typer.Exit(
        run_demo(
            DemoPlan(
                broker=options.broker,
                once=options.once,
                as_json=options.as_json,
                seed=options.seed,
                opens_browser=options.browser,
            )
        )
    )
