"""A run that is killed at random moments and given again ends in the bytes of an undisturbed one."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.unit.batch.world import GIVES_NAN, RAISES, digests, manifest, spoilt, write_parquet

KILLS = int(os.environ.get("STREAM_INFER_BATCH_KILLS", "5"))
_ENDS_WITHIN_S = 120.0
_GROUPS = 60
_RUN = """
import sys
from stream_infer.app import score
score.unix_ms = lambda: 1_800_000_000_000
from stream_infer.cli.main import main
main()
"""


def run(*arguments: object) -> subprocess.Popen[bytes]:
    """Start `stream-infer score` at a fixed time, so that two outputs can be compared."""
    command = [sys.executable, "-c", _RUN, "score", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def journalled(output: Path) -> int:
    return len(list((output / "_stream_infer" / "journal").glob("[!.]*.json")))


@pytest.mark.slow
@pytest.mark.parametrize("suffix", ["", ".avro"])
def test_a_run_that_is_killed_again_and_again_ends_in_the_same_bytes(
    fraud: Path, tmp_path: Path, suffix: str
) -> None:
    faults = {3: RAISES, 333: GIVES_NAN, 1_999: float("nan")}
    given = write_parquet(spoilt(_GROUPS * 50, faults), tmp_path / "in.parquet", group_rows=50)
    whole, output = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    assert run("--package", fraud, given, "-o", whole).wait(_ENDS_WITHIN_S) == 0
    draw = random.Random(16)  # noqa: S311 - moments, not secrets
    amid = 0

    for _ in range(KILLS):
        process = run("--package", fraud, given, "-o", output)
        more, deadline = journalled(output) + draw.randint(1, 4), time.monotonic() + _ENDS_WITHIN_S
        while journalled(output) < more and process.poll() is None and time.monotonic() < deadline:
            time.sleep(draw.uniform(0, 0.002))
        process.send_signal(signal.SIGKILL)
        process.wait(_ENDS_WITHIN_S)
        amid += process.returncode == -signal.SIGKILL
        assert not (output / "_SUCCESS").exists() or manifest(output) == manifest(whole)

    assert amid > KILLS // 2
    process = run("--package", fraud, given, "-o", output)
    assert process.wait(_ENDS_WITHIN_S) in {0, 2}  # 2: the last kill came too late, all was done
    assert digests(output) == digests(whole)
