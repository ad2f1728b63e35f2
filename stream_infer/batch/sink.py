"""The sink of a batch run: a part for each batch, its rejected rows beside it, then an entry in the journal.

The entry is the commit. A part without one is of a run that was killed, and is written again with the same
bytes. Nothing has its final name before the whole run is done.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

from stream_infer.batch.journal import Journal, JournalEntry, WrittenFile
from stream_infer.batch.output_folder import PARTS, REJECTED, OutputFolder
from stream_infer.batch.part_files import WritePart
from stream_infer.flow.errors import Fatal
from stream_infer.flow.records import Channel, Outcome, Output, Partition
from stream_infer.steps.table import TableRows


class FileSink:
    """A `Sink`. `numbers` are those of the splits; `suffix` is that of a part, with its dot."""

    def __init__(
        self,
        folder: OutputFolder,
        journal: Journal,
        numbers: Mapping[Partition, int],
        write_part: WritePart,
        suffix: str,
    ) -> None:
        self._folder = folder
        self._journal = journal
        self._numbers = numbers
        self._write_part = write_part
        self._suffix = suffix

    def commit(self, outcome: Outcome) -> None:
        [(partition, span)] = outcome.cursor.spans.items()
        counts = Counter(f"{one.stage}/{one.error_class}" for one in outcome.rejected)
        rejected = dict(sorted(counts.items()))
        entry = JournalEntry(self._numbers[partition], span.first, span.next, None, None, rejected)
        for output in outcome.outputs:
            entry = self._with(entry, output)
        self._journal.add(entry)

    def _with(self, entry: JournalEntry, output: Output) -> JournalEntry:
        """Write what is in `output`; return the entry that names it."""
        rows, values = len(output), output.values
        match output.channel:
            case Channel.PREDICTIONS if isinstance(values, TableRows):
                name = f"part-{entry.name}{self._suffix}"
                return replace(
                    entry, part=self._write(PARTS, name, rows, self._write_part(name, values.table))
                )
            case Channel.DEAD_LETTERS:
                name = f"part-{entry.name}.jsonl"
                return replace(entry, rejects=self._write(REJECTED, name, rows, rejected_lines(output)))
            case Channel.OBSERVATIONS:
                return replace(entry, summary=json.loads(values[0] or b"{}"))
        raise Fatal(f"a file takes no {output.channel}; report it")

    def _write(self, folder: str, name: str, rows: int, data: bytes) -> WrittenFile:
        self._folder.work.write(f"{folder}/{name}", data)
        return WrittenFile(name, rows, len(data), hashlib.sha256(data).hexdigest())


def rejected_lines(letters: Output) -> bytes:
    """Return dead letters as JSON Lines: stage, class, message and position of each, and the row itself."""
    lines = []
    for headers, value in zip(letters.headers, letters.values, strict=True):
        reason = {name: _text(header) for name, header in headers or ()}
        document = {
            "source_topic": reason["__dlq.errors.topic"],
            "source_partition": int(reason["__dlq.errors.partition"]),
            "source_offset": int(reason["__dlq.errors.offset"]),
            "stage": reason["streaminfer.error.stage"],
            "class": reason["streaminfer.error.class"],
            "message": reason["__dlq.errors.message"],
            "model_version": reason["streaminfer.model.version"],
        }
        head = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
        lines.append(head[:-1] + b',"row":' + (value or b"null") + b"}\n")
    return b"".join(lines)


def _text(header: bytes | None) -> str:
    return "" if header is None else header.decode()
