"""Parse one cell, of whatever type a source gives, into an id, a text or an address.

Every function returns None (or an empty tuple) for an absent value, and raises ``RowRejected``
for one that can't be used. Numbers, dates, lists and pictures have modules of their own.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

from twinlens.catalog.errors import RejectReason, RowRejected
from twinlens.catalog.video import MAX_VIDEO_ID_LENGTH

MAX_TEXT_LENGTH: Final = 20_000
# Of a number, a length or a date: patterns that look for one may take its square in time.
MAX_SPELLING_LENGTH: Final = 120
MAX_INTEGER: Final = 2**63 - 1

# What programs write for nothing. Exactly these: "na" is the code of a language.
NO_VALUE: Final = frozenset(
    {"", "-", "--", "–", "—", "\\N", "N/A", "n/a", "NA", "#N/A", "<NA>", "NULL", "Null", "null"}
    | {"(null)", "NONE", "None", "none", "NaN", "nan", "NAN", "NaT", "nat", "undefined", "[none]"}
    | {"#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NULL!", "#NUM!"}
    | {"0000-00-00", "0000-00-00 00:00:00", "0000-00-00T00:00:00", "0000-00-00T00:00:00Z"}
)
_LONGEST_MARK: Final = max(map(len, NO_VALUE))
# An id may be a dash or a word; of the marks only those that nobody makes up.
_NO_ID: Final = frozenset(
    {"", "\\N", "NaN", "nan", "NaT", "NULL", "null", "None", "<NA>", "N/A", "#N/A"}
    | {"#REF!", "#VALUE!", "#NAME?"}
)

#: Keys of an object whose value stands for it, the best first.
LABEL_KEYS: Final = (
    *("label", "displayName", "display_name", "name", "title", "text", "simpleText", "full_name"),
    *("value", "tag", "term", "username", "#text", "_"),
)
#: Keys under which exports of databases wrap one value, each alone in its object: those of MongoDB,
#: Firestore and DynamoDB.
WRAPPERS: Final = frozenset(
    {"$oid", "$numberLong", "$numberInt", "$numberDouble", "$numberDecimal", "$uuid", "S", "N"}
    | {"stringValue", "integerValue", "doubleValue", "timestampValue", "arrayValue", "L", "SS"}
)
#: The same where a code is wanted, as of a language.
CODE_KEYS: Final = ("code", "id", "iso", *LABEL_KEYS)

_UNUSABLE_IN_IDS: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_ID_KEYS: Final = ("videoId", "video_id", "id", "value")
# As spreadsheets and data frames show a number of many digits: the rest of them is lost.
_ROUNDED: Final = re.compile(r"\d(?:[.,]\d+)?e\+\d{2,}", re.IGNORECASE)
_MOST_EXACT: Final = 2**53
_WEB_URL: Final = re.compile(r"https?://[^\s/?#]", re.IGNORECASE)
_SEVERAL: Final = re.compile(r"[\s,;|]https?://", re.IGNORECASE)
# What a browser's address bar takes, too.
_NO_SCHEME: Final = re.compile(
    r"//[^\s/?#]|(?:www\.[\w-]+|(?:[\w-]+\.)+[a-z]{2,})(?:\.[\w-]+)*(?::\d+)?/\S|www\.[\w.-]+$",
    re.IGNORECASE,
)
# How spreadsheets, Markdown and HTML write a link: its address, then its text where it has one.
_LINKS: Final = tuple(
    re.compile(form, re.IGNORECASE | re.DOTALL)
    for form in (
        r'=(?:HYPERLINK|IMAGE)\(\s*"(?P<url>(?:[^"]|"")*)"'
        r'(?:\s*[,;]\s*"(?P<text>(?:[^"]|"")*)")?[^"]*\)',
        r"!?\[(?P<text>[^\]]*)\]\((?P<url>[^\s)]+)\)",
        r"""<a\s[^<>]*href=["'](?P<url>[^"'<>]+)["'][^<>]*>(?P<text>[^<>]*)</a>""",
        r"""<img\s[^<>]*src=["'](?P<url>[^"'<>]+)["'][^<>]*(?P<text>)>""",
    )
)
_FORMULA_TEXT: Final = re.compile(r'="((?:[^"]|"")*)"')
# Marks of direction and of a file's beginning, and quotes and separators that have plain ones.
_UNPLAIN: Final = {
    **dict.fromkeys((0xFEFF, 0x200B, 0x200E, 0x200F, *range(0x202A, 0x202F)), None),
    **dict.fromkeys(range(0x2066, 0x206A), None),
    **dict.fromkeys(map(ord, "’‘′"), "'"),
    **dict.fromkeys(map(ord, "”“″"), '"'),
    **dict.fromkeys(map(ord, "٬،"), ","),
    ord("٫"): ".",
}
_NOT_DIGITS: Final = ("<super>", "<sub>", "<fraction>", "<circle>")
_DEPTH: Final = 3


def is_no_value(value: object) -> bool:
    """Return whether a cell says that there is nothing: None, NaN, or text like ``N/A``."""
    if value is None:
        return True
    if type(value) is str:
        return len(value) <= 2 * _LONGEST_MARK and value.strip() in NO_VALUE
    if isinstance(value, float | Decimal):
        return math.isnan(value)
    return isinstance(value, list | tuple | dict) and not value


def parse_id(value: object) -> str:
    """Return a video id: 1 to 256 characters, no ``/``, no control character, not ``.`` or ``..``.

    Anything else goes, in any script: an id stands percent-encoded in a URL's path and must come
    back as it was. Whitespace around it is dropped; an integer is written in decimal digits. Of an
    object it is the ``videoId``, or the like.

    Raises:
        RowRejected: absent, too long, or not such an id.
    """
    if isinstance(value, dict):
        value = next((value[key] for key in _ID_KEYS if value.get(key) is not None), value)
        value = unwrap(value)
    video_id = value if type(value) is str and value.isascii() else _write_id(value)
    video_id = video_id.strip()
    if video_id in _NO_ID:
        raise RowRejected(RejectReason.ID_MISSING, "the id is empty")
    _require_exact(video_id, RejectReason.ID_INVALID)
    if len(video_id) > MAX_VIDEO_ID_LENGTH:
        raise RowRejected(
            RejectReason.ID_TOO_LONG,
            f"the id has {len(video_id)} characters; at most {MAX_VIDEO_ID_LENGTH} are taken",
        )
    if (
        "/" in video_id
        or video_id in {".", ".."}
        or (
            not (video_id.isascii() and video_id.isprintable())
            and any(unicodedata.category(character) in _UNUSABLE_IN_IDS for character in video_id)
        )
    ):
        raise RowRejected(
            RejectReason.ID_INVALID,
            f"{quote(video_id)}: an id can't hold '/' or control characters, nor be '.' or '..'",
        )
    return video_id


def _require_exact(text: str, reason: RejectReason) -> None:
    if "+" in text and _ROUNDED.fullmatch(text):
        raise RowRejected(
            reason, f"{quote(text)}: a spreadsheet dropped the id's last digits; write ids as text"
        )


def _write_id(value: object) -> str:
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        if isinstance(value, float) and abs(value) > _MOST_EXACT:
            _require_exact(f"{value:e}", RejectReason.ID_INVALID)
        value = int(value)
    if value is None or (isinstance(value, float | Decimal) and math.isnan(value)):
        raise RowRejected(RejectReason.ID_MISSING, "the id is empty")
    if isinstance(value, bool) or not isinstance(value, int | str | bytes):
        raise RowRejected(
            RejectReason.ID_INVALID, f"an id is text or an integer, not {quote(value)}"
        )
    if isinstance(value, int):
        return str(_to_digits(value))
    return to_text(value, "video_id")


def parse_text(value: object, *, field: str) -> str | None:
    """Return text without whitespace around it; a number is written out.

    An object gives its label or name, and a list of one thing that thing.

    Raises:
        RowRejected: not UTF-8, not a finite number, too long, holding NUL, or no text at all.
    """
    if type(value) is str and len(value) <= MAX_TEXT_LENGTH and value.isascii():
        if "\0" in value:
            raise RowRejected(RejectReason.BAD_VALUE, f"{field} holds a NUL: {quote(value)}")
        return value.strip() or None
    if isinstance(value, Mapping | list | tuple):
        value = find_label(value, field)
    if value is None:
        return None
    if isinstance(value, bool):
        raise reject(field, "is text", value)
    if isinstance(value, int):
        return _to_digits(value)
    if isinstance(value, float | Decimal):
        if not math.isfinite(value):
            raise RowRejected(RejectReason.NOT_A_NUMBER, f"{field} is {value}")
        return _to_digits(int(value)) if value == int(value) else str(value)
    if not isinstance(value, str | bytes):
        raise reject(field, "is text", value)
    text = to_text(value, field).strip()
    if len(text) > MAX_TEXT_LENGTH:
        raise RowRejected(
            RejectReason.BAD_VALUE,
            f"{field} has {len(text)} characters; at most {MAX_TEXT_LENGTH} are taken",
        )
    return text or None


def parse_code(value: object, *, field: str) -> str | None:
    """Return text as ``parse_text`` does, but of an object its code rather than its name.

    Raises:
        RowRejected: see ``parse_text``.
    """
    if isinstance(value, Mapping):
        value = find_label(value, field, CODE_KEYS)
    return parse_text(value, field=field)


def fold(text: str) -> str:
    """Return a number's, a length's or a date's text with plain digits, quotes and spaces.

    Raises:
        RowRejected: it has raised digits or the like: in plain ones 5² would be 52.
    """
    if text.isascii():
        return text.strip()
    text = text.translate(_UNPLAIN)
    if any(
        character.isnumeric() and unicodedata.decomposition(character).startswith(_NOT_DIGITS)
        for character in text
    ):
        raise RowRejected(RejectReason.BAD_VALUE, f"{quote(text)} has raised digits or the like")
    return unicodedata.normalize("NFKC", text).strip()


def strip_accents(text: str) -> str:
    """Return Latin text without accents; other scripts as they are, whose signs are letters."""
    parts = unicodedata.normalize("NFKD", text)
    if not all(part < "\u0370" or "\u1e00" <= part < "\u1f00" for part in parts):
        return text
    return "".join(part for part in parts if not unicodedata.combining(part))


def unwrap(value: object) -> object:
    """Return the value that a database's export has in an object of its own, else ``value``."""
    while isinstance(value, Mapping) and len(value) == 1:
        ((key, inner),) = value.items()
        if key not in WRAPPERS and not (key == "values" and isinstance(inner, list)):
            break
        value = inner
    return value


def find_link(text: str) -> tuple[str, str] | None:
    """Return address and text of a spreadsheet's, Markdown's or HTML's link, or None."""
    if text[:1] in {"=", "!", "[", "<"}:
        for form in _LINKS:
            if (found := form.fullmatch(text)) is not None:
                url, label = (
                    (part or "").replace('""', '"') for part in found.group("url", "text")
                )
                return url.strip(), label.strip() or url.strip()
    return None


def read_formula(text: str, *, address: bool) -> str:
    """Return what a cell such as ``="007"`` or ``=HYPERLINK("url", "text")`` shows, or its address.

    Any other text comes back as it is.
    """
    if (found := _FORMULA_TEXT.fullmatch(text)) is not None:
        return found[1].replace('""', '"')
    link = find_link(text)
    return text if link is None else link[0] if address else link[1]


def parse_key(value: object, *, field: str) -> str | None:
    """Return text as ``parse_text`` does, of an id that is not the video's.

    Raises:
        RowRejected: see ``parse_text``; or a spreadsheet has dropped its last digits.
    """
    if isinstance(value, float) and math.isfinite(value) and abs(value) > _MOST_EXACT:
        value = f"{value:e}"
    text = parse_text(value, field=field)
    if text is not None:
        _require_exact(text, RejectReason.BAD_VALUE)
    return text


def find_label(value: object, field: str, keys: Sequence[str] = LABEL_KEYS) -> object:
    """Return what stands for an object or a list of one: a text or a number, or None.

    Raises:
        RowRejected: that is not plain.
    """
    found = value
    for _ in range(_DEPTH):
        found = unwrap(found)
        if isinstance(found, list | tuple):
            if len(found) > 1:
                raise reject(field, "is one value", value)
            found = found[0] if found else None
        elif isinstance(found, Mapping):
            if isinstance(runs := found.get("runs"), list):
                return "".join(str(run.get("text", "")) for run in runs if isinstance(run, Mapping))
            if found.keys() == {"id", "label"} and found["id"] is None:
                return None  # PeerTube's "Unknown"
            known = [found[key] for key in keys if not is_no_value(found.get(key))]
            if found and not known:
                raise reject(field, "is text, or an object with a label or a name", value)
            found = known[0] if known else None
    if isinstance(found, Mapping | list | tuple):
        raise reject(field, "is text", value)
    return found


def parse_url(value: object, *, field: str) -> str | None:
    """Parse a web address; one that begins with ``www.``, ``//`` or a host gets ``https``.

    Raises:
        RowRejected: not text, or not http or https (a ``javascript:`` link must not reach a page).
    """
    if isinstance(value, Mapping):
        value = next((value[key] for key in ("url", "link", "href") if value.get(key)), value)
    text = parse_text(value, field=field)
    if text is None:
        return None
    if not is_web_url(text):
        if (link := find_link(text)) is not None:
            text = link[0]
        text = text.removeprefix("<").removesuffix(">").strip()
        if _NO_SCHEME.match(text):
            text = f"https://{text.lstrip('/')}"
    if not is_web_url(text):
        raise reject(field, "begins with http:// or https://", text)
    if text.count("://") > 1 and _SEVERAL.search(text):
        raise reject(field, "is one address", text)
    return text.replace("&amp;", "&")


def is_web_url(text: str) -> bool:
    """Return whether ``text`` is an http or https address."""
    return _WEB_URL.match(text) is not None


def _to_digits(number: int) -> str:
    try:
        return str(number)
    except ValueError as error:
        raise RowRejected(RejectReason.BAD_VALUE, "a number of thousands of digits") from error


def to_text(value: str | bytes, field: str) -> str:
    """Return ``value`` as text.

    Raises:
        RowRejected: it is no UTF-8, or holds a NUL.
    """
    if isinstance(value, bytes):
        try:
            value = value.decode()
        except UnicodeDecodeError as error:
            raise RowRejected(RejectReason.NOT_UTF8, f"{field} is not UTF-8: {error}") from error
    if not value.isascii() and not is_utf8(value):
        raise RowRejected(
            RejectReason.NOT_UTF8, f"{field} holds half a surrogate pair: {quote(value)}"
        )
    if "\0" in value and field not in {"video_id", "thumbnail"}:
        raise RowRejected(RejectReason.BAD_VALUE, f"{field} holds a NUL: {quote(value)}")
    return value


def guess_text(value: object) -> str | None:
    """Return a text with ``\N{REPLACEMENT CHARACTER}`` for what is no UTF-8 in it, and without NUL.

    None where that is not a third of it at most: it is in another encoding, then.
    """
    if isinstance(value, bytes):
        value = value.decode("utf-8", "surrogateescape")
    if not isinstance(value, str) or len(value) > MAX_TEXT_LENGTH:
        return None
    plain = value.replace("\0", "")
    text = "".join("\ufffd" if "\ud800" <= mark <= "\udfff" else mark for mark in plain).strip()
    bad = text.count("\ufffd")
    return text if text and 3 * bad <= len(text) else None


def is_utf8(text: str) -> bool:
    """Return whether ``text`` can be written as UTF-8: no half of a surrogate pair in it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def reject(field: str, rule: str, value: object) -> RowRejected:
    """Return what to raise of a value that is not what the rule says."""
    return RowRejected(RejectReason.BAD_VALUE, f"{field} {rule}; {quote(value)} is not")


def quote(value: object) -> str:
    """``value`` short enough for one line of a message."""
    try:
        text = str(value) if isinstance(value, Decimal) else repr(value)
    except ValueError:
        text = f"a {type(value).__name__} of thousands of digits"
    return text if len(text) <= 80 else f"{text[:77]}..."
