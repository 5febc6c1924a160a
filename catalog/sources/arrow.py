"""Rows of Arrow tables as records: one cell that can't be read does not spoil the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from twinlens.catalog.errors import RejectReason
from twinlens.catalog.sources.rows import BadCell, Record


def to_records(batch: pa.Table | pa.RecordBatch, *, first_row: int) -> Iterator[Record]:
    """Yield one record for every row of ``batch``, the first numbered ``first_row``."""
    names = batch.schema.names
    columns = [_read_cells(name, batch.column(index)) for index, name in enumerate(names)]
    for offset in range(batch.num_rows):
        cells = {name: column[offset] for name, column in zip(names, columns, strict=True)}
        yield Record(first_row + offset, cells)


def _read_cells(name: str, column: pa.Array | pa.ChunkedArray) -> list[Any]:
    if (pa.types.is_timestamp(column.type) or pa.types.is_duration(column.type)) and (
        column.type.unit == "ns"
    ):
        # Python's types end at microseconds.
        kind = pa.timestamp("us", column.type.tz) if pa.types.is_timestamp(column.type) else None
        column = column.cast(kind or pa.duration("us"), safe=False)
    try:
        return list(column.to_pylist())
    except Exception:  # noqa: BLE001 - the values are untrusted; each is read alone to find the bad
        return [_read_cell(name, scalar) for scalar in column]


def _read_cell(name: str, scalar: pa.Scalar) -> object:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        return BadCell(RejectReason.NOT_UTF8, f"column {name!r}: {error}")
    except Exception as error:  # noqa: BLE001 - dates beyond the calendar, zones that do not exist
        return BadCell(RejectReason.BAD_VALUE, f"column {name!r}: {error}")
