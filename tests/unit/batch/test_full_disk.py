"""A disk that takes no more, and a folder that cannot be one: a clear error, and nothing lost."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from stream_infer.flow.errors import Misconfigured
from tests.unit.batch.test_kills import run
from tests.unit.batch.world import digests, payments, score, write_parquet

_LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv.pop(1)), resource.RLIM_INFINITY))
from stream_infer.app import score
score.unix_ms = lambda: 1_800_000_000_000
from stream_infer.cli.main import main
main()
"""


@pytest.mark.slow
def test_a_disk_that_is_full_is_named_and_the_run_goes_on_when_there_is_room(
    fraud: Path, tmp_path: Path
) -> None:
    small, large = payments(50), payments(5_000, seed=8)
    write_parquet(small, tmp_path / "in" / "a.parquet", group_rows=50)
    write_parquet(large, tmp_path / "in" / "b.parquet", group_rows=5_000)
    arguments = ["score", "--package", str(fraud), str(tmp_path / "in"), "-o"]

    limit = str(40_000)  # of one file: enough for the first part
    done = subprocess.run(
        [sys.executable, "-c", _LIMITED, limit, *arguments, str(tmp_path / "out")],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 1, done.stderr
    assert "part-00001-000000000000.parquet cannot be written or read: File too large" in done.stderr
    assert "run the same command again" in done.stderr
    assert digests(tmp_path / "out") == {}
    for name in ("out", "whole"):
        assert run(*arguments[1:], tmp_path / name).wait(120) == 0
    assert digests(tmp_path / "out") == digests(tmp_path / "whole")
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_a_file_in_place_of_the_output_is_named(fraud: Path, tmp_path: Path) -> None:
    given = write_parquet(payments(150), tmp_path / "in.parquet")
    (tmp_path / "out").write_bytes(b"")

    with pytest.raises(Misconfigured) as error:
        score(fraud, given, tmp_path / "out")

    [problem] = error.value.problems
    assert (problem.key, problem.message) == ("-o", "cannot be written: Not a directory")
