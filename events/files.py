"""Events in files: JSONL, CSV and Parquet, ours or another log's."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from twinlens.catalog.errors import SourceError
from twinlens.catalog.sources.files import open_table
from twinlens.catalog.sources.parquet import ParquetTable
from twinlens.catalog.sources.rows import BadRecord, Origin, Record
from twinlens.catalog.sources.tables import Table, find_bad_cell
from twinlens.events.columns import ROW, map_rows
from twinlens.events.event import Event
from twinlens.events.mapping import Cell, EventSpec, Layout, MappingFile
from twinlens.events.tables import FIELD_NAMES, find_suspects, read_rows, to_table
from twinlens.events.validation import EARLIEST_IN_FILES, EventFault, EventRejected, parse_event

_BATCH_ROWS: Final = 50_000


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
        table = _open(path)
        if mapping is None and table.ragged:
            yield from _read_objects(table, now, person_id, on_reject)
            continue
        names = table.read_column_names()
        layout = mapping.choose(names, file=path) if mapping else _make_own_layout(path, names)
        read = _read_parquet if isinstance(table, ParquetTable) else _read_records
        rows = read(table, layout, on_reject)
        for some in rows if layout.order is None else _sort(rows, layout.order):
            events, numbers = map_rows(some, layout, person_id)
            if len(good := _keep_good(events, numbers, path, now, on_reject)):
                yield good


def _open(path: Path) -> Table:
    table = open_table(path)
    if table is None:
        raise SourceError(f"{path}: a file of events ends in .jsonl, .json, .csv or .parquet")
    return table


def _make_own_layout(path: Path, names: Sequence[str]) -> Layout:
    if unknown := [name for name in names if name not in FIELD_NAMES]:
        raise SourceError(
            f"{path}: {', '.join(unknown)}: no fields of an event, which are "
            f"{', '.join(FIELD_NAMES)}; another log takes a mapping"
        )
    if "type" not in names:
        raise SourceError(f"{path}: it lacks the column type, which every event has")
    return Layout(fields={name: Cell(column=name) for name in names}, events=(EventSpec(),))


def _keep_good(
    table: pa.Table, numbers: pa.ChunkedArray, path: Path, now: datetime, on_reject: OnReject
) -> pa.Table:
    """Return the rows that are events; those that may be none are looked at one by one."""
    [places] = find_suspects(table, now).to_numpy().nonzero()
    kept: list[pa.Table] = []
    begin = 0
    for place, fields in zip(places.tolist(), read_rows(table.take(places)), strict=True):
        kept.append(table.slice(begin, place - begin))
        begin = place + 1
        try:
            event = parse_event(fields, now=now, earliest=EARLIEST_IN_FILES)
        except EventRejected as error:
            origin = Origin(str(path), numbers[place].as_py())
            on_reject(RejectedEvent(origin, error.fault, error.field, error.detail))
        else:
            kept.append(to_table([event]))
    return pa.concat_tables([*kept, table.slice(begin)]).combine_chunks()


def _read_objects(
    table: Table, now: datetime, person_id: str | None, on_reject: OnReject
) -> Iterator[pa.Table]:
    """Yield the events of a file whose rows are objects as the API takes them."""

    def parse() -> Iterator[Event]:
        for record in _leave_out_bad(table, (), on_reject):
            try:
                yield parse_event(
                    record.cells, now=now, person_id=person_id, earliest=EARLIEST_IN_FILES
                )
            except EventRejected as error:
                origin = Origin(str(table.path), record.row)
                on_reject(RejectedEvent(origin, error.fault, error.field, error.detail))

    events = parse()
    while some := list(itertools.islice(events, _BATCH_ROWS)):
        yield to_table(some)


# ---- rows of files as columns


def _read_parquet(table: Table, layout: Layout, on_reject: OnReject) -> Iterator[pa.Table]:
    with pq.ParquetFile(table.path) as file:
        before = 0
        for group in range(file.num_row_groups):
            last = before + file.metadata.row_group(group).num_rows
            try:
                for batch in file.iter_batches(
                    _BATCH_ROWS, row_groups=[group], columns=sorted(layout.needs)
                ):
                    after = before + batch.num_rows
                    numbers = pa.array(range(before + 1, after + 1), pa.int64())
                    yield pa.Table.from_batches([batch]).append_column(ROW, numbers)
                    before = after
            except (pa.ArrowException, OSError, ValueError) as error:
                detail = f"rows {before + 1} to {last} are lost: {error}"
                origin = Origin(str(table.path), before + 1)
                on_reject(RejectedEvent(origin, EventFault.MALFORMED, None, detail))
            before = last


def _read_records(table: Table, layout: Layout, on_reject: OnReject) -> Iterator[pa.Table]:
    """Yield the rows of a file of text, as text."""
    records = _leave_out_bad(table, layout.needs, on_reject)
    lists = {spec.each for spec in layout.events}
    while some := list(itertools.islice(records, _BATCH_ROWS)):
        columns = {ROW: pa.array([record.row for record in some], pa.int64())}
        for name in layout.needs:
            cells = [record.cells.get(name) for record in some]
            columns[name] = (
                pa.array(
                    [list(map(_to_text, one)) if isinstance(one, list) else None for one in cells],
                    pa.list_(pa.string()),
                )
                if name in lists
                else pa.array(map(_to_text, cells), pa.string())
            )
        yield pa.table(columns)


def _sort(rows: Iterable[pa.Table], order: str) -> Iterator[pa.Table]:
    """Yield all rows by one column: as numbers, if it holds such."""
    whole = pa.concat_tables(rows)
    keys = whole[order]
    with suppress(pa.ArrowInvalid):
        keys = keys.cast(pa.float64())
    whole = whole.take(pc.sort_indices(keys))
    yield from (whole.slice(begin, _BATCH_ROWS) for begin in range(0, len(whole), _BATCH_ROWS))


def _leave_out_bad(table: Table, columns: Collection[str], on_reject: OnReject) -> Iterator[Record]:
    for record in table.read_records(columns):
        if isinstance(record, Record):
            detail = find_bad_cell(record)
        else:
            detail = record.detail if isinstance(record, BadRecord) else record.what
        if isinstance(record, Record) and detail is None:
            yield record
        else:
            origin = Origin(str(table.path), record.row)
            on_reject(RejectedEvent(origin, EventFault.MALFORMED, None, detail or ""))


def _to_text(cell: object) -> str | None:
    if cell is None or isinstance(cell, str):
        return cell
    return json.dumps(cell, ensure_ascii=False)
