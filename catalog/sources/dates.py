"""Parse the cells of moments: what a person reads in one way, and nothing else.

A date that may be two, such as 03/04/2023, is refused unless a ``DateOrder`` says how to read it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from decimal import Decimal
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from twinlens.catalog.errors import RejectReason, RowRejected
from twinlens.catalog.sources.calendar_names import MONTHS, WEEKDAYS
from twinlens.catalog.sources.values import (
    MAX_SPELLING_LENGTH,
    find_label,
    fold,
    is_no_value,
    parse_text,
    reject,
    strip_accents,
    unwrap,
)


class DateOrder(StrEnum):
    """How 03/04/2023 is read."""

    DAY_FIRST = "day-first"
    MONTH_FIRST = "month-first"


_MONTHS: Final = {
    name.replace("_", " "): number
    for number, names in enumerate(MONTHS, start=1)
    for name in names.split()
}
# People leave accents out: février, fevrier.
_MONTHS.update({strip_accents(name): number for name, number in _MONTHS.items()} | _MONTHS)
# With a point after the day these are Croatian, and a month earlier.
_WITHOUT_POINT: Final = frozenset({"listopada", "listopad", "lis", "lip", "srp"})
_WEEKDAYS: Final = frozenset(WEEKDAYS.split())
# Zones whose letters mean one thing: those of RFC 2822, and some of one place.
_ZONES: Final = {
    **dict.fromkeys(("UTC", "GMT", "Z", "UT", "WET"), 0),
    **dict.fromkeys(("EST", "CDT"), -5),
    "EDT": -4,
    "CST": -6,
    "MST": -7,
    "MDT": -6,
    "PST": -8,
    "PDT": -7,
    "CET": 1,
    "WEST": 1,
    "CEST": 2,
    "EET": 2,
    "EEST": 3,
    "MSK": 3,
    "JST": 9,
    "KST": 9,
    "HKT": 8,
    "SGT": 8,
    "AEST": 10,
    "AEDT": 11,
    "NZST": 12,
    "NZDT": 13,
}
# The years before the first of each of Japan's eras.
_ERAS: Final = {"令和": 2018, "平成": 1988, "昭和": 1925}
_LATE: Final = re.compile(r"p|午後|下午|오후", re.IGNORECASE)
_HALF: Final = r"[ap]\.?\s?m\.?|午前|午後|上午|下午|오전|오후"
_TIME: Final = (
    r"(?:(?:[,T\s]|(?<=[日일.]))\s*"
    r"(?:(?:at|um|à|às|a las|alle|kl\.?|klo|om|в|о|o|lúc|pukul|saat)\s+)?"
    rf"(?:(?P<half_before>{_HALF})\s*)?"
    r"(?P<hour>\d{1,2})(?:[:.h時时点點시]\s?(?P<minute>\d{2})(?:[:.分분]\s?(?P<second>\d{2})"
    rf"(?:[.,](?P<part>\d{{1,9}}))?)?[秒초分분]?(?:\s*(?P<half>{_HALF}))?|\s*(?P<half_only>{_HALF}))"
    r"(?:\s+Uhr)?(?:\s*(?P<zone>[A-Z]{1,5}(?![\w+])|(?:UTC|GMT)?[+-]\d{1,2}(?::?\d{2})?)(?:\s+UTC)?"
    r"(?:\s+\([^()]*\))?)?)?"
)
_WEEKDAY: Final = r"(?:(?P<weekday>[^\W\d_][^\d\s,]{0,20}?)\.?,?\s+)?"
_NAMED: Final = r"(?P<month>[^\W\d_][^\d\s,/-]{0,20}(?: [^\W\d_]{5,6})?)"
_OF: Final = r"(?:(?:de|of|del)\s+|(?:d'|ב|พ\.ศ\.|ค\.ศ\.)\s*)?"
_YEAR: Final = r"(?P<year>\d{4})(?:\s?[гр]\.|\.|\s?[гр](?=\s|\Z))?"
_NTH: Final = r"(?:st|nd|rd|th|er|o|a|:e)?"
_FORMS: Final = tuple(
    re.compile(form, re.IGNORECASE)
    for form in (
        rf"(?P<year>\d{{4}})([-/.] ?)(?P<month>\d{{1,2}})\2(?P<day>\d{{1,2}})\.?{_TIME}",
        # A day in a zone, as XML has it.
        r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)(?P<zone>Z|[+-]\d\d:\d\d)",
        r"(?:(?P<year>\d{4})|(?P<era>令和|平成|昭和)(?P<of_era>\d{1,2}))[年년]\s?(?P<month>\d{1,2})[月월]"
        r"\s?(?P<day>\d{1,2})[日일](?:\s?\(?(?:星期|周|週|礼拜)?"
        r"[日月火水木金土一二三四五六월화수목금토일天]"
        rf"(?:曜日|요일)?\)?)?{_TIME}",
        rf"(?P<day>\d{{1,2}})\.\s?(?P<month>\d{{1,2}})\.\s?{_YEAR}{_TIME}",
        rf"(?P<first>\d{{1,2}})([/-])(?P<other>\d{{1,2}})\2(?P<year>\d{{4}}){_TIME}",
        r"(?:ngày\s)?(?P<day>\d{1,2})\s(?:tháng|thg)\s(?P<month>\d{1,2}),?\s"
        rf"(?:năm\s)?(?P<year>\d{{4}}){_TIME}",
        rf"{_WEEKDAY}(?P<day>\d{{1,2}})(?P<point>\.)?{_NTH}[\s-]*{_OF}{_NAMED},?[\s-]+{_OF}{_YEAR}{_TIME}",
        rf"{_WEEKDAY}{_NAMED}[\s-]+(?P<day>\d{{1,2}}){_NTH},?[\s-]+(?P<year>\d{{4}}){_TIME}",
        rf"{_WEEKDAY}{_NAMED}\s+(?P<day>\d{{1,2}}){_TIME}\s+(?P<year>\d{{4}})",
        rf"(?P<year>\d{{4}})\.?[\s-]{_NAMED}[\s-](?P<day>\d{{1,2}})\.?{_TIME}",
    )
)
_SAID: Final = re.compile(
    r"(?:(?:published|premiered|uploaded|streamed live|started streaming|posted|released|aired)"
    r"(?: on)?|veröffentlicht am|hochgeladen am|publié le|ajoutée? le|mise? en ligne le|"
    r"publicado (?:el|em)|subido el|pubblicato il|caricato il|gepubliceerd op|"
    r"geüpload op|opublikowan[yo]|опубликовано|"
    r"publicerad|publiceret|publisert|julkaistu|yayınlandı|dipublikasikan|公開日|投稿日|게시일|发布于|發布日期|"
    r"发布时间)\s*:?\s*",
    re.IGNORECASE,
)
_REPR: Final = re.compile(r"(?:\w+\.)*(?:Timestamp|datetime64)\('([^']+)'.*\)")
_PYTHON: Final = re.compile(
    r"datetime\.date(?:time)?\((\d+(?:, \d+){2,6})(?:, tzinfo=(?:datetime\.timezone\.utc|<UTC>))?\)"
)
_DOT_NET: Final = re.compile(r"\\?/Date\((-?\d+)(?:[+-]\d{4})?\)\\?/")
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?:e\+?\d+)?", re.IGNORECASE)
# As spreadsheets show a number of many digits; data frames show as many digits as it has.
_ROUNDED: Final = re.compile(r"\d(?:\.\d{1,5})?e\+\d+", re.IGNORECASE)
# A zone of the time zone database, as Java puts it after an offset and others after a time.
_PLACE: Final = re.compile(r"\s*\[([A-Za-z][\w+/-]*)\]|\s+([A-Za-z]\w+/[\w+/-]+)")
_MIDNIGHT: Final = re.compile(r"(.*\d[T ])24:00(:00(?:\.0+)?)?(?!\d|:)(.*)", re.IGNORECASE)
_KEYS: Final = (
    *("iso", "date", "dateTime", "datetime", "value", "seconds", "_seconds", "text"),
    *("simpleText", "#text"),
)
_PLACE_KEYS: Final = ("timezone", "timeZone", "tz")
_PART_KEYS: Final = ("year", "month", "day", "hour", "minute", "second")
# What programs write for no time: Go and .NET, spreadsheets and OLE, and databases for "for ever".
_NO_DAYS: Final = frozenset({date.min, date(1899, 12, 30), date(1899, 12, 31), date.max})
_YEARS: Final = range(1880, 2101)
_LIKELY_YEARS: Final = range(1900, 2101)
# Python takes any character between day and time, also the sign of an offset.
_AFTER_DAY: Final = frozenset({"", " ", "T", "t"})
_DAY_LENGTH: Final = len("2026-11-21")
_COMPACT_DATE: Final = range(1900_01_01, 2101_01_01)
_COMPACT_TIME: Final = range(1900_01_01_00_00_00, 2101_01_01_00_00_00)
_COMPACT_MINUTE: Final = range(1900_01_01_00_00, 2101_01_01_00_00)
# Seconds from 1973 to 2100; a thousand times as many are milliseconds, and so on.
_SECONDS: Final = range(100_000_000, 4_102_444_800)
_SECONDS_BEFORE_1970: Final = range(-2_840_140_800, -100_000_000)
# Unix seconds of these look like 2026112108 and 2611210830, and are far ahead.
_FROM_2030: Final = range(1_893_456_000, 4_102_444_800)
_UNITS: Final = (1, 1_000, 1_000_000, 1_000_000_000)


def parse_date(value: object, *, field: str, order: DateOrder | None = None) -> datetime | None:
    """Return the moment in UTC; a text that names no zone is taken for UTC.

    ISO 8601 and what is like it, names of months in many languages, ``YYYYMMDD`` also as a float,
    Unix time in seconds down to nanoseconds, by its size, and what programs make of a date.

    Raises:
        RowRejected: not a date, one that may be two, or one that no calendar in UTC has.
    """
    place = None
    if isinstance(value, dict | list | tuple):
        value, place = _open(value, field)
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
                moment = _require_possible(value, value, field)
            case date():
                whole = datetime.combine(value, time(), UTC)
                moment = _require_possible(whole, value, field)
            case _:
                raise reject(field, "is a date", value)
        if moment is None:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC if place is None else _find_place(place))
        return moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise reject(field, "is a date such as 2026-11-21T08:30:00Z", value) from error


def _open(value: object, field: str) -> tuple[object, str | None]:
    """Return the date that an object or a list of parts holds, and the zone that it names.

    Raises:
        RowRejected: it holds none.
    """
    value = unwrap(value)
    if isinstance(value, list | tuple) and len(value) > 1:
        # As Java's programs write it: [2026, 11, 21, 8, 30].
        return _build(value, field), None
    if isinstance(value, Mapping):
        if (moment := unwrap(value.get("$date"))) is not None:
            return _read_milliseconds(moment), None
        if value.get("year") is not None and value.keys() <= {*_PART_KEYS, *_PLACE_KEYS}:
            return _build([value[key] for key in _PART_KEYS if key in value], field), None
        place = next((value[key] for key in _PLACE_KEYS if isinstance(value.get(key), str)), None)
        return find_label(value, field, _KEYS), place
    return find_label(value, field, _KEYS), None


def _read_milliseconds(value: object) -> object:
    """Return the moment of MongoDB's number, which is one of milliseconds; else ``value``."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = Decimal(value)
    if (
        isinstance(value, int | Decimal)
        and not isinstance(value, bool)
        and -_GREATEST < value < _GREATEST
    ):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(value))
    return value


def _build(parts: Sequence[object], field: str) -> datetime:
    whole = [part for part in parts if isinstance(part, int) and not isinstance(part, bool)]
    try:
        if len(whole) == len(parts) >= 3:
            # The seventh is of nanoseconds or of microseconds: no second is so short a matter.
            return datetime(*whole[:6])  # type: ignore[arg-type]  # noqa: DTZ001
    except (ValueError, TypeError, OverflowError):
        pass
    raise reject(field, "is year, month and day", parts)


def _find_place(name: str) -> tzinfo:
    """Return a zone by its name or offset.

    Raises:
        ValueError: there is none.
    """
    if name.upper() in _ZONES or name[:1] in {"+", "-"}:
        return _read_zone(name)
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"{name} is no time zone") from error


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
    if whole in _FROM_2030:
        _require_no_digits_of_date(whole, field)
    for unit in _UNITS:
        if whole // unit in _SECONDS or (unit == 1 and whole in _SECONDS_BEFORE_1970):
            rest = int((Decimal(value) - whole) * 1_000_000) if unit == 1 else 0
            microseconds = whole * 1_000_000 // unit + rest
            return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    raise reject(field, "is YYYYMMDD, or Unix time of a year from 1973 on", value)


def _require_no_digits_of_date(whole: int, field: str) -> None:
    """Return where ``whole`` is not also the digits of a date with its hour.

    Raises:
        RowRejected: it is.
    """
    for form in ("%Y%m%d%H", "%y%m%d%H%M"):
        with suppress(ValueError):
            datetime.strptime(str(whole), form).replace(tzinfo=UTC)
            raise RowRejected(
                RejectReason.AMBIGUOUS, f"{field}: {whole} may be Unix time or digits of a date"
            )


def _read_text(text: str, field: str, order: DateOrder | None) -> datetime | None:
    if text[4:5] == "-" and text[10:11] in _AFTER_DAY and len(text) >= _DAY_LENGTH:
        try:
            return _require_possible(datetime.fromisoformat(text), text, field)
        except ValueError:
            pass
    if len(text) > MAX_SPELLING_LENGTH:
        raise reject(field, "is a date such as 2026-11-21T08:30:00Z", text)
    plain = _SAID.sub("", fold(text).strip("'\""), count=1)
    if known := _REPR.fullmatch(plain) or _DOT_NET.fullmatch(plain):
        plain = known[1]
    if parts := _PYTHON.fullmatch(plain):
        return _build([int(part) for part in parts[1].split(",")], field)
    if is_no_value(plain):
        return None
    if _ROUNDED.fullmatch(plain):
        raise reject(field, "has all its digits", text)
    if _NUMBER.fullmatch(plain):
        return _read_number(Decimal(plain), field)
    place = None
    if (found := _PLACE.search(plain)) is not None and found.end() == len(plain):
        plain, place = plain[: found.start()], found[1] or found[2]
    days = timedelta()
    if (midnight := _MIDNIGHT.fullmatch(plain)) is not None:
        plain, days = f"{midnight[1]}00:00{midnight[2] or ''}{midnight[3]}", timedelta(days=1)
    moment = None
    if (len(plain) >= _DAY_LENGTH and plain[10:11] in _AFTER_DAY) or plain[:8].isdecimal():
        with suppress(ValueError):
            moment = datetime.fromisoformat(plain)
    moment = (_read_form(plain, text, field, order) if moment is None else moment) + days
    if place is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=_find_place(place))
    return _require_possible(moment, text, field)


def _require_possible(moment: datetime, value: object, field: str) -> datetime | None:
    """Return ``moment``; None where it is what programs write for no time.

    Raises:
        RowRejected: no video is of that year.
    """
    if moment.year in _LIKELY_YEARS:
        return moment
    if moment.date() in _NO_DAYS:
        return None
    if moment.year not in _YEARS:
        raise reject(field, f"is a date from {_YEARS[0]} to {_YEARS[-1]}", value)
    return moment


def _read_form(plain: str, text: str, field: str, order: DateOrder | None) -> datetime:
    """Return the moment, in its zone where it names one.

    Raises:
        RowRejected, ValueError: it is in none of the forms, or may be two days.
    """
    for form in _FORMS:
        if (found := form.fullmatch(plain)) is None:
            continue
        parts = found.groupdict()
        weekday = parts.get("weekday")
        if weekday is not None and weekday.casefold() not in _WEEKDAYS:
            continue
        if (first := parts.get("first")) is not None:
            day, month = _put_in_order(int(first), int(parts["other"]), field, text, order)
        else:
            day = int(parts["day"])
            month = _read_month(parts["month"], has_point=parts.get("point") is not None)
        whole = datetime.combine(date(_read_year(parts), month, day), _read_time(parts))
        zone = parts.get("zone")
        return whole if zone is None else whole.replace(tzinfo=_read_zone(zone))
    raise reject(field, "is a date such as 2026-11-21T08:30:00Z", text)


def _read_year(parts: Mapping[str, str | None]) -> int:
    if (era := parts.get("era")) is not None:
        return _ERAS[era] + int(parts["of_era"] or 0)
    year = int(parts["year"] or 0)
    # Thailand counts from Buddha's death.
    is_thai = "\u0e00" <= (parts.get("month") or "")[:1] <= "\u0e7f"
    return year - 543 if is_thai and year > _YEARS[-1] else year


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


def _read_month(name: str, *, has_point: bool) -> int:
    if name.isdecimal():
        return int(name)
    name = name.casefold().rstrip(".")
    found = _MONTHS.get(name)
    if found is None or (has_point and name in _WITHOUT_POINT):
        raise ValueError(f"{name} is no month, or may be two")
    return found


def _read_time(parts: Mapping[str, str | None]) -> time:
    hour = int(parts.get("hour") or 0)
    if half := parts.get("half") or parts.get("half_only") or parts.get("half_before"):
        if not 0 <= hour <= 12:
            raise ValueError(f"{hour} {half} is no time")
        hour = hour % 12 + (12 if _LATE.match(half) else 0)
    part = (parts.get("part") or "")[:6].ljust(6, "0")
    return time(hour, int(parts.get("minute") or 0), int(parts.get("second") or 0), int(part))


def _read_zone(zone: str) -> timezone:
    name = zone.upper()
    if name in _ZONES:
        return timezone(timedelta(hours=_ZONES[name]))
    offset = name.removeprefix("UTC").removeprefix("GMT")
    if offset[:1] not in {"+", "-"}:
        raise ValueError(f"{zone} may be several zones")
    hours, minutes = offset[1:].replace(":", ""), "0"
    if len(hours) > 2:
        hours, minutes = hours[:-2], hours[-2:]
    away = timedelta(hours=int(hours), minutes=int(minutes))
    return timezone(-away if offset[0] == "-" else away)
