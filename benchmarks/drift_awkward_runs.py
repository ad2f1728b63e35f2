"""False incidents on awkward columns that do not change, with and without a reference."""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from functools import partial

import numpy as np

from benchmarks import report
from benchmarks.drift_awkward import EVERY
from benchmarks.drift_columns import Recording, opened

EVENTS, ROWS = 200_000, 5_000
_ABOUT = f"""\
False incidents in {EVENTS:,} events of one column that does not change, with the shipped
configuration. Training rows are drawn from a long time. Where a column comes in runs of 300 events, a window
of 1,600 has five values that count."""


def false_incidents(name: str, rows: int, seed: int) -> int:
    """Return the incidents on a stream of one column, against `rows` training rows (0: none)."""
    rng = np.random.default_rng([seed, 77])
    training = {name: rng.choice(EVERY[name](rng, 100 * rows), rows)} if rows else None
    return len(opened(Recording({name: EVERY[name](rng, EVENTS)}, training)))


def main() -> None:
    """Judge every column, and write the result."""
    seeds = _options().seeds
    with ProcessPoolExecutor() as pool:
        found = {
            (name, rows): sum(pool.map(partial(false_incidents, name, rows), range(seeds)))
            for name in EVERY
            for rows in (ROWS, 0)
        }
    lines = [[name, str(found[name, ROWS]), str(found[name, 0])] for name in EVERY]
    table = report.table(("column", f"reference of {ROWS:,} rows", "no reference"), lines)
    report.finish("drift-awkward", "Drift: awkward streams", f"{seeds} seeds. {_ABOUT}", table)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    return parser.parse_args()


if __name__ == "__main__":
    main()
