"""Parse the cells of moments: what a person reads in one way, and nothing else.

A date that may be two, such as 03/04/2023, is refused unless a ``DateOrder`` says how to read it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from typing import Final

from twinlens.catalog.errors import RejectReason, RowRejected
from twinlens.catalog.sources.values import (
    MAX_SPELLING_LENGTH,
    find_label,
    is_no_value,
    parse_text,
    reject,
)


class DateOrder(StrEnum):
    """How 03/04/2023 is read."""

    DAY_FIRST = "day-first"
    MONTH_FIRST = "month-first"


# Names of months as they begin, without what a language adds: "nov" is November and noviembre.
_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            *("jan janv ene gen jän", "feb fév fev", "mar mär maa mrt", "apr avr abr"),
            *("may mai mayo mag maio mei", "jun juin giu", "jul juil lug", "aug aoû ago"),
            *("sep set", "oct okt ott out", "nov", "dec dez dic déc"),
        ),
        start=1,
    )
    for name in names.split()
}
# Zones whose letters mean one thing: those of RFC 2822, and Europe's.
_ZONES: Final = {
    **dict.fromkeys(("UTC", "GMT", "Z", "UT", "+0000 UTC", "+00:00 UTC"), 0),
    "EST": -5,
    "EDT": -4,
    "CST": -6,
    "CDT": -5,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
    "CET": 1,
    "CEST": 2,
    "EET": 2,
    "EEST": 3,
    "JST": 9,
}
_TIME: Final = (
    r"(?:,?(?:\s+at|\s+um|\s*T)?\s*(?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2})"
    r"(?:[.,](?P<part>\d{1,9}))?)?(?:\s*(?P<half>[AP])\.?M\.?)?"
    r"\s*(?P<zone>[A-Z]{1,5}(?![\w+])|(?:UTC|GMT)?[+-]\d{2}:?\d{2}(?:\s+UTC)?)?)?"
    r"(?:\s+\([^()]*\))?"
)
_WEEKDAY: Final = r"(?:[^\W\d_]{2,9}\.?,?\s+)?"
_NAMED: Final = r"(?P<month>[^\W\d_]{3,10})\.?"
_FORMS: Final = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"(?P<year>\d{{4}})([-/.])(?P<month>\d{{1,2}})\2(?P<day>\d{{1,2}}){_TIME}",
        rf"(?P<year>\d{{4}})[年년]\s?(?P<month>\d{{1,2}})[月월]\s?(?P<day>\d{{1,2}})[日일]{_TIME}",
        rf"(?P<day>\d{{1,2}})\.\s?(?P<month>\d{{1,2}})\.\s?(?P<year>\d{{4}}){_TIME}",
        rf"(?P<first>\d{{1,2}})([/-])(?P<other>\d{{1,2}})\2(?P<year>\d{{4}}){_TIME}",
        rf"{_WEEKDAY}(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.|er|º)?[\s-]+(?:(?:de|of)\s+)?{_NAMED},?"
        rf"[\s-]+(?:(?:de|del)\s+)?(?P<year>\d{{4}}){_TIME}",
        rf"{_WEEKDAY}{_NAMED}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?,?\s+(?P<year>\d{{4}}){_TIME}",
        rf"{_WEEKDAY}{_NAMED}\s+(?P<day>\d{{1,2}}){_TIME}\s+(?P<year>\d{{4}})",
        rf"(?P<year>\d{{4}})[\s-]{_NAMED}[\s-](?P<day>\d{{1,2}}){_TIME}",
    )
)
_SAID: Final = re.compile(
    r"(?:published|premiered|uploaded|streamed live|started streaming)(?: on)?:?\s+", re.IGNORECASE
)
_REPR: Final = re.compile(r"(?:\w+\.)*(?:Timestamp|datetime64)\('([^']+)'.*\)")
_DOT_NET: Final = re.compile(r"\\?/Date\((-?\d+)(?:[+-]\d{4})?\)\\?/")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?:e\+?\d+)?", re.IGNORECASE)
_KEYS: Final = (
    *("$date", "$numberLong", "iso", "date", "datetime", "value", "seconds", "_seconds", "text"),
    *("simpleText", "#text"),
)
_FIRST_YEAR: Final = 1880
_COMPACT_DATE: Final = range(1900_01_01, 2101_01_01)
_COMPACT_TIME: Final = range(1900_01_01_00_00_00, 2101_01_01_00_00_00)
_COMPACT_MINUTE: Final = range(1900_01_01_00_00, 2101_01_01_00_00)
# Seconds from 1973 to 2100; a thousand times as many are milliseconds, and so on.
_SECONDS: Final = range(100_000_000, 4_102_444_800)
_SECONDS_BEFORE_1970: Final = range(-2_840_140_800, -100_000_000)
_UNITS: Final = (1, 1_000, 1_000_000, 1_000_000_000)


def parse_date(value: object, *, field: str, order: DateOrder | None = None) -> datetime | None:
    """Return the moment in UTC; a text that names no zone is taken for UTC.

    ISO 8601 and what is like it, names of months, ``YYYYMMDD`` also as a float, and Unix time in
    seconds down to nanoseconds, by its size.

    Raises:
        RowRejected: not a date, one that may be two, or one that no calendar in UTC has.
    """
    if isinstance(value, dict):
        value = find_label(value, field, _KEYS)
    if isinstance(value, str | bytes):
        value = parse_text(value, field=field)
    if value is None:
        return None
    try:
        match value:
            case bool():
                raise reject(field, "is a date", value)
            case str():
                moment = _read_text(value, field, order)
            case int() | float() | Decimal():
                moment = _read_number(value, field)
            case datetime():
                moment = value
            case date():
                moment = datetime.combine(value, time(), UTC)
            case _:
                raise reject(field, "is a date", value)
        if moment is None:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise reject(field, "is a date such as 2026-11-21T08:30:00Z", value) from error


# Unix time in ns of the year 9999 is less. (All digits of 1e99999999 take minutes.)
_GREATEST: Final = 10**21


def _read_number(value: float | Decimal, field: str) -> datetime:
    if value != value or value in (float("inf"), float("-inf")):
        raise RowRejected(RejectReason.NOT_A_NUMBER, f"{field} is {value}")
    if not -_GREATEST < value < _GREATEST:
        raise reject(field, "is YYYYMMDD, or Unix time", value)
    whole = int(value)
    if whole == value:
        for form, compact in (
            ("%Y%m%d", _COMPACT_DATE),
            ("%Y%m%d%H%M%S", _COMPACT_TIME),
            ("%Y%m%d%H%M", _COMPACT_MINUTE),
        ):
            if whole in compact:
                return datetime.strptime(str(whole), form).replace(tzinfo=UTC)
    for unit in _UNITS:
        if whole // unit in _SECONDS or (unit == 1 and whole in _SECONDS_BEFORE_1970):
            rest = int((Decimal(value) - whole) * 1_000_000) if unit == 1 else 0
            microseconds = whole * 1_000_000 // unit + rest
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    raise reject(field, "is YYYYMMDD, or Unix time of a year from 1973 on", value)


def _read_text(text: str, field: str, order: DateOrder | None) -> datetime | None:
    if "-" in text[:5] and text.isascii():
        try:
            return _require_possible(datetime.fromisoformat(text), text, field)
        except ValueError:
            pass
    if len(text) > MAX_SPELLING_LENGTH:
        raise reject(field, "is a date such as 2026-11-21T08:30:00Z", text)
    text = unicodedata.normalize("NFKC", text).strip("'\"")
    text = _SAID.sub("", text, count=1)
    if known := _REPR.fullmatch(text) or _DOT_NET.fullmatch(text):
        text = known[1]
    if is_no_value(text):
        return None
    if _NUMBER.fullmatch(text):
        return _read_number(Decimal(text), field)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = _read_form(text, field, order)
    return _require_possible(moment, text, field)


def _require_possible(moment: datetime, text: str, field: str) -> datetime | None:
    """Return ``moment``; None where it is what Go and .NET write for no time.

    Raises:
        RowRejected: no video is that old.
    """
    if moment.date() == date.min:
        return None
    if moment.year < _FIRST_YEAR:
        raise reject(field, f"is a date from {_FIRST_YEAR} on", text)
    return moment


def _read_form(text: str, field: str, order: DateOrder | None) -> datetime:
    for form in _FORMS:
        if (found := form.fullmatch(text)) is None:
            continue
        parts = found.groupdict()
        if (first := parts.get("first")) is not None:
            day, month = _put_in_order(int(first), int(parts["other"]), field, text, order)
        else:
            day, month = int(parts["day"]), _read_month(parts["month"])
        whole = datetime.combine(date(int(parts["year"]), month, day), _read_time(parts))
        return whole.replace(tzinfo=_read_zone(parts.get("zone")))
    raise reject(field, "is a date such as 2026-11-21T08:30:00Z", text)


def _put_in_order(
    first: int, other: int, field: str, text: str, order: DateOrder | None
) -> tuple[int, int]:
    """Return day and month."""
    if first > 12 or first == other or (order is DateOrder.DAY_FIRST and other <= 12):
        return first, other
    if other > 12 or order is DateOrder.MONTH_FIRST:
        return other, first
    raise RowRejected(
        RejectReason.AMBIGUOUS,
        f"{field}: {text!r} may begin with the day or the month; --dates day-first or "
        "month-first says which",
    )


def _read_month(name: str) -> int:
    if name.isdecimal():
        return int(name)
    name = name.casefold()
    found = _MONTHS.get(name) or _MONTHS.get(name[:4]) or _MONTHS.get(name[:3])
    if found is None:
        raise ValueError(f"{name} is no month")
    return found


def _read_time(parts: Mapping[str, str | None]) -> time:
    hour = int(parts.get("hour") or 0)
    if half := parts.get("half"):
        if not 1 <= hour <= 12:
            raise ValueError(f"{hour} {half}M is no time")
        hour = hour % 12 + (12 if half in "pP" else 0)
    part = (parts.get("part") or "")[:6].ljust(6, "0")
    return time(hour, int(parts.get("minute") or 0), int(parts.get("second") or 0), int(part))


def _read_zone(zone: str | None) -> timezone:
    name = (zone or "UTC").upper()
    if name in _ZONES:
        return timezone(timedelta(hours=_ZONES[name]))
    offset = name.removeprefix("UTC").removeprefix("GMT").removesuffix("UTC").strip()
    if offset[:1] not in {"+", "-"}:
        raise ValueError(f"{zone} may be several zones")
    digits = offset[1:].replace(":", "")
    away = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-away if offset[0] == "-" else away)
