"""The composition root of batch scoring: a data set and a package to a folder of predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from stream_infer.batch.input_files import InputFile, find_files
from stream_infer.batch.journal import Journal, JournalEntry, Run
from stream_infer.batch.output_folder import PARTS, PUBLISHING, REJECTED, OutputFolder
from stream_infer.batch.report_page import chart_library, report_page
from stream_infer.batch.run_report import make_report
from stream_infer.batch.scoring import (
    BatchRequest,
    PreparedBatch,
    folder_of,
    load_proved,
    prepare_batch,
    score_share,
)
from stream_infer.batch.share_process import Share, score_in_processes
from stream_infer.batch.success import (
    Counts,
    Success,
    counts_of,
    publish_parts,
    read_success,
    success_document,
)
from stream_infer.common.clock import unix_ms
from stream_infer.common.durable import replace_file
from stream_infer.flow.errors import Fatal, Misconfigured, Problem
from stream_infer.flow.ports import Observer
from stream_infer.runtime.stop import Stop

_DIFFERENT = {
    "package": "another package",
    "input": "an input that has changed since",
    "options": "other options",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPolicy:
    """How a run goes. `max_rejected` is a share of the rows; with more of them nothing is published.

    `report` is where the page about the run goes, which is written before anything is published.

    `if_changed` leaves where the output covers package and input already, and replaces it where not;
    `watermark` scores the files that the output does not have, and adds to it.
    """

    workers: int = 1
    max_rejected: float = 1.0
    report: Path | None = None
    if_changed: bool = False
    watermark: bool = False


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What a run did. `document` is the manifest of the output; None where there was nothing to do."""

    document: Mapping[str, Any] | None
    counts: Counts
    resumed_rows: int


Begin = Callable[[PreparedBatch, Counts], None]
"""Told when scoring begins: what is scored, and what an earlier run has answered already."""


def run_score(
    request: BatchRequest, policy: RunPolicy, stop: Stop, observe: Observer, begin: Begin
) -> BatchReport:
    """Score a data set; the output appears when all of it is done.

    Raises `Refused` for the package, `Misconfigured` for input and output, and `Fatal` where the run cannot
    go on: what is done stays, and the same command goes on with it.
    """
    library = "" if policy.report is None else chart_library()
    loaded = load_proved(request.package)
    files = find_files(request.inputs)
    folder = folder_of(request)
    with folder.exclusive():
        journal = Journal(folder)
        success = read_success(folder)
        _clear_up(folder, journal, success)
        before = success if policy.watermark else None
        files = files if before is None else _new_files(files, before)
        if success is not None and _has_nothing_to_do(
            success, loaded.scorer.model.digest, request, files, policy
        ):
            return BatchReport(None, Counts(0, 0, {}), 0)
        prepared = prepare_batch(request, loaded, files, before.next_split if before else 0)
        run = _begun(folder, journal, prepared.run(unix_ms()), policy)
        entries = _answered(folder, journal)
        resumed = counts_of(entries)
        begin(prepared, resumed)
        _score(prepared, folder, run, entries, policy.workers, stop, observe)
        if stop.requested:
            raise Fatal("the run was stopped before its end; the same command goes on with it")
        entries = journal.entries()
        if policy.report is not None:
            _write_report(policy.report, prepared, run, entries, library)
        _check(prepared, folder, entries, policy)
        document = _document(prepared, run, entries, before)
        publish_parts(folder, document, before)
    return BatchReport(document, counts_of(entries), resumed.rows)


def _clear_up(folder: OutputFolder, journal: Journal, success: Success | None) -> None:
    """Delete the journal of a run that was complete, and killed before it had done so itself."""
    begun = journal.run()
    if success is not None and begun is not None and begun.started_ms == success.run.started_ms:
        folder.clear_work()


def _new_files(files: Sequence[InputFile], before: Success) -> list[InputFile]:
    """Return the files that the output lacks. Raises `Misconfigured` where one that it has changed."""
    known = before.files
    fix = "give the change as a new file, or another output"
    what = "has changed since it was scored, and --watermark scores new files only"
    changed = [file.name for file in files if known.get(file.name, file.identity) != file.identity]
    if changed:
        raise Misconfigured([Problem("INPUT", name, what, fix) for name in changed])
    return [file for file in files if file.name not in known]


def _has_nothing_to_do(
    success: Success, digest: str, request: BatchRequest, files: Sequence[InputFile], policy: RunPolicy
) -> bool:
    """Return whether the output is complete as it is. Raises `Misconfigured` where it must not be touched."""
    same = success.run.package == digest and success.run.options == request.options
    if policy.watermark:
        if not same:
            fix = "give another output: predictions of several packages do not belong into one"
            what = "holds the predictions of another package, or was written with other options"
            raise Misconfigured([Problem("-o", request.output, what, fix)])
        return not files
    covered = same and success.files == {file.name: file.identity for file in files}
    if policy.if_changed:
        return covered
    what = "holds the predictions " + ("for this package and input" if covered else "of another run")
    fix = "give another folder, or --if-changed, which replaces what is not up to date, or --watermark"
    raise Misconfigured([Problem("-o", request.output, what, fix)])


def _begun(folder: OutputFolder, journal: Journal, run: Run, policy: RunPolicy) -> Run:
    """Return the run that the journal has begun, where it is the same as `run`; else begin `run`."""
    begun = journal.run()
    if begun is not None and replace(begun, started_ms=run.started_ms) == run:
        return begun
    if begun is not None and not (policy.if_changed or policy.watermark):
        differs = [text for name, text in _DIFFERENT.items() if getattr(begun, name) != getattr(run, name)]
        what = f"holds an unfinished run of {' and '.join(differs)}"
        fix = f"restore what it began with and run again, or delete {folder.work_shown} to begin anew"
        raise Misconfigured([Problem("-o", folder.shown, what, fix)])
    folder.clear_work()
    journal.begin(run)
    return run


def _answered(folder: OutputFolder, journal: Journal) -> list[JournalEntry]:
    """Return the entries of the journal whose files are there, whole."""
    entries = journal.entries()
    if folder.work.read(PUBLISHING) is not None:
        return entries  # all of them are, and some have their final names already
    sizes = folder.work.sizes(PARTS), folder.work.sizes(REJECTED)
    return [
        entry
        for entry in entries
        if all(
            file is None or found.get(file.name) == file.bytes
            for file, found in zip((entry.part, entry.rejects), sizes, strict=True)
        )
    ]


def _score(
    prepared: PreparedBatch,
    folder: OutputFolder,
    run: Run,
    entries: Sequence[JournalEntry],
    workers: int,
    stop: Stop,
    observe: Observer,
) -> None:
    if folder.work.read(PUBLISHING) is not None:
        return
    if workers == 1:
        score_share(prepared, folder, run, entries, lambda _: True, stop, observe)
        return
    first = prepared.plan.splits[0].number
    shares = [Share(prepared.request, run, prepared.files, first, index, workers) for index in range(workers)]
    score_in_processes(shares, stop, observe)


def _check(
    prepared: PreparedBatch, folder: OutputFolder, entries: Sequence[JournalEntry], policy: RunPolicy
) -> None:
    """Raise `Fatal` where the output must not be published."""
    counts, known = counts_of(entries), prepared.plan.rows
    if known is not None and counts.rows != known:
        raise Fatal(f"{counts.rows} of {known} rows are answered; run the same command again")
    if not counts.rows:
        raise Fatal("the input has no rows; nothing was published")
    now = {file.name: file.identity for file in find_files(prepared.request.inputs)}
    changed = [file.name for file in prepared.files if now.get(file.name) != file.identity]
    if changed:
        raise Fatal(
            f"the input changed while it was scored: {', '.join(changed[:3])}. Nothing was published; delete "
            f"{folder.work_shown} and run the command again"
        )
    share = counts.rejected_rows / counts.rows
    if share > policy.max_rejected:
        raise Fatal(
            f"{counts.rejected_rows} of {counts.rows} rows ({share:.2%}) were rejected, and --max-rejected "
            f"is {policy.max_rejected:.2%}. Nothing was published; the rows and reasons are in "
            f"{folder.work_shown}/{REJECTED}"
        )


def _write_report(
    path: Path, prepared: PreparedBatch, run: Run, entries: Sequence[JournalEntry], library: str
) -> None:
    model = prepared.scorer.model
    named = model.manifest.name, model.manifest.version, model.digest
    report = make_report(named, run.started_ms, entries, prepared.reference, model.manifest.output.classes)
    try:
        replace_file(path, report_page(report, library).encode())
    except OSError as error:
        raise Fatal(f"{path} cannot be written: {error.strerror}. Nothing was published") from error


def _document(
    prepared: PreparedBatch, run: Run, entries: Sequence[JournalEntry], before: Success | None
) -> dict[str, Any]:
    manifest = prepared.scorer.model.manifest
    next_split = prepared.plan.splits[-1].number + 1
    return success_document(
        run, (manifest.name, manifest.version), prepared.files, next_split, entries, before
    )
