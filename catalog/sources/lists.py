"""Parse the cells of several texts, such as tags, from lists and from what programs print."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Final

from twinlens.catalog.errors import RejectReason, RowRejected
from twinlens.catalog.sources.values import (
    MAX_TEXT_LENGTH,
    is_no_value,
    parse_text,
    quote,
    reject,
    to_text,
)

MAX_TEXTS: Final = 1_000
_ARRAY: Final = re.compile(
    r"(?:np\.|numpy\.)?(?:array|list|set|frozenset|Index)\((.*?)(?:,\s*dtype=[^()]*)?\)", re.DOTALL
)
_BRACKETS: Final = {"[": "]", "(": ")", "{": "}"}
# What stands quoted or bare between commas or spaces, as Python, NumPy and PostgreSQL print it.
_QUOTED: Final = re.compile(r"""[bu]?('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")""", re.DOTALL)
_BARE: Final = re.compile(r"[^\s,'\"\[\](){}][^,'\"\[\](){}]*")
_NUMBERS: Final = re.compile(r"[\d.\s]+")
_BETWEEN: Final = re.compile(r"[\s,]*")
_HASHTAGS: Final = re.compile(r"#[^\s#,;|]+(?:[\s,]+#[^\s#,;|]+)*")
_SEPARATORS: Final = ("|", ";", ",", "\n", "；", "，", "、")


def parse_texts(value: object, *, field: str) -> tuple[str, ...]:
    """Texts in their order, each once, such as tags, from a list or from text.

    Text may be a list as JSON, Python, NumPy or PostgreSQL writes it, texts separated by ``|``,
    ``;``, ``,`` or line ends, or hashtags. An object in a list gives its label or name.

    Raises:
        RowRejected: not a list of texts, too many, or a text that can't be used.
    """
    if isinstance(value, str | bytes):
        value = _split(to_text(value, field), field)
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        value = [value] if isinstance(value, Mapping) else value
    if not isinstance(value, list | tuple | Sequence):
        raise reject(field, "is a list or text", value)
    if len(value) > MAX_TEXTS:
        raise RowRejected(
            RejectReason.BAD_VALUE, f"{len(value)} {field}; at most {MAX_TEXTS} are taken"
        )
    texts = (parse_text(item, field=field) for item in value if item is not None and item == item)
    return tuple(dict.fromkeys(text for text in texts if text is not None))


def _split(text: str, field: str) -> Sequence[object] | None:
    text = text.strip()
    # Kaggle's trending sets write "[none]" for a video without tags.
    if is_no_value(text) or text.casefold() == "[none]":
        return None
    if len(text) > MAX_TEXT_LENGTH:
        raise RowRejected(
            RejectReason.BAD_VALUE,
            f"{field} have {len(text)} characters; at most {MAX_TEXT_LENGTH} are taken",
        )
    if array := _ARRAY.fullmatch(text):
        text = array[1].strip()
        if is_no_value(text):  # as pandas prints an empty set
            return None
    if text[0] in _BRACKETS and text.endswith(_BRACKETS[text[0]]):
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            parsed = _read_printed(text[1:-1], field)
        if parsed == {}:
            return None
        if isinstance(parsed, dict):
            raise reject(field, "is a list or text", text)
        if parsed is not None:
            return list(parsed)
    if _HASHTAGS.fullmatch(text):
        return re.findall(r"[^\s#,]+", text)
    separator = next((mark for mark in _SEPARATORS if mark in text), None)
    if separator is None:
        return [_unquote(text)]
    return [_unquote(part) for part in text.split(separator)]


def _unquote(text: str) -> str:
    text = text.strip()
    return text.strip('"') if text[:1] == '"' or text[-1:] == '"' else text


def _read_printed(text: str, field: str) -> list[object] | None:
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
            found.append(_read_literal(quoted[1]))
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


def _read_literal(text: str) -> object:
    if "\\" not in text:
        return text[1:-1]
    try:
        with warnings.catch_warnings():
            # "\d" in somebody's tag is no business of this program's user.
            warnings.simplefilter("ignore")
            return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text[1:-1]
