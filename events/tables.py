"""Events as Arrow tables of ``EVENT_SCHEMA``, and back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from twinlens.events.event import Event, EventType
from twinlens.events.log import EVENT_SCHEMA
from twinlens.events.validation import (
    EARLIEST_IN_FILES,
    MAX_ID_LENGTH,
    MAX_POSITION,
    MAX_SECONDS,
    MAX_TEXT_LENGTH,
    MOST_AHEAD,
    NEEDED,
)

FIELD_NAMES: Final = tuple(field.name for field in fields(Event))
_IDS: Final = ("event_id", "person_id", "video_id", "watch_id", "query_id", "feed_id", "undoes")
_WORDS: Final = ("surface", "region", "device", "language")
_NOT_IN_IDS: Final = r"[\p{Cc}\p{Zl}\p{Zp}/]|^\.\.?$"
# Text that is kept otherwise than it was given.
_NOT_CLEAN: Final = r"\p{Cc}|^\p{Z}|\p{Z}$|^$"


def to_table(events: Sequence[Event]) -> pa.Table:
    """Return a table with a row an event, in their order."""
    return pa.table(
        {
            field.name: pa.array([getattr(event, field.name) for event in events], _plain(field))
            for field in EVENT_SCHEMA
        }
    ).cast(EVENT_SCHEMA)


def from_table(table: pa.Table) -> Iterator[Event]:
    """Yield the event of each row, in their order."""
    for row in read_rows(table):
        yield Event(**{**row, "type": EventType(row["type"])})


def read_rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield the fields of each row. Numbers are the shortest that the column's type tells apart."""
    columns = []
    for name in FIELD_NAMES:
        column = table[name]
        if column.type == pa.float32():  # 41.3 is not to come back as 41.29999923706055
            column = column.cast(pa.string()).cast(pa.float64())
        columns.append(column.to_pylist())
    for values in zip(*columns, strict=True):
        yield dict(zip(FIELD_NAMES, values, strict=True))


def find_suspects(table: pa.Table, now: datetime) -> pa.Array:
    """Return, as booleans, which rows of a file ``parse_event`` may refuse or change.

    Quick, by columns: most rows of a log need not be looked at one by one.
    """
    kind = table["type"].cast(pa.string())
    suspect = pc.invert(pc.is_in(kind, pa.array(list(EventType))))
    found = [suspect, table["event_id"].is_null(), table["person_id"].is_null()]
    for type_, needed in NEEDED.items():
        found.append(pc.and_(pc.equal(kind, type_.value), table[needed].is_null()))
    found += [_has(table[name], _NOT_IN_IDS, most=MAX_ID_LENGTH) for name in _IDS]
    found += [_has(table[name], r"\p{Cc}", most=64) for name in _WORDS]
    found.append(_has(table["text"], _NOT_CLEAN, most=MAX_TEXT_LENGTH))
    for name, least, most in (
        ("watched_s", 0.0, MAX_SECONDS),
        ("duration_s", 0.0, MAX_SECONDS),
        ("position", 1, MAX_POSITION),
        ("chance", 1e-45, 1.0),
        ("at", EARLIEST_IN_FILES, now + MOST_AHEAD),
    ):
        column = table[name]
        fits = pc.and_(
            pc.greater_equal(column, pa.scalar(least, column.type)),
            pc.less_equal(column, pa.scalar(most, column.type)),
        )
        found.append(pc.invert(fits))
    result = found[0]
    for one in found[1:]:
        result = pc.or_(pc.fill_null(result, False), pc.fill_null(one, False))
    return result


def _has(column: pa.ChunkedArray, pattern: str, *, most: int) -> pa.ChunkedArray:
    if column.null_count == len(column):
        return pc.is_valid(column)
    length = pc.utf8_length(column)
    wrong = pc.or_(pc.equal(length, 0), pc.greater(length, most))
    return pc.or_(wrong, pc.match_substring_regex(column, pattern))


def _plain(field: pa.Field) -> pa.DataType:
    return pa.string() if pa.types.is_dictionary(field.type) else field.type
