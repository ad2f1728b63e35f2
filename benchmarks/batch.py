"""A batch run against a loop written by hand, and against reading and writing alone; peak memory of each.

    python -m benchmarks.batch

All score 13 features in Parquet with the same model, each in a process of its own, in turns. The loop by hand
has pyarrow and scikit-learn, and writes the score of each row and nothing else.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression

import stream_infer

_FEATURES = [f"f{number}" for number in range(13)]
_GROUP_ROWS = 131_072
_TRAINING_ROWS = 20_000
_MODELS: Mapping[str, Callable[[], Any]] = {
    "linear": lambda: LogisticRegression(max_iter=500),
    "boosting": lambda: HistGradientBoostingClassifier(max_iter=100, random_state=0),
    "forest": lambda: RandomForestClassifier(50, max_depth=10, random_state=0, n_jobs=1),
}


def make_input(folder: Path, rows: int) -> Path:
    """Write `rows` rows of features, row group by row group."""
    rng, path = np.random.default_rng(0), folder / f"{rows}.parquet"
    with pq.ParquetWriter(path, pa.schema([(name, pa.float64()) for name in _FEATURES])) as writer:
        for start in range(0, rows, _GROUP_ROWS):
            values = rng.normal(size=(min(_GROUP_ROWS, rows - start), len(_FEATURES)))
            writer.write_table(pa.table(dict(zip(_FEATURES, values.T, strict=True))))
    return path


def make_model(folder: Path, kind: str) -> None:
    """Train a model of this kind and package it."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame(rng.normal(size=(_TRAINING_ROWS, len(_FEATURES))), columns=_FEATURES)
    target = (frame.sum(axis=1) + rng.normal(size=len(frame)) > 0).astype(int)
    model = _MODELS[kind]().fit(frame, target)
    joblib.dump(model, folder / f"{kind}.joblib")
    schema = folder / "event.avsc"
    fields = [{"name": name, "type": "double"} for name in _FEATURES]
    schema.write_text(json.dumps({"type": "record", "name": "Row", "fields": fields}))
    output = folder / kind
    stream_infer.package(
        model, frame.head(100), name=kind, version="1", schema=schema, output=output, reference=frame
    )


def by_hand(given: Path, model: Path, output: Path) -> None:
    """Score as people do by hand."""
    estimator = joblib.load(model)
    shape = pa.schema([("score", pa.float64())])
    with pq.ParquetFile(given) as file, pq.ParquetWriter(output, shape) as writer:
        for table in file.iter_batches(_GROUP_ROWS):
            scores = estimator.predict_proba(table.to_pandas())[:, 1]
            writer.write_table(pa.table({"score": scores}))


def copied(given: Path, _model: Path, output: Path) -> None:
    """Read and write, and nothing else."""
    with pq.ParquetFile(given) as file, pq.ParquetWriter(output, file.schema_arrow) as writer:
        for table in file.iter_batches(_GROUP_ROWS):
            writer.write_batch(table)


def ours(given: Path, package: Path, output: Path) -> None:
    """Score with `stream-infer score`, in this process."""
    from stream_infer.app.score import RunPolicy, run_score  # noqa: PLC0415 - not in the others' processes
    from stream_infer.batch.scoring import BatchRequest  # noqa: PLC0415 - as above
    from stream_infer.runtime.stop import Stop  # noqa: PLC0415 - as above

    request = BatchRequest(inputs=[str(given)], output=str(output), package=package)
    run_score(request, RunPolicy(), Stop(), lambda _event: None, lambda _prepared, _resumed: None)


_CONTESTANTS = {"score": ours, "by hand": by_hand, "read and write": copied}


def measured(contestant: str, given: Path, model: Path, output: Path) -> tuple[float, float]:
    """Return seconds and peak memory in MB of one run in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "benchmarks.batch",
        "--one",
        contestant,
        str(given),
        str(model),
        str(output),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, peak = json.loads(done.stdout.splitlines()[-1])
    return seconds, peak


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[10_000_000, 20_000_000])
    parser.add_argument("--models", nargs="+", choices=list(_MODELS), default=list(_MODELS))
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--one", nargs=4, metavar=("CONTESTANT", "INPUT", "MODEL", "OUTPUT"))
    return parser.parse_args()


def main() -> None:
    """Print a row for each contestant, number of rows and model."""
    options = _options()
    if options.one:
        contestant, *paths = options.one
        began = time.perf_counter()
        _CONTESTANTS[contestant](*map(Path, paths))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps([time.perf_counter() - began, peak]))
        return
    print("| model | rows | contestant | rows/s | peak MB |\n|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind in options.models:
            make_model(folder, kind)
        for rows in options.rows:
            given = make_input(folder, rows)
            for kind in options.models:
                _race(folder, given, kind, rows, options.turns)
            given.unlink()


def _race(folder: Path, given: Path, kind: str, rows: int, turns: int) -> None:
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in _CONTESTANTS}
    for turn in range(turns):
        for name in _CONTESTANTS:
            model = folder / (kind if name == "score" else f"{kind}.joblib")
            output = folder / f"{kind}-{rows}-{turn}-{name.replace(' ', '-')}"
            found[name].append(measured(name, given, model, output))
    for name, runs in found.items():
        seconds, peak = median(s for s, _ in runs), max(p for _, p in runs)
        print(f"| {kind} | {rows:,} | {name} | {rows / seconds:,.0f} | {peak:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
