"""Columns of another log's file as columns of events, many rows at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
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
_FIRST: Final = pa.scalar(datetime(1, 1, 1, tzinfo=UTC), pa.timestamp("us", tz="UTC"))
_LAST: Final = pa.scalar(datetime(9999, 12, 31, tzinfo=UTC), pa.timestamp("us", tz="UTC"))
_US_PER: Final = {"s": 1_000_000, "ms": 1_000, "us": 1}
_ARROW_ERRORS: Final = (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError)


@dataclass(frozen=True, slots=True)
class Mapped:
    """A table of ``EVENT_SCHEMA``, the row of the file that each event is of, and the bad cells.

    Those are null in the table; ``bad`` has what they hold, by place in the table and by field.
    """

    table: pa.Table
    rows: pa.Array
    bad: Mapping[int, Mapping[str, object]]


@dataclass(slots=True)
class _Part:
    """The events that one ``EventSpec`` makes."""

    columns: dict[str, pa.Array]
    rows: pa.Array
    bad: dict[int, dict[str, object]] = field(default_factory=lambda: defaultdict(dict))


def map_rows(rows: pa.Table, layout: Layout, person_id: str | None) -> Mapped:
    """Return the events that ``rows`` make, in their order; ``ROW`` is one of the columns.

    ``person_id`` is whose events they are where the layout does not say. An event without an id
    gets one made of what it says, and of its place where it has no time: the same again from the
    same file.
    """
    parts = [_make_part(rows, layout, spec, person_id) for spec in layout.events]
    table = pa.concat_tables(pa.table(part.columns, schema=EVENT_SCHEMA) for part in parts)
    numbers = pa.concat_arrays([part.rows for part in parts])
    bad: dict[int, Mapping[str, object]] = {}
    before = 0
    for part in parts:
        bad |= {before + index: cells for index, cells in part.bad.items()}
        before += len(part.rows)
    if len(parts) == 1:
        return Mapped(table, numbers, bad)
    order = np.argsort(numbers.to_numpy(), kind="stable")  # rows first, then the specs' order
    if bad:
        places = np.empty_like(order)
        places[order] = np.arange(len(order))
        bad = {int(places[index]): cells for index, cells in bad.items()}
    return Mapped(table.take(pa.array(order)), numbers.take(pa.array(order)), bad)


def _make_part(rows: pa.Table, layout: Layout, spec: EventSpec, person_id: str | None) -> _Part:
    rows = _choose_rows(rows, spec)
    cells = {**layout.fields, **spec.fields}
    for cell in cells.values():
        if cell.pattern is not None:
            rows = rows.filter(
                pc.match_substring_regex(_read_text(rows[cell.column]), cell.pattern)
            )
    size = rows.num_rows
    part = _Part({}, rows[ROW].combine_chunks() if size else pa.array([], pa.int64()))
    for column in EVENT_SCHEMA:
        if column.name not in cells:
            array = pa.nulls(size, pa.string() if column.name == "type" else column.type)
        else:
            array, bad = _read_cell(rows, cells[column.name], column.type)
            for index, value in bad.items():
                part.bad[index][column.name] = value
        part.columns[column.name] = array
    if spec.type is not None:
        part.columns["type"] = pa.repeat(pa.scalar(spec.type.value), size)
    if person_id is not None:
        part.columns["person_id"] = pc.fill_null(part.columns["person_id"], person_id)
    if "event_id" not in cells:
        part.columns["event_id"] = _make_ids(part.columns, rows, layout, spec)
    part.columns["type"] = part.columns["type"].cast(EVENT_SCHEMA.field("type").type)
    return part


def _choose_rows(rows: pa.Table, spec: EventSpec) -> pa.Table:
    if spec.when is not None:
        text = _read_text(rows[spec.when])
        rows = rows.filter(pc.invert(pc.or_(pc.is_in(text, _FALSE), pc.is_null(text))))
    if spec.each is None:
        return rows
    lists = rows[spec.each].combine_chunks()
    parents = pc.list_parent_indices(lists)
    of = parents.to_numpy()
    first = np.searchsorted(of, of)  # where the list of each element begins
    exploded = rows.drop_columns([spec.each]).take(parents)
    exploded = exploded.append_column(spec.each, pc.list_flatten(lists))
    return exploded.append_column(_ELEMENT, pa.array(np.arange(len(of)) - first))


def _make_ids(
    columns: Mapping[str, pa.Array], rows: pa.Table, layout: Layout, spec: EventSpec
) -> pa.Array:
    parts = [
        array.cast(pa.int64() if name == "at" else array.type).cast(pa.string())
        for name, array in columns.items()
        if array.null_count < len(array)
    ]
    if columns["at"].null_count == len(rows):
        parts.append(_read_text(rows[layout.order or ROW]))
    if spec.each is not None:
        parts.append(rows[_ELEMENT].cast(pa.string()))
    said = pc.binary_join_element_wise(*parts, "\x1f", null_handling="replace", null_replacement="")
    return pa.array(
        [blake2b(one.encode(), digest_size=16).hexdigest() for one in said.to_pylist()], pa.string()
    )


def _read_cell(rows: pa.Table, cell: Cell, kind: pa.DataType) -> tuple[pa.Array, dict[int, object]]:
    if cell.value is not None:
        return pa.repeat(pa.scalar(cell.value, kind), rows.num_rows), {}
    if cell.columns:
        texts = [_read_text(rows[name]) for name in cell.columns]
        return _whole(pc.binary_join_element_wise(*texts, "-")), {}
    column = _whole(rows[cell.column])
    if pa.types.is_floating(column.type):  # how pandas writes that there is none
        column = pc.if_else(pc.is_nan(column), None, column)
    if pa.types.is_timestamp(kind):
        return _read_times(column, _US_PER[cell.unit])
    if pa.types.is_floating(kind):
        return _convert(
            column,
            lambda array: pc.multiply(array.cast(pa.float64()), cell.scale).cast(kind),
            lambda value: float(str(value)) * cell.scale,
            kind,
        )
    if pa.types.is_integer(kind):
        return _convert(column, lambda array: array.cast(kind), lambda value: int(str(value)), kind)
    if pa.types.is_boolean(kind):
        return _convert(column, lambda array: array.cast(kind), _read_boolean, kind)
    text = _read_text(column)
    if cell.pattern is not None:
        text = pc.struct_field(pc.extract_regex(text, cell.pattern), "value")
    return pc.binary_join_element_wise(cell.prefix, text, "") if cell.prefix else text, {}


def _read_text(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    column = _whole(column)
    if pa.types.is_floating(column.type):  # ids of a column that lacks some: 17.0 is 17
        with suppress(pa.ArrowInvalid):
            column = column.cast(pa.int64())
    return column.cast(pa.string())


def _read_times(column: pa.Array, per_unit: int) -> tuple[pa.Array, dict[int, object]]:
    kind = EVENT_SCHEMA.field("at").type
    if pa.types.is_string(column.type):
        with suppress(pa.ArrowInvalid):  # else as text
            column = column.cast(pa.float64())

    def read(array: pa.Array) -> pa.Array:
        if pa.types.is_integer(array.type):
            array = pc.multiply_checked(array.cast(pa.int64()), per_unit)
        elif pa.types.is_floating(array.type):
            array = pc.round(pc.multiply(array, float(per_unit))).cast(pa.int64())
        return array.cast(kind, safe=not pa.types.is_timestamp(array.type))

    def read_one(value: object) -> object:
        if isinstance(value, int | float):
            return datetime.fromtimestamp(value * per_unit / 1e6, UTC)
        moment = datetime.fromisoformat(str(value))
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    times, bad = _convert(column, read, read_one, kind)
    # Python's calendar ends sooner than Arrow's.
    beyond = pc.fill_null(pc.or_(pc.less(times, _FIRST), pc.greater(times, _LAST)), False)
    bad |= {int(index): str(column[index]) for index in beyond.to_numpy(False).nonzero()[0]}
    return pc.if_else(beyond, None, times), bad


def _convert(
    column: pa.Array,
    convert: Callable[[pa.Array], pa.Array],
    convert_one: Callable[[object], object],
    kind: pa.DataType,
) -> tuple[pa.Array, dict[int, object]]:
    """Return ``column`` converted at once or, where that fails, cell by cell, and the bad cells."""
    with suppress(*_ARROW_ERRORS):
        return convert(column), {}
    values: list[Any] = []
    bad: dict[int, object] = {}
    for index, cell in enumerate(column):
        try:
            value = None if not cell.is_valid else convert_one(cell.as_py())
            values.append(None if value is None else pa.scalar(value, kind).as_py())
        except (*_ARROW_ERRORS, KeyError, ValueError, OverflowError, OSError):
            values.append(None)
            bad[index] = str(cell)
    return pa.array(values, kind), bad


def _read_boolean(value: object) -> bool:
    return {"0": False, "false": False, "1": True, "true": True}[str(value).casefold()]


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
