"""A model that is replaced is gone: memory, threads and files are those of the models that serve."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import median

import numpy as np
import pytest

from stream_infer.rollout.rehearsal_cache import cache_in_store
from stream_infer.rollout.rehearsal_task import RehearsalLimits, RehearsalResult
from tests.architecture.tree import ROOT
from tests.unit.rollout.many_swaps import ROWS, SWAPS
from tests.unit.rollout.packages import line, package

BALLAST_BYTES = 12 * 2**20


def heavy_line(slope: float) -> object:
    model = line(slope)
    model.ballast_ = np.full(BALLAST_BYTES // 8, slope)
    return model


@pytest.mark.slow
def test_a_hundred_swaps_leave_what_five_leave(tmp_path: Path) -> None:
    store = tmp_path / "models"
    store.mkdir()
    for number in (1, 2):
        version = f"{number}.0.0"
        ref = package(store / f"line-{version}", float(number), heavy_line(float(number)), version=version)
        cache_in_store(store).keep(ref.digest, RehearsalLimits(), RehearsalResult(3, 0.0, 0.0, 0))
    command = [sys.executable, "-m", "tests.unit.rollout.many_swaps", str(store)]

    done = subprocess.run(
        [*command, *(str(store / f"line-{number}.0.0") for number in (1, 2))],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found) == SWAPS
    assert {one["predicted"] for one in found} == {ROWS}
    after_five = {what: median(one[what] for one in found[2:7]) for what in found[0]}
    after_all = {what: median(one[what] for one in found[-5:]) for what in found[0]}
    assert after_all["rss"] < 1.1 * after_five["rss"]
    assert after_all["files"] == after_five["files"]
    # The pools of the libraries may start a thread late; one a swap would be 95.
    assert after_all["threads"] <= after_five["threads"] + 2
