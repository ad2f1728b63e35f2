"""Parquet files: a split is a row group."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from stream_infer.batch.formats import FileShape
from stream_infer.batch.input_files import InputFile


class ParquetFormat:
    """A `FileFormat`. Checksums of pages are verified where the file has them."""

    def shape(self, file: InputFile) -> FileShape:
        with pq.ParquetFile(file.location.path, filesystem=file.location.filesystem) as opened:
            groups = opened.metadata.num_row_groups
            rows = [opened.metadata.row_group(group).num_rows for group in range(groups)]
            return FileShape(opened.schema_arrow.remove_metadata(), rows)

    def read(
        self, file: InputFile, split: int, columns: Sequence[str], rows: int
    ) -> Iterator[pa.RecordBatch]:
        place = file.location
        with pq.ParquetFile(
            place.path, filesystem=place.filesystem, page_checksum_verification=True, pre_buffer=False
        ) as opened:
            for table in opened.iter_batches(rows, row_groups=[split], columns=list(columns)):
                yield table.select(list(columns)).replace_schema_metadata(None)
