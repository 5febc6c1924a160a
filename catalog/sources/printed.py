"""Read lists and objects that programs printed into one cell of text: as JSON, Python, NumPy do."""

from __future__ import annotations

import ast
import json
import re
import warnings
from contextlib import suppress
from typing import Final

from twinlens.catalog.errors import RowRejected
from twinlens.catalog.sources.values import is_no_value, quote, reject

# Of an object with all sizes of a picture, or of a film's whole cast.
MAX_LENGTH: Final = 200_000

_ARRAY: Final = re.compile(
    r"(?:np\.|numpy\.)?(?:array|list|set|frozenset|Index|Series)\((.*?)(?:,\s*dtype=[^()]*)?\)",
    re.DOTALL,
)
# np.str_('a') and np.int64(1), as NumPy prints since its second version.
_SCALAR: Final = re.compile(r"\bnp\.(?:str_|int\d+|float\d+|bool_?)\(([^()]*)\)")
_BRACKETS: Final = {"[": "]", "(": ")", "{": "}"}
# What stands quoted or bare between commas or spaces, as Python, NumPy and PostgreSQL print it.
_QUOTED: Final = re.compile(r"""[bu]?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", re.DOTALL)
_BARE: Final = re.compile(r"[^\s,;'\"\[\](){}][^,;'\"\[\](){}]*")
_NUMBERS: Final = re.compile(r"[\d.\s]+")
_BETWEEN: Final = re.compile(r"[\s,;]*")
_PAIR: Final = re.compile(r":?\w+\s*(?:=>|=|:)")
# A word in round brackets is a word; what is an object is no list of words.
_IS_LIST: Final = {"[": re.compile(""), "{": re.compile(""), "(": re.compile("[,'\"]|^..$")}


def unprint(text: str) -> object:
    """Return the list or object that ``text`` is as JSON or Python writes it, else ``text``."""
    text = text.strip()
    if not text or text[0] not in "[{" or not text.endswith(_BRACKETS[text[0]]):
        return text
    if len(text) > MAX_LENGTH:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if "np." in text:
        text = _SCALAR.sub(r"\1", text)
    found: object = None
    if "{" in text:
        found = _read_literal(text)
    elif _QUOTED.match(inner := text[1:-1].lstrip()):
        # To Python's parser texts without commas between them are one text.
        with suppress(RowRejected):
            found = _read_words(inner, "")
    return found if isinstance(found, list | dict) else text


def is_printed(text: str) -> bool:
    """Return whether ``text`` looks like an object, or a list of some, that a program printed."""
    return "{" in text and text.strip().endswith(("}", "}]"))


def read_list(text: str, field: str) -> list[object] | None:
    """Return the parts of a list that was printed in brackets; None where ``text`` is no such list.

    Raises:
        RowRejected: an object, or a list of which a part was left out in printing.
    """
    if text[-1] == ")" and (array := _ARRAY.fullmatch(text)) is not None:
        text = array[1].strip()
        if is_no_value(text):  # as pandas prints an empty set
            return []
    if text[0] not in _BRACKETS or not text.endswith(_BRACKETS[text[0]]):
        return None
    parsed = unprint(text)
    if isinstance(parsed, list):
        return parsed
    if isinstance(parsed, dict):
        return [parsed] if parsed else []
    if not _IS_LIST[text[0]].search(text):
        return None
    inner = _SCALAR.sub(r"\1", text[1:-1])
    found = _read_words(inner, field)
    if (found is None and "{" in text) or (text[0] == "{" and _is_object(found)):
        raise reject(field, "is a list or text", text)
    return found


def read_beginning(text: str) -> tuple[str, ...]:
    """Return the quoted texts with which a printed list begins that was cut off after them."""
    found: dict[str, None] = {}
    at = _skip(text, 1)
    while (quoted := _QUOTED.match(text, at)) is not None:
        at = _skip(text, quoted.end())
        if at == quoted.end() < len(text):
            break
        found[str(_read_quoted(quoted[1])).strip()] = None
    return tuple(filter(None, found))


def _is_object(words: list[object] | None) -> bool:
    """Return whether these are keys with values, as Java and Ruby print an object."""
    return bool(words) and all(_PAIR.match(str(word)) for word in words or ())


def _read_words(text: str, field: str) -> list[object] | None:
    """Return what stands between the brackets of a printed list; None where it is no list.

    Read text by text: to Python's own parser texts without commas between them are one text.

    Raises:
        RowRejected: a part was left out in printing.
    """
    found: list[object] = []
    at = _skip(text, 0)
    quoted_any = False
    while at < len(text):
        if text.startswith("...", at):
            raise reject(field, "is printed whole", f"[{text}]")
        if quoted := _QUOTED.match(text, at):
            quoted_any = True
            found.append(_read_quoted(quoted[1]))
            at = quoted.end()
        elif bare := _BARE.match(text, at):
            word = bare[0].strip()
            if not quoted_any and _NUMBERS.fullmatch(word):
                found += word.split()
            elif not is_no_value(word):
                found.append(word)
            at = bare.end()
        else:
            return None
        at = _skip(text, at)
    if not found and text.strip(" ,"):
        raise reject(field, "is a list of texts", quote(text))
    return found


def _skip(text: str, at: int) -> int:
    found = _BETWEEN.match(text, at)
    return at if found is None else found.end()


def _read_quoted(text: str) -> object:
    found = _read_literal(text) if "\\" in text else None
    return text[1:-1] if found is None else found


def _read_literal(text: str) -> object:
    """Return what Python reads in ``text``, or None."""
    try:
        with warnings.catch_warnings():
            # "\d" in somebody's tag is no business of this program's user.
            warnings.simplefilter("ignore")
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
