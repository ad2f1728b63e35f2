from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import numpy as np
from stream_infer.runtime.malloc import keep_freed_memory

def faults_of_a_batch():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(500_000) for _ in range(8)]
    del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

assert keep_freed_memory()
first, second = faults_of_a_batch(), faults_of_a_batch()
assert first > 5_000, first
assert second < first // 10, (first, second)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="about glibc")
def test_the_memory_of_a_batch_is_there_for_the_next_one() -> None:
    # In a process of its own: it stays as it is set.
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
