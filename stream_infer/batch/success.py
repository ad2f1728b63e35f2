"""The manifest of a complete output, `_SUCCESS`: what was scored by what, every part, counts and checks."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stream_infer.batch.input_files import InputFile, fingerprint
from stream_infer.batch.journal import JournalEntry, Run, WrittenFile
from stream_infer.batch.output_folder import PARTS, PUBLISHING, REJECTED, SUCCESS, OutputFolder
from stream_infer.flow.errors import Fatal

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Counts:
    """The rows of a run: read, predicted, and rejected by stage and class."""

    rows: int
    predicted: int
    rejected: Mapping[str, int]

    @property
    def rejected_rows(self) -> int:
        """The rows that were rejected."""
        return sum(self.rejected.values())


def counts_of(entries: Sequence[JournalEntry]) -> Counts:
    """Return the counts of all answered rows."""
    rejected: Counter[str] = Counter()
    for entry in entries:
        rejected.update(entry.rejected)
    return Counts(
        rows=sum(entry.next - entry.first for entry in entries),
        predicted=sum(entry.part.rows for entry in entries if entry.part),
        rejected=dict(sorted(rejected.items())),
    )


class Success:
    """What the manifest of an output says."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = document
        self.run = Run(
            started_ms=document["scored_at"],
            package=document["package"]["digest"],
            input=document["input"]["fingerprint"],
            options=document["options"],
        )
        self.files: Mapping[str, str] = {one["name"]: one["identity"] for one in document["input"]["files"]}
        self.next_split: int = document["input"]["splits"]
        self.names = [f["name"] for f in document["parts"]]
        self.rejects = [f["name"] for f in document["rejected"]]


def read_success(folder: OutputFolder) -> Success | None:
    """Return the manifest of `folder`; None before a run is complete. Raises `Fatal` for a damaged one."""
    data = folder.final.read(SUCCESS)
    if data is None:
        return None
    try:
        document = json.loads(data)
        known = document["format"] == _FORMAT
        success = Success(document) if known else None
    except (ValueError, KeyError, TypeError) as error:
        raise Fatal(f"{folder.shown}/{SUCCESS} cannot be read: {error}. Give another folder") from error
    if success is None:
        raise Fatal(f"{folder.shown}/{SUCCESS} has another format than {_FORMAT}. Give another folder")
    return success


def success_document(
    run: Run,
    package: tuple[str, str],
    files: Sequence[InputFile],
    splits: int,
    entries: Sequence[JournalEntry],
    before: Success | None,
) -> dict[str, Any]:
    """Return the manifest of a run of `package` (name, version); it adds to what `before` names."""
    counts = counts_of(entries)
    listed = [{"name": file.name, "bytes": file.bytes, "identity": file.identity} for file in files]
    parts = [_listed(entry.part) for entry in entries if entry.part]
    rejects = [_listed(entry.rejects) for entry in entries if entry.rejects]
    rejected = Counter(counts.rejected)
    rows, predicted = counts.rows, counts.predicted
    if before is not None:
        listed = [*before.document["input"]["files"], *listed]
        parts, rejects = [*before.document["parts"], *parts], [*before.document["rejected"], *rejects]
        rejected.update(before.document["counts"]["rejected"])
        rows += before.document["counts"]["rows"]
        predicted += before.document["counts"]["predicted"]
    return {
        "format": _FORMAT,
        "scored_at": run.started_ms,
        "package": {"name": package[0], "version": package[1], "digest": run.package},
        "options": run.options,
        "input": {"fingerprint": run.input, "splits": splits, "files": listed},
        "counts": {"rows": rows, "predicted": predicted, "rejected": dict(sorted(rejected.items()))},
        "checks": {
            "every row is answered once": rows == predicted + sum(rejected.values()),
            "the input did not change": fingerprint(files) == run.input,
        },
        "parts": parts,
        "rejected": rejects,
    }


def publish_parts(folder: OutputFolder, document: Mapping[str, Any], before: Success | None) -> None:
    """Give every part its final name, then write the manifest. A publication that was killed is gone on with.

    Parts of an earlier run that the manifest does not name are deleted, before the manifest is written; the
    earlier manifest goes first, unless this run adds to the output of `before`.
    """
    folder.work.write(PUBLISHING, b"")
    if before is None and folder.final.read(SUCCESS) is not None:
        folder.final.delete(SUCCESS)
    for under, final in ((PARTS, ""), (REJECTED, f"{REJECTED}/")):
        for name in folder.work.sizes(under):
            folder.work.move(f"{under}/{name}", folder.final, f"{final}{name}")
    kept = {one["name"] for one in document["parts"]}, {one["name"] for one in document["rejected"]}
    for under, names in zip(("", REJECTED), kept, strict=True):
        for name in folder.final.sizes(under):
            if name.startswith("part-") and name not in names:
                folder.final.delete(f"{under}/{name}" if under else name)
    folder.final.write(SUCCESS, json.dumps(document, indent=1, sort_keys=True).encode() + b"\n")
    folder.clear_work()


def _listed(file: WrittenFile) -> dict[str, object]:
    return {"name": file.name, "rows": file.rows, "bytes": file.bytes, "sha256": file.sha256}
