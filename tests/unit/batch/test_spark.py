"""`stream_infer.spark` on PySpark: two executors on this machine, each a process of its own."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.batch.world import RAISES, predictions, rejected, score, spoilt, write_parquet

_WITHIN_S = 240.0
# Warnings of PySpark about pandas 3 are not ours, so it runs outside of this process, where they are errors.
_JOB = """
import json, sys
from pyspark.sql import SparkSession
from stream_infer import spark
given, package = sys.argv[1:]
session = (
    SparkSession.builder.master("local-cluster[2,1,1024]")
    .config("spark.driver.host", "127.0.0.1").config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.executor.memory", "512m").config("spark.ui.enabled", "false")
    .config("spark.sql.session.timeZone", "UTC").getOrCreate()
)
scored = spark.score(session.read.parquet(given).repartition(4), package)
rows = [[r["id"], r["label"], r["score"], r["error"] and r["error"]["class"]] for r in scored.collect()]
print("ROWS" + json.dumps(rows))
session.stop()
"""


def _require_spark() -> None:
    if "STREAM_INFER_REQUIRE_SPARK" not in os.environ:
        pytest.skip("STREAM_INFER_REQUIRE_SPARK=1 runs it: executors take a minute and more to start")
    if importlib.util.find_spec("pyspark") is None or shutil.which("java") is None:
        pytest.fail("no PySpark or no Java, and this run requires both")


@pytest.mark.slow
def test_spark_has_the_answers_and_rejections_of_score(fraud: Path, tmp_path: Path) -> None:
    _require_spark()
    given = write_parquet(spoilt(1_000, {3: RAISES, 900: float("nan")}), tmp_path / "in.parquet")
    score(fraud, given, tmp_path / "out", copy=["id"])

    done = subprocess.run(
        [sys.executable, "-c", _JOB, str(given), str(fraud)],
        cwd=tmp_path,
        env={**os.environ, "PYSPARK_PYTHON": sys.executable, "SPARK_WORKER_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=_WITHIN_S,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2_000:]
    [line] = [line for line in done.stdout.splitlines() if line.startswith("ROWS")]
    rows = {name: rest for name, *rest in json.loads(line.removeprefix("ROWS"))}
    letters = {f"p-{one['source_offset']}": one["class"] for one in rejected(tmp_path / "out")}
    assert len(rows) == 1_000
    assert {name: error for name, (_, _, error) in rows.items() if error} == letters
    for row in predictions(tmp_path / "out"):
        label, found, _ = rows[row["input_id"]]
        assert label == row["label"]
        assert found == pytest.approx(row["score"], abs=1e-12)
