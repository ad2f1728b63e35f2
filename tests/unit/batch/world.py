"""Payments as data sets of each kind, and runs on them in this process."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import csv, feather

from stream_infer.app.score import BatchReport, RunPolicy, run_score
from stream_infer.batch.scoring import BatchRequest
from stream_infer.flow.events import Event
from stream_infer.runtime.stop import Stop
from tests.support.events import SCHEMA

RAISES, GIVES_NAN, BREAKS = 13.0, 17.0, 23.0
GROUP_ROWS = 100


def payments(rows: int, seed: int = 7, **columns: Sequence[object]) -> pa.Table:
    """Return payments without a fault; `columns` replace theirs."""
    rng = np.random.default_rng(seed)
    made: dict[str, Any] = {
        "id": [f"p-{row}" for row in range(rows)],
        "ts": pa.array(1_760_000_000_000 + rng.integers(0, 10**8, rows)).cast(pa.timestamp("ms", "UTC")),
        "amount": 20 + rng.lognormal(3, 1, rows),
        "balance": rng.normal(1_000, 400, rows),
        "distance": rng.exponential(20, rows).astype(np.float32),
        "attempts": pa.array(rng.poisson(1.5, rows), pa.int32()),
        "age_days": rng.integers(0, 5_000, rows),
        "velocity": rng.gamma(2, 3, rows),
        "risk": [None if one < 0 else one for one in rng.uniform(-0.25, 1, rows).tolist()],
        "country": rng.choice(["DE", "FR", "Ísland", "日本"], rows).tolist(),
        "online": rng.random(rows) < 0.6,
    }
    return pa.table({**made, **columns})


def spoilt(rows: int, faults: Mapping[int, float], seed: int = 7) -> pa.Table:
    """Return payments whose amount is the given one in some rows."""
    table = payments(rows, seed)
    amounts = table["amount"].to_pylist()
    for row, amount in faults.items():
        amounts[row] = amount
    return table.set_column(table.schema.get_field_index("amount"), "amount", pa.array(amounts))


def write_parquet(table: pa.Table, path: Path, group_rows: int = GROUP_ROWS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, row_group_size=group_rows)
    return path


def write_avro(table: pa.Table, path: Path, codec: str = "deflate") -> Path:
    with path.open("wb") as file:
        fastavro.writer(file, SCHEMA, table.to_pylist(), codec=codec, sync_interval=4_000)
    return path


def write_csv(table: pa.Table, path: Path) -> Path:
    """Write numbers as Python does: the shortest text that gives the same number."""
    texts = {name: pa.array([_cell(one) for one in table[name].to_pylist()]) for name in table.column_names}
    csv.write_csv(pa.table(texts), path)
    return path


def write_json_lines(table: pa.Table, path: Path) -> Path:
    rows = [{name: _json(value) for name, value in row.items()} for row in table.to_pylist()]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def write_feather(table: pa.Table, path: Path) -> Path:
    feather.write_feather(table, str(path), chunksize=GROUP_ROWS)
    return path


WRITERS: Mapping[str, Callable[[pa.Table, Path], Path]] = {
    "parquet": write_parquet,
    "avro": write_avro,
    "csv": write_csv,
    "jsonl": write_json_lines,
    "feather": write_feather,
}


def _cell(value: Any) -> str | None:
    if isinstance(value, float):
        return repr(value)
    return None if value is None else str(value)


def _json(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    return value if isinstance(value, (str, float, int, type(None))) else str(value)


@dataclass
class Observed:
    """What a run tells, and a stop that it requests after so many batches."""

    stop: Stop = field(default_factory=Stop)
    stop_after: int | None = None
    events: list[Event] = field(default_factory=list)

    def __call__(self, event: Event, /) -> None:
        self.events.append(event)
        if self.stop_after is not None and self.batches >= self.stop_after:
            self.stop.request()

    @property
    def batches(self) -> int:
        return sum(type(event).__name__ == "BatchCommitted" for event in self.events)


def score(
    package: Path,
    inputs: Path | Sequence[Path],
    output: Path,
    observed: Observed | None = None,
    *,
    policy: RunPolicy | None = None,
    **options: Any,
) -> BatchReport:
    """Score in this process."""
    seen = observed or Observed()
    given = [inputs] if isinstance(inputs, Path) else inputs
    request = BatchRequest(inputs=[str(one) for one in given], output=str(output), package=package, **options)
    return run_score(request, policy or RunPolicy(), seen.stop, seen, lambda _prepared, _resumed: None)


def predictions(output: Path) -> list[dict[str, Any]]:
    """Return the predictions of an output, in the order of the input."""
    rows: list[dict[str, Any]] = []
    for part in sorted(output.glob("part-*")):
        if part.suffix == ".avro":
            with part.open("rb") as file:
                rows += [dict(row) for row in fastavro.reader(file) if isinstance(row, dict)]
        else:
            rows += pq.read_table(part).to_pylist()
    return rows


def rejected(output: Path) -> list[dict[str, Any]]:
    """Return the rejected rows of an output, in the order of the input."""
    parts = sorted((output / "_rejected").glob("*.jsonl"))
    return [json.loads(line) for part in parts for line in part.read_text("utf-8").splitlines()]


def manifest(output: Path) -> dict[str, Any]:
    """Return the manifest of an output."""
    document: dict[str, Any] = json.loads((output / "_SUCCESS").read_text("utf-8"))
    return document


def digests(output: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of an output that a reader sees."""
    return {
        path.relative_to(output).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.rglob("*"))
        if path.is_file() and "_stream_infer" not in path.parts
    }
