"""Parse the cells of counts and durations, as programs, spreadsheets and people write them.

The words beside numbers are in ``words``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import time, timedelta
from decimal import Decimal, InvalidOperation
from itertools import chain
from typing import Final

from twinlens.catalog.errors import RejectReason, RowRejected
from twinlens.catalog.sources.values import (
    MAX_INTEGER,
    MAX_SPELLING_LENGTH,
    find_label,
    fold,
    is_no_value,
    parse_text,
    quote,
    reject,
    unwrap,
)
from twinlens.catalog.sources.words import (
    ANDS,
    COUNTED,
    JOINED_MULTIPLES,
    LOCAL_MULTIPLES,
    MULTIPLES,
    NONE_COUNTED,
    PARTICLES,
    POINTED,
    SMALL_JOINED,
    UNITS,
)

# The languages of each word that says what was counted.
_LANGUAGES: Final[dict[str, frozenset[str]]] = {
    word: frozenset(other for other, words in COUNTED.items() if word in words)
    for word in chain.from_iterable(COUNTED.values())
}
# Groups of three, by the same mark throughout, or as in India: 12,34,567.
_GROUPED: Final = re.compile(r"\d{1,3}(?:([, '’_])\d{3})(?:\1\d{3})*(?:\.\d+)?")
_INDIAN: Final = re.compile(r"\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?")
_GROUPED_BY_DOTS: Final = re.compile(
    r"\d{1,3}(?:\.\d{3}){2,}(?:,\d+)?|\d{1,3}[. ]\d{3},\d+|\d{1,3}(?: \d{3}){2,},\d+"
)
# A thousand, or one.
_THOUSAND_OR_ONE: Final = re.compile(r"\d{1,3}\.\d{3}")
_COMMA_OF_THOUSANDS: Final = re.compile(r"\d{1,3}(?:,\d{3})+")
_COMMA: Final = re.compile(r"\d+,(\d+)")
_SAID_BEFORE: Final = re.compile(r"([^\d+.,-]*?)[\s:]*(?=\d)")
_DIGITS: Final = re.compile(r"\d(?:[\d.,'_ ]*\d)?")
# 3千万 is thirty million, 1億2000万 a hundred and twenty.
_SMALL: Final = "".join(SMALL_JOINED)
_JOINED: Final = re.compile(
    rf"\s*(\d[\d,]*(?:\.\d+)?)\s*([{_SMALL}]?[{''.join(JOINED_MULTIPLES)}]|[{_SMALL}])"
)
_REST: Final = re.compile(r"\s*(\d{1,4})(?!\d)")
_PLAIN: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?", re.IGNORECASE)
_CLOCK: Final = re.compile(r"(?:(\d+):)?(\d{1,3}):(\d{2}(?:[.,]\d+)?)(?:\s*([^\W\d_]+)\.?)?")
_DAYS: Final = re.compile(
    r"(\d+)(?: days?,? | ?d |\.(?=\d\d:\d\d:))(?:\+?(\d+:\d{2}:\d{2}(?:\.\d+)?))?"
)
_ISO_DURATION: Final = re.compile(
    r"P(?:0+Y)?(?:0+M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+(?:[.,]\d+)?)H)?(?:(\d+(?:[.,]\d+)?)M)?"
    r"(?:(\d+(?:[.,]\d+)?)S)?)?",
    re.IGNORECASE,
)
_UNIT: Final = re.compile(
    r"(\d{1,3}(?:[, ]\d{3})+|\d+(?:[.,]\d+)?)\s*(''|['\"]|[^\s\d.,;:'\"]+)\.?"
)
_AND: Final = re.compile(rf"\s*(?:[,;:]\s*)?(?:(?:{'|'.join(map(re.escape, ANDS))})\s+)?")
# 1h30 is an hour and thirty minutes.
_NEXT_UNIT: Final = re.compile(r"\s?([0-5]\d)")
_LABELLED: Final = re.compile(
    r"(?:duration|length|runtime|running time|duración|duração|durata|durée|dauer|laufzeit|länge|"
    r"duur|czas|süre|durasi|время|длительность|продолжительность|時間|时长|時長|길이)\s*:\s*"
)
# So many digits are less than ``MAX_INTEGER``.
_FEW_DIGITS: Final = 19
_COUNTER_KEY: Final = "userInteractionCount"
_COUNT_KEYS: Final = (*("count", "total", "value", "text", "simpleText", _COUNTER_KEY, "#text"),)
_DURATION_KEYS: Final = ("value", "text", "simpleText", "#text")
_TOTAL_KEYS: Final = ("totalSeconds", "total_seconds", "TotalSeconds", "lengthSeconds")
_UNIT_KEYS: Final = ("unit", "units", "unitText")
_AMOUNT_KEYS: Final = ("value", "amount", "count", "duration", "length", "quantity")
#: Actions of schema.org whose counters are a field's.
ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "view_count": ("WatchAction", "ViewAction", "ListenAction"),
    "like_count": ("LikeAction",),
}
# As YouTube's API writes of streams that go on or are to come.
_LIVE: Final = "p0d"
_DAY: Final = 86_400
_LONGEST: Final = 2 * _DAY


@dataclass(frozen=True, slots=True)
class InUnit:
    """A cell of lengths whose column says what a bare number in it is of.

    ``told``: the column names the unit; otherwise it is that which such columns mostly have, so
    that 1:45 in it may be hours or minutes.
    """

    cell: object
    seconds: Decimal
    told: bool = True


_SECONDS: Final = InUnit(None, Decimal(1))
# Of 12:34 the first number is of one of these.
_CLOCK_UNITS: Final = (Decimal(60), Decimal(3600))


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
        value = _find_counter(unwrap(value), field)
        value = find_label(_join_unit(value), field, _COUNT_KEYS)
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

    A bare number is of seconds, or of the unit of an ``InUnit``.

    Raises:
        RowRejected: not a duration, negative, not finite, or one that can be read in two ways.
    """
    if type(value) is str and len(value) < _FEW_DIGITS and value.isdecimal():
        return _require_seconds(float(value), field)
    unit = _SECONDS
    if isinstance(value, InUnit):
        unit, value = value, value.cell
    if isinstance(value, Mapping | list | tuple):
        value = _find_length(_join_unit(unwrap(value)), field)
    if isinstance(value, timedelta):
        if value.total_seconds() >= _DAY and value.total_seconds() % 60 == 0:
            raise _refuse(
                field, str(value), "hours or minutes: spreadsheets keep 45:10 as 45 hours"
            )
        value = value.total_seconds()
    elif isinstance(value, time):
        value = value.hour * 3600 + value.minute * 60 + value.second + value.microsecond / 1e6
    elif isinstance(value, str | bytes):
        text = parse_text(value, field=field)
        if text is None:
            return None
        value = _read_duration(text, field, unit)
    elif isinstance(value, bool) or not isinstance(value, int | float | Decimal | None):
        raise reject(field, "is a number of seconds", value)
    elif unit is not _SECONDS and value is not None:
        value = Decimal(str(_require_not_negative(value, field))) * unit.seconds
    elif value is not None:
        _require_seconds(_require_not_negative(value, field), field)
    if value is None:
        return None
    return _require_not_negative(value, field)


def _require_seconds(value: float, field: str) -> float:
    """Return a bare number where it can only be one of seconds.

    Raises:
        RowRejected: a video of so many seconds is longer than any, or shorter.
    """
    if value > _LONGEST:
        raise _refuse(field, value, "milliseconds or less, or seconds of more than two days")
    if 0 < value < 1:
        raise _refuse(field, value, "a part of a second, or of a day, as spreadsheets keep it")
    return value


def _find_counter(value: object, field: str) -> object:
    """Return that counter of schema.org's which is ``field``'s, where these are such counters."""
    counters = value if isinstance(value, list | tuple) else [value]
    known = [one for one in counters if isinstance(one, Mapping) and _COUNTER_KEY in one]
    if len(known) < len(counters):
        return value
    for counter in known:
        action = counter.get("interactionType")
        if isinstance(action, Mapping):
            action = action.get("@type") or action.get("@id")
        name = re.split(r"[/:#]", str(action or "WatchAction"))[-1]
        if name in ACTIONS.get(field, ()):
            return counter
    return None


def _join_unit(value: object) -> object:
    """Return ``{"value": 12, "unit": "minutes"}`` as text, and anything else as it is."""
    if isinstance(value, Mapping):
        unit = next((value[key] for key in _UNIT_KEYS if isinstance(value.get(key), str)), None)
        amount = next((value[key] for key in _AMOUNT_KEYS if value.get(key) is not None), None)
        if unit is not None and isinstance(amount, int | float | Decimal | str):
            return f"{amount} {unit}"
    return value


def _find_length(value: object, field: str) -> object:
    """Return the length that an object holds: of ``{"hours": 1, "minutes": 2}`` the sum."""
    if not isinstance(value, Mapping):
        return find_label(value, field, _DURATION_KEYS)
    if (total := next((value[key] for key in _TOTAL_KEYS if key in value), None)) is not None:
        return total
    named = {key: unwrap(value[key]) for key in value if not is_no_value(value[key])}
    parts = {str(key).casefold(): part for key, part in named.items()}
    if parts.keys().isdisjoint(UNITS):
        return find_label(value, field, _DURATION_KEYS)
    seconds = Decimal(0)
    for key, part in parts.items():
        number = None if isinstance(part, bool) else _read_number(str(part))
        if key in UNITS and isinstance(number, Decimal):
            seconds += number * UNITS[key]
        elif key in UNITS or number is not None:
            raise reject(field, "is a length in known units", value)
    return seconds


def _refuse(field: str, value: object, what: str) -> RowRejected:
    """Return what to raise of a value that may be two."""
    return RowRejected(RejectReason.AMBIGUOUS, f"{field}: {quote(value)} may be {what}")


def _read_count(text: str, field: str) -> int | Decimal | float:
    if len(text) > MAX_SPELLING_LENGTH:
        raise reject(field, "is a whole number", text)
    # Digits of every script, and spaces that don't break.
    plain = fold(text).strip("'\"").casefold()
    if plain.isdecimal() and len(plain) < 40:
        return int(plain)
    if plain in NONE_COUNTED:
        return 0
    if _THOUSAND_OR_ONE.fullmatch(plain):
        raise _refuse(field, text, "thousands, or a number with a fraction")
    if (number := _read_number(plain)) is not None:
        return number
    if (said := _SAID_BEFORE.match(plain)) is None or (said[1] and said[1] not in _LANGUAGES):
        raise reject(field, "is a whole number", text)
    plain = plain[said.end() :]
    number, at = _read_joined(plain)
    digits = ""
    if number is None:
        # A digit comes first.
        at = found.end() if (found := _DIGITS.match(plain)) else 0
        digits = plain[:at]
    times, languages = _read_words(said[1], plain[at:].strip(), text, field)
    if number is None:
        number = _read_amount(digits, times, languages, text, field)
    return number * times


def _read_words(before: str, after: str, text: str, field: str) -> tuple[int, frozenset[str]]:
    """Return by what the words multiply the number between them, and which languages they are of.

    Raises:
        RowRejected: there are others than those that count or multiply.
    """
    first, _, others = after.partition(" ")
    first = first.rstrip(".")
    told = _find_counted(after)
    if told is not None:
        return 1, _LANGUAGES.get(told or before, frozenset())
    told = _find_counted(others.strip())
    if told is None:
        raise reject(field, "is a whole number", text)
    languages = _LANGUAGES.get(told or before, frozenset())
    local = {LOCAL_MULTIPLES[name].get(first) for name in languages & LOCAL_MULTIPLES.keys()}
    if len(local := local - {None}) == 1:
        return local.pop() or 1, languages
    if first in MULTIPLES:
        return MULTIPLES[first], languages
    if any(first in multiples for multiples in LOCAL_MULTIPLES.values()):
        raise _refuse(field, text, f"of several languages, in which {first!r} is another number")
    raise reject(field, "is a whole number", text)


def _find_counted(text: str) -> str | None:
    """Return the word that says what was counted, "" where there is none, or None."""
    for particle in ("", *PARTICLES):
        word = text.removeprefix(particle)
        if not word or word in _LANGUAGES:
            return word
    return None


def _read_joined(text: str) -> tuple[Decimal | None, int]:
    """Read 1億2000万 at the beginning of ``text``, and return where it ends."""
    total, at, least = Decimal(0), 0, 10**16
    while part := _JOINED.match(text, at):
        multiple = math.prod(JOINED_MULTIPLES.get(mark, 1) for mark in part[2])
        multiple *= math.prod(SMALL_JOINED.get(mark, 1) for mark in part[2])
        if multiple >= least:
            return None, 0
        total += Decimal(part[1].replace(",", "")) * multiple
        at, least = part.end(), multiple
    if at and (rest := _REST.match(text, at)):
        total, at = total + int(rest[1]), rest.end()
    return (total, at) if at else (None, 0)


def _read_amount(
    digits: str, times: int, languages: frozenset[str], text: str, field: str
) -> Decimal | float:
    """Return the number before words.

    Raises:
        RowRejected: it is none, or may be two.
    """
    comma = _COMMA.fullmatch(digits)
    if times > 1 and comma is not None:
        if len(comma[1]) == 3:
            raise _refuse(field, text, "thousands, or a number with a fraction")
        return _to_decimal(digits)
    if _THOUSAND_OR_ONE.fullmatch(digits) and (times == 1 or digits.endswith(".000")):
        if times > 1 or not languages or not languages.isdisjoint(POINTED):
            raise _refuse(field, text, "thousands, or a number with a fraction")
        digits = digits.replace(".", "")
    number = _read_number(digits)
    if number is None:
        raise reject(field, "is a whole number", text)
    return number


def _read_number(text: str) -> Decimal | float | None:
    """Return the number that ``text`` is, or None where it is none or may be two."""
    if _GROUPED.fullmatch(text) or _INDIAN.fullmatch(text):
        text = re.sub(r"[, '’_]", "", text)
    elif _GROUPED_BY_DOTS.fullmatch(text):
        text = text.replace(".", "").replace(" ", "").replace(",", ".")
    if text.casefold() in {"inf", "-inf", "+inf", "infinity", "-infinity", "nan"}:
        return float(text)
    if not _PLAIN.fullmatch(text):
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if abs(number.adjusted()) < 400 else float(text)


def _read_duration(text: str, field: str, unit: InUnit) -> float | Decimal | None:
    if len(text) > MAX_SPELLING_LENGTH:
        raise reject(field, "is a length in seconds", text)
    plain = fold(text).lstrip("'").casefold()
    if (label := _LABELLED.match(plain)) is not None:
        plain = plain[label.end() :]
    if plain == _LIVE:
        return None
    if days := _DAYS.fullmatch(plain):
        more = _read_clock(days[2], field, _SECONDS) if days[2] else Decimal(0)
        return int(days[1]) * _DAY + more
    if _CLOCK.fullmatch(plain):
        return _read_clock(plain, field, unit)
    if (iso := _ISO_DURATION.fullmatch(plain)) and any(iso.groups()):
        parts = zip(("w", "d", "h", "m", "s"), iso.groups(), strict=True)
        return sum((UNITS[unit] * _to_decimal(part) for unit, part in parts), Decimal(0))
    number: Decimal | float | None
    if (comma := _COMMA.fullmatch(plain)) is not None and unit.seconds >= 1:
        # 61,5 has a fraction; 1,500 may be a thousand and a half, or one and a half.
        if len(comma[1]) == 3:
            raise _refuse(field, text, "thousands, or a number with a fraction")
        number = _to_decimal(plain)
    else:
        number = _read_number(plain)
    if number is None:
        return _read_units(plain, field)
    if unit is _SECONDS and isinstance(number, Decimal):
        _require_seconds(float(number), field)
    return number * unit.seconds if isinstance(number, Decimal) else number


def _read_clock(text: str, field: str, unit: InUnit) -> Decimal:
    """Read hours, minutes and seconds; of two numbers a word or the column says which they are."""
    if (clock := _CLOCK.fullmatch(text)) is None or (clock[4] and clock[4] not in UNITS):
        raise reject(field, "is hours, minutes and seconds", text)
    hours, minutes, seconds = (_to_decimal(part) for part in clock.groups()[:3])
    first = UNITS.get(clock[4] or "", max(unit.seconds, Decimal(60)))
    if seconds >= 60 or (clock[1] and minutes >= 60) or first not in _CLOCK_UNITS:
        raise reject(field, "is hours, minutes and seconds", text)
    if clock[1]:
        return (hours * 60 + minutes) * 60 + seconds
    if not unit.told and not clock[4]:
        raise _refuse(field, text, "hours and minutes, or minutes and seconds")
    return minutes * first + seconds * first / 60


def _read_units(text: str, field: str) -> Decimal:
    """Read ``1h 2m 3s``, ``4 minutes, 13 seconds``: each unit once, the largest first."""
    total, at, least = Decimal(0), 0, Decimal("Infinity")
    while part := _UNIT.match(text, at):
        unit = UNITS.get(part[2])
        if unit is None or unit >= least:
            break
        number = part[1].replace(" ", "")
        if _COMMA_OF_THOUSANDS.fullmatch(number):
            if unit >= 1 and number.count(",") == 1:
                raise _refuse(field, text, "thousands, or a number with a fraction")
            number = number.replace(",", "")
        total += _to_decimal(number) * unit
        at, least = part.end(), unit
        if (rest := _NEXT_UNIT.fullmatch(text, at)) and unit in _CLOCK_UNITS:
            return total + int(rest[1]) * unit / 60
        at = found.end() if (found := _AND.match(text, at)) else at
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
