"""Columns of another log's file as columns of events, many rows at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from twinlens.events.log import EVENT_SCHEMA
from twinlens.events.mapping import Cell, EventSpec, Layout

# Columns that no file has: which row of it, from 1, and which element of that row's list.
ROW: Final = "twinlens:row"
_ELEMENT: Final = "twinlens:element"
_FALSE: Final = pa.array(["", "0", "0.0", "false", "False"])
_TIME: Final = EVENT_SCHEMA.field("at").type
# What a cell that can't be read becomes: a value of its column that is then refused.
_BAD_TIME: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BAD_POSITION: Final = -1
_LAST: Final = pa.scalar(datetime(9999, 12, 31, tzinfo=UTC), _TIME)  # of Python's calendar
_US_PER: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}
_ERRORS: Final = (pa.ArrowException, ValueError, OverflowError, OSError)


def map_rows(
    rows: pa.Table, layout: Layout, person_id: str | None
) -> tuple[pa.Table, pa.ChunkedArray]:
    """Return the events that ``rows`` make, in their order, and of which row of the file each is.

    ``ROW`` is one of the columns. ``person_id`` is whose events they are where the layout does not
    say. An event without an id gets one made of what it says, and of its place where it has no
    time: the same again from the same file.
    """
    parts = [_make_part(rows, layout, spec, person_id) for spec in layout.events]
    events = pa.concat_tables(parts)
    if len(parts) > 1:  # rows first, then the specs' order
        events = events.take(pa.array(np.argsort(events[ROW].to_numpy(), kind="stable")))
    return events.drop_columns([ROW]), events[ROW]


def _make_part(rows: pa.Table, layout: Layout, spec: EventSpec, person_id: str | None) -> pa.Table:
    """Return the events that one spec makes, with ``ROW`` beside their fields."""
    cells = {**layout.fields, **spec.fields}
    rows = _choose_rows(rows, spec)
    for cell in cells.values():
        if cell.pattern is not None:
            text = _read_text(rows[cell.column])
            rows = rows.filter(pc.match_substring_regex(text, cell.pattern))
    columns = {
        field.name: _read_cell(rows, cells[field.name], field.type)
        if field.name in cells
        else pa.nulls(len(rows), field.type)
        for field in EVENT_SCHEMA
    }
    if spec.type is not None:
        columns["type"] = pa.repeat(pa.scalar(spec.type.value), len(rows))
    if person_id is not None:
        columns["person_id"] = pc.fill_null(columns["person_id"], person_id)
    if "event_id" not in cells:
        columns["event_id"] = _make_ids(columns, rows, layout, spec)
    columns["type"] = columns["type"].cast(EVENT_SCHEMA.field("type").type)
    return pa.table(columns, schema=EVENT_SCHEMA).append_column(ROW, rows[ROW])


def _choose_rows(rows: pa.Table, spec: EventSpec) -> pa.Table:
    if spec.when is not None:
        text = _read_text(rows[spec.when])
        rows = rows.filter(pc.invert(pc.or_(pc.is_in(text, _FALSE), pc.is_null(text))))
    if spec.at_least is not None:
        numbers = _read_cell(rows, Cell(column=spec.when), pa.float64())
        rows = rows.filter(pc.greater_equal(numbers, spec.at_least))
    if spec.each is None:
        return rows
    lists = rows[spec.each].combine_chunks()
    parents = pc.list_parent_indices(lists)
    of = parents.to_numpy()
    place = np.arange(len(of)) - np.searchsorted(of, of)  # within the list of each element
    exploded = rows.drop_columns([spec.each]).take(parents)
    exploded = exploded.append_column(spec.each, pc.list_flatten(lists))
    return exploded.append_column(_ELEMENT, pa.array(place))


def _make_ids(
    columns: Mapping[str, pa.Array], rows: pa.Table, layout: Layout, spec: EventSpec
) -> pa.Array:
    parts = [
        (array.cast(pa.int64()) if name == "at" else array).cast(pa.string())
        for name, array in columns.items()
        if array.null_count < len(array)
    ]
    if columns["at"].null_count == len(rows):
        parts.append(_read_text(rows[layout.order or ROW]))
    if spec.each is not None:
        parts.append(rows[_ELEMENT].cast(pa.string()))
    said = pc.binary_join_element_wise(*parts, "\x1f", null_handling="replace", null_replacement="")
    ids = [blake2b(one.encode(), digest_size=16).hexdigest() for one in said.to_pylist()]
    return pa.array(ids, pa.string())


def _read_cell(rows: pa.Table, cell: Cell, kind: pa.DataType) -> pa.Array:
    if cell.value is not None:
        return pa.repeat(pa.scalar(cell.value, kind), len(rows))
    if cell.columns:
        return pc.binary_join_element_wise(*(_read_text(rows[name]) for name in cell.columns), "-")
    column = rows[cell.column]
    if pa.types.is_floating(column.type):  # how pandas writes that there is none
        column = pc.if_else(pc.is_nan(column), None, column)
    if pa.types.is_timestamp(kind):
        return _read_times(column, _US_PER[cell.unit])
    if pa.types.is_floating(kind):
        return _convert(
            column,
            lambda whole: pc.multiply(whole.cast(pa.float64()), cell.scale).cast(kind),
            lambda one: float(str(one)) * cell.scale,
            kind,
            bad=math.nan,
        )
    if pa.types.is_integer(kind):
        return _convert(
            column,
            lambda whole: whole.cast(kind),
            lambda one: int(str(one)),
            kind,
            bad=_BAD_POSITION,
        )
    if pa.types.is_boolean(kind):  # what is neither is not known
        return _convert(column, lambda whole: whole.cast(kind), _read_boolean, kind, bad=None)
    text = _read_text(column)
    if cell.pattern is not None:
        text = pc.struct_field(pc.extract_regex(text, cell.pattern), "value")
    return pc.binary_join_element_wise(cell.prefix, text, "") if cell.prefix else text


def _read_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_floating(column.type):  # ids of a column that lacks some: 17.0 is 17
        with suppress(pa.ArrowInvalid):
            column = column.cast(pa.int64())
    return column.cast(pa.string())


def _read_times(column: pa.ChunkedArray, per_unit: int) -> pa.ChunkedArray:
    if pa.types.is_string(column.type):
        with suppress(pa.ArrowInvalid):  # else as text
            column = column.cast(pa.float64())

    def read(whole: pa.ChunkedArray) -> pa.ChunkedArray:
        if pa.types.is_integer(whole.type):
            whole = pc.multiply_checked(whole.cast(pa.int64()), per_unit)
        elif pa.types.is_floating(whole.type):
            whole = pc.round(pc.multiply(whole, float(per_unit))).cast(pa.int64())
        return whole.cast(_TIME, safe=not pa.types.is_timestamp(whole.type))

    def read_one(one: object) -> datetime:
        if isinstance(one, int | float):
            return datetime.fromtimestamp(one * per_unit / 1e6, UTC)
        moment = datetime.fromisoformat(str(one))
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    times = _convert(column, read, read_one, _TIME, bad=_BAD_TIME)
    bad = pa.scalar(_BAD_TIME, _TIME)
    return pc.if_else(pc.or_(pc.less(times, bad), pc.greater(times, _LAST)), bad, times)


def _convert(
    column: pa.ChunkedArray,
    convert: Callable[[pa.ChunkedArray], pa.ChunkedArray],
    convert_one: Callable[[Any], Any],
    kind: pa.DataType,
    *,
    bad: Any,
) -> pa.ChunkedArray:
    """Return ``column`` converted at once or, where that fails, cell by cell."""
    with suppress(*_ERRORS):
        return convert(column)

    def read(cell: pa.Scalar) -> Any:
        try:
            return pa.scalar(convert_one(cell.as_py()), kind).as_py() if cell.is_valid else None
        except _ERRORS:
            return bad

    return pa.chunked_array([pa.array(map(read, column), kind)])


def _read_boolean(one: object) -> bool | None:
    return {"0": False, "false": False, "1": True, "true": True}.get(str(one).casefold())
