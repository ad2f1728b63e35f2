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
from stream_infer.avro.schemas import Schema, SchemaRefused, parse_schema
from stream_infer.flow.codes import RefusalCode
from stream_infer.flow.errors import Refused, StreamInferError
from stream_infer.models.load import Model, load_model
from stream_infer.models.package import Verified, verify
from stream_infer.rollout.child_limits import (
    end_within,
    limit_memory,
    peak_bytes,
    queued_s,
    refuse_network,
    unlimit_memory,
)
from stream_infer.rollout.rehearsal_task import (
    Refusal,
    RehearsalLimits,
    RehearsalReport,
    RehearsalResult,
    format_report,
)
from stream_infer.steps.scoring.golden import Golden, GoldenReport, read_golden, replay, write_golden
from stream_infer.steps.scoring.infer import infer
from stream_infer.steps.scoring.isolate import Budget
from stream_infer.steps.scoring.plan import Events, plan_scoring

_ALONE = 32
"""The number of golden rows that are also scored alone in a batch."""
_BATCHES = 5
_SHOWN_FAILURES = 3
_LONGEST_REASON = 1_000
_GRACE_S = 1.0
"""The parent ends this process at the timeout. An orphan ends itself so much later."""


def run_child() -> None:
    """Rehearse the package of the arguments (path, digest, limits as JSON); report on standard output."""
    path, digest, text = sys.argv[1:]
    report_to = os.dup(1)
    # What the package prints must not be taken for the report.
    os.dup2(2, 1)
    rehearse_here(Path(path), digest, RehearsalLimits(**json.loads(text)), report_to)


def rehearse_here(path: Path, digest: str, limits: RehearsalLimits, report_to: int) -> NoReturn:
    """Rehearse the package at `path`, write the report to the descriptor `report_to`, end the process."""
    end_within(limits.timeout_s + _GRACE_S)
    tried = refuse_network()
    before = peak_bytes()
    limit_memory(limits.memory_bytes)
    try:
        report = RehearsalReport(measured=_rehearsed(path, digest, limits, before))
    except BaseException as error:  # noqa: BLE001 - code of the package may raise anything
        report = RehearsalReport(refused=_refusal(error, tried))
    unlimit_memory()
    os.write(report_to, format_report(report))
    # Without the threads and exit handlers of the package.
    os._exit(0)


def _rehearsed(path: Path, digest: str, limits: RehearsalLimits, before: int | None) -> RehearsalResult:
    verified = verify(path, digest)
    model = load_model(verified)
    schema = _schema(verified)
    golden = verified.files["golden.avro"]
    replayed = _agreeing(RefusalCode.GOLDEN, replay(model, schema, golden))
    rows = read_golden(golden)
    for row in rows[:_ALONE]:
        _agreeing(RefusalCode.BATCH_OF_ONE, replay(model, schema, write_golden([row])))
    p50_s = _batch_p50_s(model, schema, rows, limits.batch_records)
    after = peak_bytes()
    grown = None if before is None or after is None else after - before
    return RehearsalResult(replayed.rows, replayed.max_abs_difference, p50_s, grown)


def _schema(verified: Verified) -> Schema:
    try:
        return parse_schema(verified.files["input.avsc"].decode())
    except (SchemaRefused, UnicodeDecodeError) as error:
        raise Refused(RefusalCode.SCHEMA, f"input.avsc: {error}") from error


def _agreeing(code: RefusalCode, replayed: GoldenReport) -> GoldenReport:
    if not replayed.ok:
        shown = replayed.failures[:_SHOWN_FAILURES] or ["there are no golden rows"]
        alone = "alone in its batch, " if code is RefusalCode.BATCH_OF_ONE else ""
        more = len(replayed.failures) - len(shown)
        raise Refused(code, alone + "; ".join(shown) + (f", and {more} more" if more > 0 else ""))
    return replayed


def _batch_p50_s(model: Model, schema: Schema, rows: Sequence[Golden], records: int) -> float:
    """Return the median time of a batch of golden events, as a worker scores them: decode, then infer.

    The clock stands still while other processes have the processor, so a busy machine makes no model slow.
    """
    events = list(islice(cycle(row.event for row in rows), records))
    decoder = plan_scoring(model, Events(Framing.NONE, [schema])).decoder
    took_s = []
    for _ in range(_BATCHES + 1):
        started = _undisturbed_s()
        infer(model, decoder.decode(events).columns, Budget())
        took_s.append(_undisturbed_s() - started)
    return statistics.median(took_s[1:])  # the first one warms up


def _undisturbed_s() -> float:
    """Return the time of a clock that stands still while this thread waits for a processor."""
    return time.perf_counter() - queued_s()


def _refusal(error: BaseException, tried: Sequence[str]) -> Refusal:
    reason = str(error) if isinstance(error, StreamInferError) else f"{type(error).__name__}: {error}"
    code = error.code if isinstance(error, Refused) else RefusalCode.LOAD
    if _ran_out_of_memory(error):
        code = RefusalCode.MEMORY
    elif tried:
        code = RefusalCode.NETWORK
        reason = f"{reason} (it tried {', '.join(sorted(set(tried)))})"
    return Refusal(code, reason[:_LONGEST_REASON])


def _ran_out_of_memory(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, MemoryError):
            return True
        error = error.__cause__ or error.__context__
    return False


if __name__ == "__main__":
    run_child()
