"""Events in files: JSONL, CSV and Parquet, ours or another log's."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from twinlens.catalog.errors import SourceError
from twinlens.catalog.sources.csv_table import CsvTable
from twinlens.catalog.sources.jsonl import JsonlTable
from twinlens.catalog.sources.lines import READ_ERRORS, open_binary
from twinlens.catalog.sources.rows import BadRecord, Origin, Record
from twinlens.events.columns import ROW, Mapped, map_rows
from twinlens.events.event import Event
from twinlens.events.mapping import Cell, EventSpec, Layout, MappingFile
from twinlens.events.tables import FIELD_NAMES, find_suspects, read_rows, to_table
from twinlens.events.validation import EARLIEST_IN_FILES, EventFault, EventRejected, parse_event

_BATCH_ROWS: Final = 50_000
_JSON: Final = (".jsonl", ".ndjson", ".json")
_PARQUET_ERRORS: Final = (pa.ArrowException, OSError, ValueError)


@dataclass(frozen=True, slots=True)
class RejectedEvent:
    """A row of a file that holds no event, and why: ``field`` is that of an event."""

    origin: Origin
    fault: EventFault
    field: str | None
    detail: str


OnReject = Callable[[RejectedEvent], None]


def read_events(
    paths: Iterable[Path],
    mapping: MappingFile | None = None,
    *,
    now: datetime,
    person_id: str | None = None,
    on_reject: OnReject = lambda _: None,
) -> Iterator[pa.Table]:
    """Yield tables of ``EVENT_SCHEMA``: the good events of files, in the files' order.

    A file's name says its format: ``.jsonl``, ``.ndjson`` and ``.csv`` (these may end in ``.gz``),
    ``.json`` (a list of objects) and ``.parquet``. Without ``mapping`` their columns are the fields
    of an event. ``person_id`` is whose events they are where that is not said. What is wrong in a
    row goes to ``on_reject``, and the others are read.

    Raises:
        SourceError: a file can't be read, or lacks what is needed.
    """
    for path in paths:
        suffix = _find_suffix(path)
        if mapping is None and suffix in _JSON:
            yield from _read_objects(path, now, person_id, on_reject)
            continue
        names = _read_names(path, suffix)
        layout = mapping.choose(names, file=path) if mapping else _make_own_layout(path, names)
        read = _read_parquet if suffix == ".parquet" else _read_records
        for rows in read(path, layout, on_reject):
            mapped = map_rows(rows, layout, person_id)
            if (table := _keep_good(mapped, path, now, on_reject)).num_rows:
                yield table


def _make_own_layout(path: Path, names: Sequence[str]) -> Layout:
    if unknown := [name for name in names if name not in FIELD_NAMES]:
        raise SourceError(
            f"{path}: {', '.join(unknown)}: no fields of an event, which are "
            f"{', '.join(FIELD_NAMES)}; another log takes a mapping"
        )
    if "type" not in names:
        raise SourceError(f"{path}: it lacks the column type, which every event has")
    return Layout(fields={name: Cell(column=name) for name in names}, events=(EventSpec(),))


def _keep_good(mapped: Mapped, path: Path, now: datetime, on_reject: OnReject) -> pa.Table:
    """Return the rows that are events; those that may be none are looked at one by one."""
    table = mapped.table
    suspects = set(find_suspects(table, now).to_numpy().nonzero()[0].tolist()) | set(mapped.bad)
    if not suspects:
        return table
    places = sorted(suspects)
    looked_at = iter(read_rows(table.take(pa.array(places))))
    kept: list[pa.Table] = []
    begin = 0
    for place, fields in zip(places, looked_at, strict=True):
        kept.append(table.slice(begin, place - begin))
        begin = place + 1
        try:
            event = parse_event(
                {**fields, **mapped.bad.get(place, {})}, now=now, earliest=EARLIEST_IN_FILES
            )
        except EventRejected as error:
            origin = Origin(str(path), mapped.rows[place].as_py())
            on_reject(RejectedEvent(origin, error.fault, error.field, error.detail))
        else:
            kept.append(to_table([event]))
    kept.append(table.slice(begin))
    return pa.concat_tables(kept).combine_chunks()


def _read_objects(
    path: Path, now: datetime, person_id: str | None, on_reject: OnReject
) -> Iterator[pa.Table]:
    """Yield the events of a file whose rows are objects as the API takes them."""

    def parse(records: Iterable[Record]) -> Iterator[Event]:
        for record in records:
            try:
                yield parse_event(
                    record.cells, now=now, person_id=person_id, earliest=EARLIEST_IN_FILES
                )
            except EventRejected as error:
                origin = Origin(str(path), record.row)
                on_reject(RejectedEvent(origin, error.fault, error.field, error.detail))

    events = parse(_leave_out_bad(path, _open_records(path).read_records(()), on_reject))
    while some := list(itertools.islice(events, _BATCH_ROWS)):
        yield to_table(some)


# ---- rows of files as columns


@dataclass(frozen=True, slots=True)
class _JsonTable:
    """A ``.json`` file with a list of objects, as downloads of one's own data are. Read whole."""

    path: Path

    def read_column_names(self) -> list[str]:
        records = self.read_records(())
        return list(dict.fromkeys(name for one in records for name in one.cells))

    def read_records(self, columns: Collection[str]) -> Iterator[Record]:
        try:
            with open_binary(self.path) as file:
                objects = json.load(file)
        except (*READ_ERRORS, ValueError, RecursionError) as error:
            raise SourceError(f"{self.path} is no JSON: {error}") from error
        if not isinstance(objects, list) or not all(isinstance(one, dict) for one in objects):
            raise SourceError(f"{self.path}: a .json file is a list of objects")
        for row, cells in enumerate(objects, start=1):
            yield Record(row, cells)


def _find_suffix(path: Path) -> str:
    """Return which format the name of ``path`` says it has."""
    suffixes = [one.casefold() for one in path.suffixes]
    suffix = suffixes[-1] if suffixes else ""
    if suffix == ".gz" and len(suffixes) > 1 and suffixes[-2] != ".parquet":
        suffix = suffixes[-2]
    if suffix not in (*_JSON, ".csv", ".parquet"):
        raise SourceError(f"{path}: a file of events ends in .jsonl, .json, .csv or .parquet")
    return suffix


def _open_records(path: Path) -> CsvTable | JsonlTable | _JsonTable:
    suffix = _find_suffix(path)
    if suffix == ".csv":
        return CsvTable(path)
    return _JsonTable(path) if suffix == ".json" else JsonlTable(path)


def _read_names(path: Path, suffix: str) -> list[str]:
    if suffix == ".parquet":
        with _open_parquet(path) as file:
            return list(file.schema_arrow.names)
    return _open_records(path).read_column_names()


def _open_parquet(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except _PARQUET_ERRORS as error:
        raise SourceError(f"{path} is no readable Parquet file: {error}") from error


def _read_parquet(path: Path, layout: Layout, on_reject: OnReject) -> Iterator[pa.Table]:
    names = sorted(layout.needs)
    with _open_parquet(path) as file:
        if layout.order is not None:
            try:
                rows = _number(file.read(columns=names), 1).sort_by(layout.order)
            except _PARQUET_ERRORS as error:
                raise SourceError(f"{path} can't be read: {error}") from error
            yield from (rows.slice(n, _BATCH_ROWS) for n in range(0, len(rows), _BATCH_ROWS))
            return
        before = 0
        for group in range(file.num_row_groups):
            last = before + file.metadata.row_group(group).num_rows
            try:
                for batch in file.iter_batches(_BATCH_ROWS, row_groups=[group], columns=names):
                    yield _number(pa.Table.from_batches([batch]), before + 1)
                    before += batch.num_rows
            except _PARQUET_ERRORS as error:
                detail = f"rows {before + 1} to {last} are lost: {error}"
                origin = Origin(str(path), before + 1)
                on_reject(RejectedEvent(origin, EventFault.MALFORMED, None, detail))
            before = last


def _read_records(path: Path, layout: Layout, on_reject: OnReject) -> Iterator[pa.Table]:
    records = _leave_out_bad(path, _open_records(path).read_records(layout.needs), on_reject)
    lists = {spec.each for spec in layout.events}
    size = _BATCH_ROWS if layout.order is None else None  # to be sorted, all are needed
    while some := list(itertools.islice(records, size)):
        columns: dict[str, pa.Array] = {}
        for name in layout.needs:
            cells = [record.cells.get(name) for record in some]
            columns[name] = (
                pa.array([_to_texts(cell) for cell in cells], pa.list_(pa.string()))
                if name in lists
                else pa.array([_to_text(cell) for cell in cells], pa.string())
            )
        columns[ROW] = pa.array([record.row for record in some], pa.int64())
        rows = pa.table(columns)
        yield rows if layout.order is None else _sort(rows, layout.order)


def _sort(rows: pa.Table, order: str) -> pa.Table:
    try:
        keys = rows[order].cast(pa.float64())
    except pa.ArrowInvalid:
        keys = rows[order]
    return rows.take(pc.sort_indices(keys))


def _leave_out_bad(
    path: Path, records: Iterable[Record | BadRecord], on_reject: OnReject
) -> Iterator[Record]:
    for record in records:
        if isinstance(record, Record):
            yield record
        else:
            origin = Origin(str(path), record.row)
            on_reject(RejectedEvent(origin, EventFault.MALFORMED, None, record.detail))


def _number(rows: pa.Table, first: int) -> pa.Table:
    return rows.append_column(ROW, pa.array(range(first, first + rows.num_rows), pa.int64()))


def _to_text(cell: object) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    return json.dumps(cell, ensure_ascii=False)


def _to_texts(cell: object) -> list[str | None] | None:
    return [_to_text(one) for one in cell] if isinstance(cell, list) else None
