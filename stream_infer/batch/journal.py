"""The journal of a run: what is run, and one entry for each batch whose part is written.

An entry is a file of its own, written whole: several processes write one journal, on any file system.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from stream_infer.batch.output_folder import JOURNAL, RUN, OutputFolder
from stream_infer.batch.splits import Split
from stream_infer.flow.errors import Fatal
from stream_infer.flow.records import Partition


@dataclass(frozen=True, slots=True)
class WrittenFile:
    """A file that a batch led to: rows, size, SHA-256."""

    name: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class JournalEntry:
    """Rows `first` to before `next` of a split, which are answered: by a part, by rejected rows, by both.

    `summary` is what the batch adds to the report: observation frames, and sums over true labels.
    """

    split: int
    first: int
    next: int
    part: WrittenFile | None
    rejects: WrittenFile | None
    rejected: Mapping[str, int]
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name of the batch, which its files have too."""
        return f"{self.split:05d}-{self.first:012d}"


@dataclass(frozen=True, slots=True)
class Run:
    """What is run: the same package, input and options go on with a journal, anything else does not.

    `started_ms` is the time that the predictions of all its processes bear.
    """

    started_ms: int
    package: str
    input: str
    options: str


class Journal:
    """The journal in the work folder of an output."""

    def __init__(self, folder: OutputFolder) -> None:
        self._folder = folder

    def run(self) -> Run | None:
        """Return the run that was begun here, if any. Raises `Fatal` for a file that is none."""
        data = self._folder.work.read(RUN)
        if data is None:
            return None
        try:
            document = json.loads(data)
            return Run(**{one.name: document[one.name] for one in fields(Run)})
        except (ValueError, KeyError, TypeError) as error:
            raise Fatal(f"{self._folder.shown}: the journal of the run cannot be read: {error}") from error

    def begin(self, run: Run) -> None:
        """Write down what is run."""
        self._folder.work.write(RUN, _json(asdict(run)))

    def add(self, entry: JournalEntry) -> None:
        """Write down that a batch is answered. Its files are written already."""
        self._folder.work.write(f"{JOURNAL}/{entry.name}.json", _json(asdict(entry)))

    def entries(self) -> list[JournalEntry]:
        """Return the entries in the order of the input."""
        names = self._folder.work.sizes(JOURNAL)
        found = [_entry(self._folder.work.read(f"{JOURNAL}/{name}") or b"") for name in names]
        return sorted(found, key=lambda entry: (entry.split, entry.first))


def positions_of(splits: Iterable[Split], entries: Sequence[JournalEntry]) -> dict[Partition, int]:
    """Return the next row of each split without an answer."""
    by_number = {split.number: split.partition for split in splits}
    return {by_number[entry.split]: entry.next for entry in entries if entry.split in by_number}


def _entry(data: bytes) -> JournalEntry:
    document = json.loads(data)
    for name in ("part", "rejects"):
        if document[name] is not None:
            document[name] = WrittenFile(**document[name])
    return JournalEntry(**document)


def _json(document: object) -> bytes:
    return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
