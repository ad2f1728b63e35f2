"""The child of a rehearsal: verify, load, replay, measure, report in one line of JSON, end.

It runs in a process of its own (`spawned_child`, `forkserver`), which may crash, hang or use up its memory.
Its report is as honest as the package: the package's code runs in the same process.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import NoReturn

from stream_infer.avro.framing import Framing
from stream_infer.avro.schemas import Schema
from stream_infer.common.foreign_code import error_text
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused, StreamInferError
from stream_infer.models.load import Model, load_model
from stream_infer.models.package import verify
from stream_infer.rollout.child_limits import (
    end_with,
    end_within,
    failed_allocation,
    limit_memory,
    peak_bytes,
    queued_s,
    refuse_network,
    unlimit_memory,
)
from stream_infer.rollout.golden_check import input_schema, prove_answers
from stream_infer.rollout.rehearsal_task import (
    Refusal,
    RehearsalLimits,
    RehearsalReport,
    RehearsalResult,
    format_report,
)
from stream_infer.steps.scoring.golden import Golden, read_golden
from stream_infer.steps.scoring.infer import infer
from stream_infer.steps.scoring.plan import Events, plan_scoring

_BATCHES = 5
_LONGEST_REASON = 1_000
_GRACE_S = 1.0
"""The parent ends this process at the timeout. An orphan ends itself so much later."""


def run_child() -> None:
    """Rehearse the package of the arguments; report on standard output.

    They are path, digest, limits as JSON, and the number of the parent process.
    """
    path, digest, text, parent = sys.argv[1:]
    end_with(int(parent))
    report_to = os.dup(1)
    # What the package prints must not be taken for the report.
    os.dup2(2, 1)
    rehearse_here(Path(path), digest, RehearsalLimits(**json.loads(text)), report_to)


def rehearse_here(path: Path, digest: str, limits: RehearsalLimits, report_to: int) -> NoReturn:
    """Rehearse the package at `path`, write the report to the descriptor `report_to`, end the process.

    The caller has called `end_with`.
    """
    end_within(limits.timeout_s + _GRACE_S)
    tried = refuse_network()
    before = peak_bytes()
    limit_memory(limits.memory_bytes)
    try:
        report = RehearsalReport(measured=_rehearsed(path, digest, limits, before))
    except BaseException as error:  # noqa: BLE001 - code of the package may raise anything
        report = RehearsalReport(refused=_refusal(error, tried, limits.memory_bytes))
    unlimit_memory()
    os.write(report_to, format_report(report))
    # Without the threads and exit handlers of the package.
    os._exit(0)


def _rehearsed(path: Path, digest: str, limits: RehearsalLimits, before: int | None) -> RehearsalResult:
    verified = verify(path, digest)
    model = load_model(verified)
    loaded = peak_bytes()
    replayed = prove_answers(model, verified)
    rows = read_golden(verified.files["golden.avro"])
    p50_s = _batch_p50_s(model, input_schema(verified), rows, limits.batch_records)
    peaks = [peak for peak in (loaded, peak_bytes()) if peak is not None]
    grown = max(peaks) - before if before is not None and peaks else None
    return RehearsalResult(replayed.rows, replayed.max_abs_difference, p50_s, grown)


def _batch_p50_s(model: Model, schema: Schema, rows: Sequence[Golden], records: int) -> float:
    """Return the median time of a batch of golden events, as a worker scores them: decode, then infer.

    The clock stands still while other processes have the processor, so a busy machine makes no model slow.
    """
    events = list(islice(cycle(row.event for row in rows), records))
    decoder = plan_scoring(model, Events(Framing.NONE, [schema])).decoder
    took_s = []
    for _ in range(_BATCHES + 1):
        started = _undisturbed_s()
        infer(model, decoder.decode(events).columns)
        took_s.append(_undisturbed_s() - started)
    return statistics.median(took_s[1:])  # the first one warms up


def _undisturbed_s() -> float:
    """Return the time of a clock that stands still while this thread waits for a processor."""
    return time.perf_counter() - queued_s()


def _refusal(error: BaseException, tried: Sequence[str], memory_bytes: int) -> Refusal:
    reason = str(error) if isinstance(error, StreamInferError) else error_text(error)
    code = error.code if isinstance(error, Refused) else RefusalCode.LOAD
    failed = failed_allocation(error)
    if failed is not None:
        code = RefusalCode.MEMORY
        # What the error became on its way up may blame an import.
        reason = f"it needs more than the limit of {memory_bytes:,} bytes ({error_text(failed)})"
    elif tried:
        code = RefusalCode.NETWORK
        reason = f"{reason} (it tried {', '.join(sorted(set(tried)))})"
    return Refusal(code, reason[:_LONGEST_REASON])


if __name__ == "__main__":
    run_child()
