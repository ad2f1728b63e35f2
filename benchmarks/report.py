"""Figures as a markdown table: medians with their spread, ratios of one run to its neighbour, the machine."""

from __future__ import annotations

import argparse
import math
import os
import platform
import shlex
import statistics
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

RESULTS = Path(__file__).with_name("results")
_LIBRARIES = (
    "confluent-kafka", "fastavro", "pyruhvro", "pyarrow", "numpy", "pandas", "scikit-learn",
)  # fmt: skip


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """Return the median, and of several the least and greatest in brackets. NaN is left out."""
    told = [value for value in values if not math.isnan(value)]
    if not told:
        return "-"
    middle = statistics.median(told)
    if len(set(told)) == 1:
        return f"{middle:{form}}"
    return f"{middle:{form}} ({min(told):{form}}-{max(told):{form}})"


def quartiles(values: Sequence[float], form: str = ".2f") -> str:
    """Return the median, and in brackets the first and third quartile."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{middle:{form}} ({low:{form}}-{high:{form}})"


def ratios(values: Sequence[float], to: Sequence[float], form: str = ".2f") -> str:
    """Return the spread of the ratios of runs of the same round."""
    return spread([a / b for a, b in zip(values, to, strict=True)], form)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine(more: Mapping[str, str] | None = None) -> str:
    """Return a paragraph on what this ran on, and how busy that was."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    facts = [
        f"{os.cpu_count()} cores ({platform.machine()}, {_processor()})",
        f"{psutil.virtual_memory().total / 2**30:.0f} GB",
        platform.system(),
        f"Python {platform.python_version()}",
        *(f"{name} {found}" for name in _LIBRARIES if (found := _version(name))),
        *(f"{name} {found}" for name, found in (more or {}).items()),
        f"load average at the end {load:.1f}",
        datetime.now(UTC).strftime("%Y-%m-%d"),
    ]
    return ", ".join(facts) + "."


def parser(usage: str | None, *, name: str, rounds: int) -> argparse.ArgumentParser:
    """Return the parser of a benchmark, with the options that all have."""
    made = argparse.ArgumentParser(description=usage, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--rounds", type=int, default=rounds, help=f"runs of each, in turns (default {rounds})")
    made.add_argument(
        "--within", type=float, default=3600, help="seconds: no round is begun that would end later"
    )
    made.add_argument("--name", default=name, help=f"the file in benchmarks/results (default {name})")
    return made


def finish(name: str, title: str, *paragraphs: str, more: Mapping[str, str] | None = None) -> None:
    """Write the result file, with the machine and the command that made it, and print it.

    `more` are versions of what else took part.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.md"
    text = "\n\n".join([f"# {title}", machine(more), f"`{command()}`", *filter(None, paragraphs)]) + "\n"
    path.write_text(text, "utf-8")
    print(text)


def command() -> str:
    """Return the command line of this benchmark, as it is typed in the root of the project."""
    spec = sys.modules["__main__"].__spec__
    return shlex.join(["python", "-m", spec.name if spec else "benchmarks", *sys.argv[1:]])


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "")
