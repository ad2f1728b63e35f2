"""Arrow IPC: a split is a record batch of a file, or the whole of a stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from stream_infer.batch.formats import FileShape
from stream_infer.batch.input_files import InputFile

_FILE_MAGIC = b"ARROW1"


class ArrowFileFormat:
    """A `FileFormat` for files (`.arrow`, Feather 2) and streams (`.arrows`)."""

    def shape(self, file: InputFile) -> FileShape:
        with file.location.filesystem.open_input_file(file.location.path) as opened:
            if not _is_file(opened):
                return FileShape(pa.ipc.open_stream(opened).schema.remove_metadata(), [None])
            reader = pa.ipc.open_file(opened)
            rows = [reader.get_batch(index).num_rows for index in range(reader.num_record_batches)]
            return FileShape(reader.schema.remove_metadata(), rows)

    def read(
        self, file: InputFile, split: int, columns: Sequence[str], rows: int
    ) -> Iterator[pa.RecordBatch]:
        with file.location.filesystem.open_input_file(file.location.path) as opened:
            if _is_file(opened):
                tables = iter([pa.ipc.open_file(opened).get_batch(split)])
            else:
                tables = iter(pa.ipc.open_stream(opened))
            for table in tables:
                for start in range(0, table.num_rows, rows):
                    yield table.select(list(columns)).slice(start, rows).replace_schema_metadata(None)


def _is_file(opened: pa.NativeFile) -> bool:
    magic: bytes = opened.read(len(_FILE_MAGIC))
    opened.seek(0)
    return magic == _FILE_MAGIC
