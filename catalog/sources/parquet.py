"""Parquet files, a few rows at a time."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

import pyarrow as pa
import pyarrow.parquet as pq

from twinlens.catalog.errors import RejectReason, SourceError
from twinlens.catalog.sources.arrow import to_records
from twinlens.catalog.sources.rows import BadRecord, Record
from twinlens.catalog.sources.tables import PlainTable

# Pictures make rows large: thirty-two of 100 KB are 3 MB.
_BATCH_ROWS: Final = 32
_BUFFER_BYTES: Final = 1024 * 1024
_ERRORS: Final = (pa.ArrowException, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class ParquetTable(PlainTable):
    """A ``.parquet`` file. A row group that is damaged is one reject; the others are read."""

    ragged: ClassVar = False
    path: Path

    def read_column_names(self) -> list[str]:
        """Columns of its schema, and paths into those of structs."""
        with self._open() as file:
            schema = file.schema_arrow
            return [*schema.names, *(path for field in schema for path in _list_paths(field))]

    def count_rows(self) -> int | None:
        """Return the number of rows, by its footer."""
        with self._open() as file:
            return int(file.metadata.num_rows)

    def read_records(self, columns: Collection[str]) -> Iterator[Record | BadRecord]:
        """Yield one record a row, with these columns only."""
        with self._open() as file:
            before = 0
            there = set(file.schema_arrow.names)
            wanted = sorted(
                {column if column in there else _find_top(column, there) for column in columns}
            )
            for group in range(file.num_row_groups):
                group_rows = file.metadata.row_group(group).num_rows
                row = before + 1
                try:
                    for batch in file.iter_batches(
                        batch_size=_BATCH_ROWS, row_groups=[group], columns=wanted
                    ):
                        yield from to_records(batch, first_row=row)
                        row += batch.num_rows
                except _ERRORS as error:
                    last = before + group_rows
                    yield BadRecord(
                        row, RejectReason.FILE_UNREADABLE, f"rows {row} to {last} are lost: {error}"
                    )
                before += group_rows

    def _open(self) -> pq.ParquetFile:
        try:
            # Without pre-buffering and with a buffered stream a column is read page by page (1 MB,
            # or 1,024 rows where those are more); else a whole row group, which may be the file.
            return pq.ParquetFile(self.path, pre_buffer=False, buffer_size=_BUFFER_BYTES)
        except _ERRORS as error:
            raise SourceError(f"{self.path} is no readable Parquet file: {error}") from error


def _list_paths(field: pa.Field, prefix: str = "") -> Iterator[str]:
    if pa.types.is_struct(field.type):
        for inner in field.type:
            yield f"{prefix}{field.name}.{inner.name}"
            yield from _list_paths(inner, f"{prefix}{field.name}.")


def _find_top(path: str, there: Collection[str]) -> str:
    """Return the column that a path leads into."""
    parts = path.split(".")
    tops = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((top for top in tops if top in there), path)
