"""Parse one cell, of whatever type a source gives, into the value of a field.

Every function returns None (or an empty tuple) for an absent value, and raises ``RowRejected``
for one that can't be used.
"""

from __future__ import annotations

import ast
import base64
import binascii
import json
import math
import os
import re
import unicodedata
import warnings
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final

from twinlens.catalog.errors import PictureRejected, RejectReason, RowRejected
from twinlens.catalog.video import MAX_VIDEO_ID_LENGTH

MAX_TEXT_LENGTH: Final = 20_000
MAX_TEXTS: Final = 1_000
MAX_INTEGER: Final = 2**63 - 1

_UNUSABLE_IN_IDS: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_WEB_URL: Final = re.compile(r"https?://[^\s/?#]", re.IGNORECASE)
_GROUPED_DIGITS: Final = re.compile(r"\d{1,3}(,\d{3})+")
_CLOCK: Final = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{2}(?:\.\d+)?)")
_ISO_DURATION: Final = re.compile(
    r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?", re.IGNORECASE
)
_COMPACT_DATE: Final = range(1900_01_01, 2101_01_01)
# Epoch seconds of a date that a video can have stay below this until the year 5138.
_FIRST_EPOCH_MS: Final = 100_000_000_000
# How JPEG, PNG, GIF and WebP begin once base64 encoded.
_BASE64_PICTURE: Final = ("/9j/", "iVBORw0KGgo", "R0lGOD", "UklGR")
_BASE64_MIN_LENGTH: Final = 64


def parse_id(value: object) -> str:
    """Return a video id: 1 to 256 characters, no ``/``, no control character, not ``.`` or ``..``.

    Anything else goes, in any script: an id stands percent-encoded in a URL's path and must come
    back as it was. Whitespace around it is dropped; an integer is written in decimal digits.

    Raises:
        RowRejected: absent, too long, or not such an id.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if value is None or (isinstance(value, float) and math.isnan(value)):
        raise RowRejected(RejectReason.ID_MISSING, "the id is empty")
    if isinstance(value, bool) or not isinstance(value, int | str | bytes):
        raise RowRejected(
            RejectReason.ID_INVALID, f"an id is text or an integer, not {_quote(value)}"
        )
    video_id = _to_digits(value) if isinstance(value, int) else _to_text(value, "video_id").strip()
    if not video_id:
        raise RowRejected(RejectReason.ID_MISSING, "the id is empty")
    if len(video_id) > MAX_VIDEO_ID_LENGTH:
        raise RowRejected(
            RejectReason.ID_TOO_LONG,
            f"the id has {len(video_id)} characters; at most {MAX_VIDEO_ID_LENGTH} are taken",
        )
    if (
        "/" in video_id
        or video_id in {".", ".."}
        or any(unicodedata.category(character) in _UNUSABLE_IN_IDS for character in video_id)
    ):
        raise RowRejected(
            RejectReason.ID_INVALID,
            f"{_quote(video_id)}: an id can't hold '/' or control characters, nor be '.' or '..'",
        )
    return video_id


def parse_text(value: object, *, field: str) -> str | None:
    """Return text without whitespace around it; a number is written out.

    Raises:
        RowRejected: not UTF-8, not a finite number, too long, holding NUL, or no text at all.
    """
    if value is None:
        return None
    if isinstance(value, bool):
        raise _reject(field, "is text", value)
    if isinstance(value, int):
        return _to_digits(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise RowRejected(RejectReason.NOT_A_NUMBER, f"{field} is {value}")
        return _to_digits(int(value)) if value.is_integer() else repr(value)
    if not isinstance(value, str | bytes):
        raise _reject(field, "is text", value)
    text = _to_text(value, field).strip()
    if len(text) > MAX_TEXT_LENGTH:
        raise RowRejected(
            RejectReason.BAD_VALUE,
            f"{field} has {len(text)} characters; at most {MAX_TEXT_LENGTH} are taken",
        )
    return text or None


def parse_url(value: object, *, field: str) -> str | None:
    """Parse a web address.

    Raises:
        RowRejected: not text, or not http or https (a ``javascript:`` link must not reach a page).
    """
    text = parse_text(value, field=field)
    if text is not None and not is_web_url(text):
        raise _reject(field, "begins with http:// or https://", text)
    return text


def is_web_url(text: str) -> bool:
    """Return whether ``text`` is an http or https address."""
    return _WEB_URL.match(text) is not None


def parse_texts(value: object, *, field: str) -> tuple[str, ...]:
    """Texts in their order, each once, such as tags, from a list or from text.

    Text may be a JSON list, a Python list, or texts separated by ``|``, ``;`` or ``,``.

    Raises:
        RowRejected: not a list of texts, too many, or a text that can't be used.
    """
    if isinstance(value, str | bytes):
        value = _split_texts(_to_text(value, field), field)
    if value is None:
        return ()
    if not isinstance(value, Sequence):
        raise _reject(field, "is a list or text", value)
    if len(value) > MAX_TEXTS:
        raise RowRejected(
            RejectReason.BAD_VALUE, f"{len(value)} {field}; at most {MAX_TEXTS} are taken"
        )
    texts = (parse_text(item, field=field) for item in value)
    return tuple(dict.fromkeys(text for text in texts if text is not None))


def parse_date(value: object, *, field: str) -> datetime | None:
    """Return the moment in UTC: of ISO 8601 (UTC if it names no zone), ``YYYYMMDD`` or Unix time.

    Raises:
        RowRejected: not a date, or one that no calendar in UTC has.
    """
    if isinstance(value, str | bytes):
        value = parse_text(value, field=field)
    if value is None:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        raise RowRejected(RejectReason.NOT_A_NUMBER, f"{field} is {value}")
    try:
        match value:
            case bool():
                raise _reject(field, "is a date", value)
            case str():
                moment = datetime.fromisoformat(value)
            case int() if value in _COMPACT_DATE:
                moment = datetime.fromisoformat(str(value))
            case int() | float():
                seconds = value / 1000 if value >= _FIRST_EPOCH_MS else value
                moment = datetime.fromtimestamp(seconds, UTC)
            case datetime():
                moment = value
            case date():
                moment = datetime.combine(value, time(), UTC)
            case _:
                raise _reject(field, "is a date", value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise _reject(field, "is a date such as 2026-11-21T08:30:00Z", value) from error


def parse_duration(value: object, *, field: str) -> float | None:
    """Return seconds, from a number, ``4:13``, ``1:02:03`` or ISO 8601 (``PT4M13S``).

    Raises:
        RowRejected: not a duration, negative, or not finite.
    """
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, str | bytes):
        text = parse_text(value, field=field)
        if text is None:
            return None
        if clock := _CLOCK.fullmatch(text):
            hours, minutes, seconds = clock.groups()
            return _require_not_negative(
                _to_float(hours) * 3600 + _to_float(minutes) * 60 + _to_float(seconds), field
            )
        if (iso := _ISO_DURATION.fullmatch(text)) and any(iso.groups()):
            days, hours, minutes, seconds = iso.groups()
            whole = (_to_float(days) * 24 + _to_float(hours)) * 60 + _to_float(minutes)
            return _require_not_negative(whole * 60 + _to_float(seconds), field)
        value = _parse_number(text, field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _reject(field, "is a number of seconds", value)
    return _require_not_negative(value, field)


def parse_count(value: object, *, field: str) -> int | None:
    """Return a whole number from 0 to 2**63 - 1, from a number or its text (``1,234`` too).

    Raises:
        RowRejected: not such a number.
    """
    if isinstance(value, str | bytes):
        text = parse_text(value, field=field)
        value = None if text is None else _parse_number(text, field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _reject(field, "is a whole number", value)
    _require_not_negative(value, field)
    if value > MAX_INTEGER or value != int(value):
        raise _reject(field, f"is a whole number, at most {MAX_INTEGER}", value)
    return int(value)


def parse_picture(
    value: object, *, folder: Path | None, root: Path | None
) -> bytes | Path | str | None:
    """Parse a picture cell: encoded bytes, the path of a file, or (as str) a web address.

    A cell is bytes; a mapping of ``bytes`` and ``path`` as Hugging Face writes pictures; or text:
    an address, base64 (with or without ``data:``), or a path that starts at ``folder``.

    Raises:
        PictureRejected: a path that leaves ``root``, bad base64, or nothing of these.
    """
    if isinstance(value, Mapping):
        content = value.get("bytes")
        if content is None:
            return parse_picture(value.get("path"), folder=folder, root=root)
        return _from_base64(content) if isinstance(content, str) else _to_bytes(content)
    if value is None:
        return None
    if not isinstance(value, str):
        return _to_bytes(value)
    text = _to_text(value, "thumbnail").strip()
    if not text:
        return None
    if is_web_url(text):
        return text
    if text[:5].casefold() == "data:":
        return _from_base64(text.partition(",")[2])
    if len(text) >= _BASE64_MIN_LENGTH and text.startswith(_BASE64_PICTURE):
        return _from_base64(text)
    if folder is None or root is None:
        raise PictureRejected(
            RejectReason.PICTURE_MISSING, f"{_quote(text)} names a file, but there is no folder"
        )
    if "\0" in text:
        raise PictureRejected(RejectReason.PICTURE_MISSING, f"{_quote(text)} names no file")
    # By the names alone: a link that the owner put into the folder may lead elsewhere (the hub's
    # cache is made of them), a text in a row may not.
    path = Path(os.path.normpath(folder / text))
    if not path.is_relative_to(root):
        raise PictureRejected(
            RejectReason.PICTURE_MISSING, f"{_quote(text)} lies outside the source's folder {root}"
        )
    return path


def _to_bytes(value: object) -> bytes:
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise PictureRejected(
        RejectReason.PICTURE_UNREADABLE, f"a picture is bytes or a path, not {_quote(value)}"
    )


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise PictureRejected(RejectReason.PICTURE_UNREADABLE, f"not base64: {error}") from error


def _split_texts(text: str, field: str) -> object:
    text = text.strip()
    # Kaggle's trending sets write "[none]" for a video without tags.
    if not text or text.casefold() in {"[none]", "none", "null"}:
        return None
    if len(text) > MAX_TEXT_LENGTH:
        raise RowRejected(
            RejectReason.BAD_VALUE,
            f"{field} have {len(text)} characters; at most {MAX_TEXT_LENGTH} are taken",
        )
    if text.startswith(("[", "(")):
        for read in (json.loads, _parse_literal):
            try:
                parsed = read(text)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
            if isinstance(parsed, list | tuple):
                return parsed
    separator = next((mark for mark in "|;," if mark in text), ",")
    return [part.strip().strip('"') for part in text.split(separator)]


def _parse_literal(text: str) -> object:
    if "\\" not in text:
        return ast.literal_eval(text)
    with warnings.catch_warnings():
        # "\d" in somebody's tag is no business of this program's user.
        warnings.simplefilter("ignore")
        return ast.literal_eval(text)


def _parse_number(text: str, field: str) -> int | float:
    if _GROUPED_DIGITS.fullmatch(text):
        text = text.replace(",", "")
    if "_" not in text:
        for read in (int, float):
            try:
                return read(text)
            except (ValueError, OverflowError):
                continue
    raise _reject(field, "is a number", text)


def _require_not_negative(value: float, field: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise RowRejected(RejectReason.NOT_A_NUMBER, f"{field} is {_quote(value)}")
    if number < 0:
        raise _reject(field, "is not negative", value)
    return number


def _to_float(text: str | None) -> float:
    return float(text) if text else 0.0


def _to_digits(number: int) -> str:
    try:
        return str(number)
    except ValueError as error:
        raise RowRejected(RejectReason.BAD_VALUE, "a number of thousands of digits") from error


def _to_text(value: str | bytes, field: str) -> str:
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            raise RowRejected(RejectReason.NOT_UTF8, f"{field} is not UTF-8: {error}") from error
    if not is_utf8(value):
        raise RowRejected(
            RejectReason.NOT_UTF8, f"{field} holds half a surrogate pair: {_quote(value)}"
        )
    if "\0" in value and field not in {"video_id", "thumbnail"}:
        raise RowRejected(RejectReason.BAD_VALUE, f"{field} holds a NUL: {_quote(value)}")
    return value


def is_utf8(text: str) -> bool:
    """Return whether ``text`` can be written as UTF-8: no half of a surrogate pair in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _reject(field: str, rule: str, value: object) -> RowRejected:
    return RowRejected(RejectReason.BAD_VALUE, f"{field} {rule}; {_quote(value)} is not")


def _quote(value: object) -> str:
    """``value`` short enough for one line of a message."""
    try:
        text = repr(value)
    except ValueError:
        text = f"a {type(value).__name__} of thousands of digits"
    return text if len(text) <= 80 else f"{text[:77]}..."
