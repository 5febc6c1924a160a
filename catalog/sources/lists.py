"""Parse the cells of several texts, such as tags, from lists and from what programs print."""

from __future__ import annotations

import csv
import html
import re
from collections.abc import Mapping, Sequence
from html.entities import html5
from typing import Final

from twinlens.catalog.errors import RejectReason, RowRejected
from twinlens.catalog.sources.printed import MAX_LENGTH, read_beginning, read_list
from twinlens.catalog.sources.values import (
    NO_VALUE,
    is_no_value,
    parse_text,
    quote,
    reject,
    to_text,
    unwrap,
)

MAX_TEXTS: Final = 1_000
# What stands for the rest of a list that was shortened.
_CUT: Final = frozenset({"...", "…", "[...]", "etc.", "etc"})
_ODD: Final = NO_VALUE | _CUT
_HASHTAG: Final = re.compile(r"[#＃](?=[^\s#＃])")
_HASHTAGS: Final = re.compile(r"[#＃][^\s,;|]+(?:[\s,;|]+[#＃][^\s,;|]+)*")
_SEPARATORS: Final = ("|", ";", ",", "；", "，", "、", "،", "\t")
_ENTITY: Final = re.compile(r"&(?:#\d{1,7}|#x[\da-f]{1,6}|(\w{2,31}));", re.IGNORECASE)
_FIRST_QUOTED: Final = re.compile(r"""\s*(["'])(?:(?!\1).)*\1\s*([|;,])""")
_BULLET: Final = re.compile(r"\s*[-*•·–]\s+")
# How a list begins that was printed; one that can't be read was cut off, or has wrong quotes.
_BROKEN: Final = re.compile(r"""[\[{]\s*(?:[bu]?["']|[{(])""")
# 0:00 before the title of a chapter, as descriptions list them.
_BEGIN: Final = re.compile(r"[\s(\[]*(?:\d{1,2}:)?\d{1,3}:\d{2}[\s)\]]*(?:[-–—:|]\s+)?")
# Fields whose texts are sentences: each stands on a line of its own.
_LINES: Final = frozenset({"chapters"})


def parse_texts(value: object, *, field: str) -> tuple[str, ...]:
    """Texts in their order, each once, such as tags, from a list or from text.

    Text may be a list as JSON, Python, NumPy or PostgreSQL writes it, texts separated by ``|``,
    ``;``, ``,`` or line ends, or hashtags. An object in a list gives its label or name.

    Raises:
        RowRejected: not a list of texts, too many, or a text that can't be used; the others are the
            error's ``kept``.
    """
    if isinstance(value, Mapping):
        value = unwrap(value)
    if isinstance(value, str | bytes):
        value = _split(to_text(value, field), field)
    if value is None:
        return ()
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list | tuple):
        raise reject(field, "is a list or text", value)
    texts: dict[str, None] = {}
    bad: list[tuple[int, RowRejected]] = []
    for number, item in enumerate(value[:MAX_TEXTS], start=1):
        if item is None or item != item:
            continue
        try:
            text = parse_text(item, field=field)
            if text in _ODD:
                if text in _CUT:
                    raise reject(field, "are all there", text)
                text = None
        except RowRejected as error:
            bad.append((number, error))
        else:
            if text is not None:
                texts[text] = None
    kept = tuple(texts)
    if len(value) > MAX_TEXTS:
        raise RowRejected(
            RejectReason.BAD_VALUE, f"{len(value)} {field}; at most {MAX_TEXTS} are taken", kept
        )
    if bad:
        number, first = bad[0]
        more = f"; {len(bad)} such" if len(bad) > 1 else ""
        raise RowRejected(first.reason, f"number {number} of {field}: {first.detail}{more}", kept)
    return kept


def _split(text: str, field: str) -> Sequence[object] | None:
    text = text.strip()
    # Kaggle's trending sets write "[none]" for a video without tags.
    if is_no_value(text) or text.casefold() == "[none]":
        return None
    if len(text) > MAX_LENGTH:
        raise RowRejected(
            RejectReason.BAD_VALUE,
            f"{field} have {len(text)} characters; at most {MAX_LENGTH} are taken",
        )
    if (listed := read_list(text, field)) is not None:
        return listed
    if _BROKEN.match(text) is not None:
        raise RowRejected(
            RejectReason.BAD_VALUE, f"{field}: {quote(text)} is no whole list", read_beginning(text)
        )
    if "&" in text:
        text = _ENTITY.sub(_read_entity, text)
    if "#" in text or "＃" in text:
        if _HASHTAGS.fullmatch(text):
            return [tag for tag in map(str.strip, _split_hashtags(text)) if tag]
        if len(_HASHTAG.findall(text)) > 1 and not any(mark in text for mark in _SEPARATORS):
            raise reject(field, "is a list, or hashtags alone", text)
    if "\n" in text or "\r" in text:
        lines = [_BULLET.sub("", line, count=1) for line in re.split(r"(?<!,)[\r\n]+", text)]
        if field in _LINES:
            return [_BEGIN.sub("", line, count=1) for line in lines]
        return [part for line in lines for part in _split_line(line)]
    return _split_line(text)


def _split_hashtags(text: str) -> list[str]:
    parts = (word for word in re.split(r"[\s,;|]+", text) if word)
    return [tag for word in parts for tag in _HASHTAG.split(word)]


def _split_line(text: str) -> list[str]:
    """Return what stands between separators, outside of quotes and not after a backslash."""
    separator = None
    for mark in _SEPARATORS:
        if mark in text:
            separator = mark
            break
    if '"' not in text and "'" not in text and "\\" not in text:
        return [text] if separator is None else text.split(separator)
    if separator is None:
        return [_unquote(text)]
    if (first := _FIRST_QUOTED.match(text)) is not None:
        separator = first[2]
    for mark in ('"', "'"):
        if text[0] == mark or f"{separator}{mark}" in text or f"{separator} {mark}" in text:
            try:
                (parts,) = csv.reader(
                    [text.replace("\n", " ")],
                    delimiter=separator,
                    quotechar=mark,
                    skipinitialspace=True,
                    strict=True,
                )
            except (csv.Error, ValueError):
                continue
            return parts
    if f"\\{separator}" in text:
        parts = re.split(rf"(?<!\\){re.escape(separator)}", text)
        return [_unquote(part.replace(f"\\{separator}", separator)) for part in parts]
    return [_unquote(part) for part in text.split(separator)]


def _unquote(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    return text


def _read_entity(found: re.Match[str]) -> str:
    name = found[1]
    return html.unescape(found[0]) if name is None or f"{name};" in html5 else found[0]
