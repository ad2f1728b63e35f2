"""A package shows in a process of its own what it is; whatever it does there, it does to itself."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.ensemble import RandomForestRegressor

from stream_infer.flow.errors import Refused
from stream_infer.rollout import child_limits, rehearsal_child, spawned_child
from stream_infer.rollout.deployment import PackageRef
from stream_infer.rollout.reconcile import Gates
from stream_infer.rollout.rehearsal import Rehearsal, exceeded, rehearse
from stream_infer.rollout.rehearsal_cache import RehearsalCache
from stream_infer.rollout.rehearsal_task import ChildExit, RehearsalLimits, RehearsalResult, read_report
from tests.unit.models.builders import CONVERTED, graph_of
from tests.unit.rollout.packages import (
    ROWS,
    Calls,
    Centred,
    hangs,
    kills_itself,
    package,
    phones_home,
    touches,
)

ROOMY = RehearsalLimits(timeout_s=60.0)
MEASURED = RehearsalResult(rows=3, max_abs_difference=0.0, batch_p50_s=0.5, grown_bytes=1_000)


def never() -> bool:
    return False


def refusal(path: Path, model: object, limits: RehearsalLimits = ROOMY) -> Refused:
    ref = package(path, 2.0, model)
    with pytest.raises(Refused) as refused:
        rehearse(path, ref.digest, limits=limits, cancelled=never)
    return refused.value


def in_this_process(path: Path, digest: str) -> RehearsalResult:
    return rehearsal_child._rehearsed(path, digest, ROOMY, None)


def test_a_good_package_is_measured_once_and_judged_by_each_who_asks(tmp_path: Path) -> None:
    ref = package(tmp_path / "line", 2.0)
    impatient = Rehearsal(RehearsalLimits(batch_records=50, batch_p50_s=0.0), RehearsalCache())

    with pytest.raises(Refused, match="50 events take") as refused:
        impatient(tmp_path / "line", ref.digest, gates=Gates.ALL, cancelled=never)
    shutil.rmtree(tmp_path / "line")  # who looks again finds nothing
    measured = impatient(tmp_path / "line", ref.digest, gates=Gates.WITHOUT_LATENCY, cancelled=never)

    assert refused.value.code == "latency"
    assert measured is not None
    assert (measured.rows, measured.max_abs_difference) == (3, 0.0)
    assert measured.batch_p50_s > 0.0
    assert measured.grown_bytes is None or 0 <= measured.grown_bytes < 2**30


def test_who_is_killed_is_refused_by_the_signal(tmp_path: Path) -> None:
    refused = refusal(tmp_path / "line", kills_itself())

    assert refused.code == "crash"
    assert "SIGKILL" in refused.reason


def converted(path: Path) -> PackageRef:
    """Write the package of a forest that answers `2 * x` to the golden rows, and of its graph."""
    rows = np.array(ROWS)[:, np.newaxis]
    forest = RandomForestRegressor(3, bootstrap=False, random_state=0).fit(rows, 2.0 * rows[:, 0])
    return package(path, 2.0, forest, more={"model.onnx": graph_of(forest)}, **CONVERTED)


def test_a_converted_package_is_rehearsed_in_both_forms(tmp_path: Path) -> None:
    ref = converted(tmp_path / "forest")

    measured = rehearse(tmp_path / "forest", ref.digest, limits=ROOMY, cancelled=never)

    assert measured is not None
    assert (measured.rows, measured.max_abs_difference) == (3, 0.0)


def test_without_its_library_a_converted_package_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ref = converted(tmp_path / "forest")
    (tmp_path / "first").mkdir()
    (tmp_path / "first" / "onnxruntime.py").write_text("raise ImportError('not on this machine')")
    monkeypatch.syspath_prepend(tmp_path / "first")

    with pytest.raises(Refused, match="runs on ONNX Runtime, which cannot be imported here") as refused:
        rehearse(tmp_path / "forest", ref.digest, limits=ROOMY, cancelled=never)

    assert refused.value.code == "runtime"


def test_there_is_no_network(tmp_path: Path) -> None:
    refused = refusal(tmp_path / "line", phones_home())

    assert refused.code == "network"
    assert "a rehearsal has no network" in refused.reason


def test_a_rehearsal_that_is_not_wanted_any_more_is_killed(tmp_path: Path) -> None:
    loading = tmp_path / "loading"
    ref = package(tmp_path / "line", 2.0, touches(loading, hangs()))

    def cancelled() -> bool:
        return loading.exists() and loading.read_text() != ""

    assert rehearse(tmp_path / "line", ref.digest, limits=ROOMY, cancelled=cancelled) is None
    with pytest.raises(ProcessLookupError):
        os.kill(int(loading.read_text()), 0)


def test_a_package_that_answers_otherwise_than_its_golden_rows_is_refused(tmp_path: Path) -> None:
    ref = package(tmp_path / "line", 2.0, says=3.0)

    with pytest.raises(Refused, match="row 1 differs by 1; golden row 2 differs") as refused:
        in_this_process(tmp_path / "line", ref.digest)

    assert refused.value.code == "golden"


def test_a_package_that_answers_otherwise_alone_is_refused(tmp_path: Path) -> None:
    rows = (-1.0, 0.0, 1.0)  # their average is 0, so that all of them together are as the golden rows say
    ref = package(tmp_path / "line", 1.0, Centred(), rows=rows)

    with pytest.raises(Refused, match="alone in its batch") as refused:
        in_this_process(tmp_path / "line", ref.digest)

    assert refused.value.code == "batch_of_one"


def test_a_package_without_golden_rows_proves_nothing(tmp_path: Path) -> None:
    ref = package(tmp_path / "line", 1.0, rows=())

    with pytest.raises(Refused, match="there are no golden rows"):
        in_this_process(tmp_path / "line", ref.digest)


def test_a_package_whose_schema_is_none_is_refused(tmp_path: Path) -> None:
    ref = package(tmp_path / "line", 1.0, schema=b"[")

    with pytest.raises(Refused) as refused:
        in_this_process(tmp_path / "line", ref.digest)

    assert refused.value.code == "schema"


def caused(by: BaseException) -> Refused:
    refused = Refused("load", "ImportError: no module; ship its module with --code")
    refused.__cause__ = by
    return refused


def test_what_a_package_raises_is_told_in_its_words_unless_memory_or_network_say_more() -> None:
    told = [
        rehearsal_child._refusal(Refused("golden", "row 1"), [], 2_000),
        rehearsal_child._refusal(KeyboardInterrupt("no"), [], 2_000),
        rehearsal_child._refusal(caused(MemoryError("all gone")), ["socket.connect"], 2_000),
        rehearsal_child._refusal(Refused("load", "no route"), ["socket.connect", "socket.connect"], 2_000),
    ]

    assert [(one.code, one.reason) for one in told] == [
        ("golden", "row 1"),
        ("load", "KeyboardInterrupt: no"),
        ("memory", "it needs more than the limit of 2,000 bytes (MemoryError: all gone)"),
        ("network", "no route (it tried socket.connect)"),
    ]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ImportError("libtorch_cpu.so: failed to map segment from shared object"), "memory"),
        (OSError("libtorch_cpu.so: cannot map zero-fill pages: Cannot allocate memory"), "memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
        (RuntimeError("can't start new thread"), "memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes"), "memory"),
        (ValueError("std::bad_alloc"), "memory"),
        (ImportError("libgomp.so.1: cannot allocate memory in static TLS block"), "load"),
        (ImportError("libtorch_cpu.so: cannot open shared object file"), "load"),
        (RuntimeError("CUDA out of memory. Tried to allocate 20 MiB"), "load"),
        (OSError(errno.ENOENT, "No such file"), "load"),
    ],
)
def test_errors_of_every_kind_that_come_of_the_memory_limit_name_it(error: Exception, code: str) -> None:
    told = rehearsal_child._refusal(caused(error), [], 2_000)

    assert told.code == code
    assert ("limit of 2,000 bytes" in told.reason) == (code == "memory")
    assert ("--code" in told.reason) == (code == "load")


FILLED = """
import mmap
kept, size = [], 2**30
while size >= 2**26:
    try:
        kept.append(mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    except OSError:
        size //= 2
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits memory")
@pytest.mark.parametrize(
    ("then", "code", "error"),
    [
        ("bytearray(2**28)", "memory", "MemoryError"),
        # A library's segment or an allocation of Python's fails first: it depends on what is loaded already.
        ("import catboost", "memory", r"failed to map segment|MemoryError"),
        ("import os; os.abort()", "crash", "was killed by SIGABRT"),
    ],
)
def test_a_module_that_meets_the_memory_limit_when_it_is_imported_is_refused_with_the_limit(
    tmp_path: Path, then: str, code: str, error: str
) -> None:
    imports = Calls(eval, "__import__('large')")
    module = {"code/large.py": (FILLED + then).encode()}
    ref = package(tmp_path / "line", 2.0, imports, more=module)
    limits = RehearsalLimits(timeout_s=60.0, memory_bytes=2**20)

    with pytest.raises(Refused, match="limit of 1,048,576 bytes") as refused:
        rehearse(tmp_path / "line", ref.digest, limits=limits, cancelled=never)

    assert refused.value.code == code
    assert re.search(error, refused.value.reason)


@pytest.mark.parametrize(
    ("schedule", "queued_s"), [("900 1900000000 7", 1.9), ("", 0.0), ("a b c", 0.0), (None, 0.0)]
)
def test_waiting_for_a_processor_is_counted_where_the_system_tells(
    tmp_path: Path, schedule: str | None, queued_s: float
) -> None:
    if schedule is not None:
        (tmp_path / "schedstat").write_text(schedule)

    assert child_limits.queued_s(tmp_path / "schedstat") == queued_s
    assert child_limits.queued_s() >= 0.0


@pytest.mark.parametrize("said", [b"", b"{}", b"Traceback", b'{"measured": {"rows": 1}}', b"\xff"])
def test_who_ends_without_a_report_has_crashed(said: bytes) -> None:
    with pytest.raises(Refused, match="exit code 7") as refused:
        read_report(ChildExit(said, 7), 2_000)

    assert refused.value.code == "crash"


@pytest.mark.parametrize(
    ("limits", "gates", "code"),
    [
        (RehearsalLimits(), Gates.ALL, None),
        (RehearsalLimits(batch_p50_s=0.4), Gates.ALL, "latency"),
        (RehearsalLimits(batch_p50_s=0.4), Gates.WITHOUT_LATENCY, None),
        (RehearsalLimits(memory_bytes=999), Gates.ALL, "memory"),
        (RehearsalLimits(memory_bytes=999), Gates.WITHOUT_LATENCY, "memory"),
    ],
)
def test_what_takes_too_much_is_refused(limits: RehearsalLimits, gates: Gates, code: str | None) -> None:
    refused = exceeded(MEASURED, limits, gates)

    assert (refused.code if refused else None) == code


def test_the_child_is_not_told_what_the_worker_was_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAM_INFER_KAFKA__SASL_PASSWORD", "secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    inherited = spawned_child.child_environment()

    assert "secret" not in inherited.values()
    assert inherited["OMP_NUM_THREADS"] == "1"


def test_what_a_package_prints_is_not_taken_for_the_report(tmp_path: Path) -> None:
    forged = '{"measured": {"rows": 9, "max_abs_difference": 0, "batch_p50_s": 0, "grown_bytes": 0}}'
    program = f"[(os.write(1, {forged.encode()!r}), os._exit(0)) for os in [__import__('os')]]"

    assert refusal(tmp_path / "line", Calls(eval, program)).code == "crash"
