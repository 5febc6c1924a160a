"""Parse the cells of counts and durations, as programs, spreadsheets and people write them."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Final

from twinlens.catalog.errors import RejectReason, RowRejected
from twinlens.catalog.sources.values import (
    MAX_INTEGER,
    MAX_SPELLING_LENGTH,
    find_label,
    parse_text,
    quote,
    reject,
)

#: Words behind a number that multiply it. Letters are compared without case.
MULTIPLES: Final = {
    **dict.fromkeys(("k", "thousand", "tsd", "tsd.", "тыс", "тыс.", "mil", "ribu", "rb"), 10**3),
    **dict.fromkeys(("m", "mn", "mio", "mio.", "mln", "million", "millions", "млн"), 10**6),
    **dict.fromkeys(("b", "bn", "billion", "mrd", "mrd.", "млрд"), 10**9),
    **dict.fromkeys(("lakh", "lakhs"), 10**5),
    **dict.fromkeys(("crore", "crores", "cr"), 10**7),
    "千": 10**3,
    "万": 10**4,
    "萬": 10**4,
    "만": 10**4,
    "億": 10**8,
    "亿": 10**8,
    "억": 10**8,
}
#: Words behind a number that say what was counted.
COUNTED: Final = frozenset(
    {"view", "views", "play", "plays", "watches", "times", "time", "like", "likes", "x", "hits"}
    | {"aufrufe", "vues", "vue", "vistas", "visualizaciones", "reproducciones", "visualizações"}
    | {"visualizzazioni", "weergaven", "просмотров", "просмотра", "просмотр", "wyświetleń"}
    | {"回", "次", "次观看", "回視聴", "回再生", "조회수", "회", "mal", "watched", "streams"}
)
#: Seconds in one of each unit.
UNITS: Final = {
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds", "millis"), Decimal("0.001")),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds", "sek", "′′", '"', "''"), Decimal(1)),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes", "minuten", "′", "'"), Decimal(60)),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours", "std", "stunden"), Decimal(3600)),
    **dict.fromkeys(("d", "day", "days"), Decimal(86400)),
    **dict.fromkeys(("w", "week", "weeks"), Decimal(604800)),
    "秒": Decimal(1),
    "分": Decimal(60),
    "時間": Decimal(3600),
    "小时": Decimal(3600),
}
# Groups of three, by the same mark throughout, or as in India: 12,34,567.
_GROUPED: Final = re.compile(r"\d{1,3}(?:([, '’_])\d{3})(?:\1\d{3})*(?:\.\d+)?")
_INDIAN: Final = re.compile(r"\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?")
_GROUPED_BY_DOTS: Final = re.compile(r"\d{1,3}(?:\.\d{3}){2,}(?:,\d+)?|\d{1,3}\.\d{3},\d+")
# A thousand, or one; 1.234M is neither.
_THOUSAND_OR_ONE: Final = re.compile(r"\d{1,3}\.(?:\d{3}\Z|000(?=[^\d.,]))")
_COMMA: Final = re.compile(r"\d+,(\d+)")
_COUNTED: Final = re.compile(
    r"(\d[\d.,'’_ ]*?) ?([千万萬만億亿억]|[^\W\d_]\D*?)?(?:(?: |(?<=[千万萬만億亿억]))(\D+))?"
)
_PLAIN: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE)
_CLOCK: Final = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{2}(?:[.,]\d+)?)")
_DAYS: Final = re.compile(r"(\d+) days?,? (?:\+?(\d+:\d{2}:\d{2}(?:\.\d+)?))?")
_ISO_DURATION: Final = re.compile(
    r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+(?:[.,]\d+)?)H)?(?:(\d+(?:[.,]\d+)?)M)?"
    r"(?:(\d+(?:[.,]\d+)?)S)?)?",
    re.IGNORECASE,
)
_UNIT: Final = re.compile(
    r"(\d+(?:[.,]\d+)?)\s*([^\W\d_]+|′′?|''|['\"])\.?(?:\s*(?:,|and|und)?\s*)"
)
# So many digits are less than ``MAX_INTEGER``.
_FEW_DIGITS: Final = 19
_COUNT_KEYS: Final = (
    *("count", "total", "value", "text", "simpleText", "userInteractionCount"),
    *("$numberLong", "$numberInt", "#text"),
)
_DURATION_KEYS: Final = ("seconds", "value", "text", "simpleText", "#text", "lengthSeconds")


def parse_count(value: object, *, field: str) -> int | None:
    """Return a whole number from 0 to 2**63 - 1, from a number or its text.

    ``1,234``, ``1 234``, ``1.2M views`` and ``3 lakh`` are read; ``1.234`` alone may be either.

    Raises:
        RowRejected: not such a number, or one that can be read in two ways.
    """
    if type(value) is int and 0 <= value <= MAX_INTEGER:
        return value
    if type(value) is str and len(value) < _FEW_DIGITS and value.isdecimal():
        return int(value)
    if isinstance(value, Mapping | list | tuple):
        value = find_label(value, field, _COUNT_KEYS)
    if isinstance(value, str | bytes):
        text = parse_text(value, field=field)
        value = None if text is None else _read_count(text, field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise reject(field, "is a whole number", value)
    _require_not_negative(value, field)
    if value > MAX_INTEGER or value != int(value):
        raise reject(field, f"is a whole number, at most {MAX_INTEGER}", value)
    return int(value)


def parse_duration(value: object, *, field: str) -> float | None:
    """Return seconds, from a number, ``4:13``, ``1:02:03``, ISO 8601 (``PT4M13S``) or ``4m 13s``.

    Raises:
        RowRejected: not a duration, negative, not finite, or one that can be read in two ways.
    """
    if type(value) is str and len(value) < _FEW_DIGITS and value.isdecimal():
        return float(value)
    if isinstance(value, Mapping | list | tuple):
        value = find_label(value, field, _DURATION_KEYS)
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, time):
        value = value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6
    if isinstance(value, str | bytes):
        text = parse_text(value, field=field)
        if text is None:
            return None
        value = _read_duration(text, field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise reject(field, "is a number of seconds", value)
    return _require_not_negative(value, field)


def _read_count(text: str, field: str) -> int | Decimal | float:
    if len(text) > MAX_SPELLING_LENGTH:
        raise reject(field, "is a whole number", text)
    # Digits of every script, and spaces that don't break.
    text = unicodedata.normalize("NFKC", text).strip("'\"").replace("\u066c", ",")
    if text.isdecimal() and len(text) < 40:
        return int(text)
    if _THOUSAND_OR_ONE.match(text):
        raise reject(field, "is a number that can be read in one way", text)
    if (number := _read_number(text)) is not None:
        return number
    if text.casefold() in {"no views", "no likes"}:
        return 0
    if counted := _COUNTED.fullmatch(text.casefold()):
        digits, word, rest = counted.groups()
        times = MULTIPLES.get(word or "", 1)
        told = (rest or "").strip() or (word if word not in MULTIPLES else "")
        if (word in MULTIPLES or word in COUNTED) and (not told or told in COUNTED):
            number = _read_number(digits.strip())
            if number is None and times > 1 and (comma := _COMMA.fullmatch(digits)):
                # 1,2 Mio.; but 1,234 M is two things.
                number = None if len(comma[1]) == 3 else Decimal(digits.replace(",", "."))
            elif times > 1 and _COMMA.fullmatch(digits):
                number = None
            if number is not None:
                return Decimal(number) * times
    raise reject(field, "is a number that can be read in one way", text)


def _read_number(text: str) -> Decimal | float | None:
    """Return the number that ``text`` is, or None where it is none or may be two."""
    if _GROUPED.fullmatch(text) or _INDIAN.fullmatch(text):
        text = re.sub(r"[, '’_]", "", text)
    elif _GROUPED_BY_DOTS.fullmatch(text):
        text = text.replace(".", "").replace(",", ".")
    if text.casefold() in {"inf", "-inf", "+inf", "infinity", "-infinity", "nan"}:
        return float(text)
    if not _PLAIN.fullmatch(text):
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if abs(number.adjusted()) < 400 else float(text)


def _read_duration(text: str, field: str) -> float | Decimal:
    if len(text) > MAX_SPELLING_LENGTH:
        raise reject(field, "is a length in seconds", text)
    text = unicodedata.normalize("NFKC", text)
    if days := _DAYS.fullmatch(text):
        more = _read_clock(days[2], field) if days[2] else Decimal(0)
        return int(days[1]) * 86400 + more
    if _CLOCK.fullmatch(text):
        return _read_clock(text, field)
    if (iso := _ISO_DURATION.fullmatch(text)) and any(iso.groups()):
        parts = zip(("w", "d", "h", "m", "s"), iso.groups(), strict=True)
        return sum((UNITS[unit] * _to_decimal(part) for unit, part in parts), Decimal(0))
    if (comma := _COMMA.fullmatch(text)) is not None:
        # 61,5 has a fraction; 1,500 may be a thousand and a half, or one and a half.
        if len(comma[1]) == 3:
            raise reject(field, "is a number that can be read in one way", text)
        return _to_decimal(text)
    if (number := _read_number(text)) is not None:
        return number
    return _read_units(text.casefold(), field)


def _read_clock(text: str, field: str) -> Decimal:
    clock = _CLOCK.fullmatch(text)
    if clock is not None:
        hours, minutes, seconds = (_to_decimal(part) for part in clock.groups())
        if seconds < 60 and (clock[1] is None or minutes < 60):
            return (hours * 60 + minutes) * 60 + seconds
    raise reject(field, "is hours, minutes and seconds", text)


def _read_units(text: str, field: str) -> Decimal:
    """Read ``1h 2m 3s``, ``4 minutes, 13 seconds``: each unit once, the largest first."""
    total, at, least = Decimal(0), 0, Decimal("Infinity")
    while part := _UNIT.match(text, at):
        unit = UNITS.get(part[2])
        if unit is None or unit >= least:
            break
        total += _to_decimal(part[1]) * unit
        at, least = part.end(), unit
        if at == len(text):
            return total
    raise reject(field, "is a length in seconds, such as 4:13 or PT4M13S", text)


def _to_decimal(text: str | None) -> Decimal:
    return Decimal(text.replace(",", ".")) if text else Decimal(0)


def _require_not_negative(value: float | Decimal, field: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise RowRejected(RejectReason.NOT_A_NUMBER, f"{field} is {quote(value)}")
    if number < 0:
        raise reject(field, "is not negative", value)
    return number
