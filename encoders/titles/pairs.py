"""Parallel text from files: lines in any language, and what they mean in English."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from twinlens.catalog.errors import SourceError


class Pair(NamedTuple):
    """``source`` in some language, and the same in ``english``; ``language`` may be empty."""

    source: str
    english: str
    language: str


def read_pairs(path: Path) -> Iterator[Pair]:
    """Yield the pairs in ``path``: JSON Lines if it is called ``.jsonl``, else tab-separated.

    A line of JSON is an object with ``source``, ``english`` and maybe ``language``. A line of TSV
    has the same two or three columns in this order, with no header and no quoting. Empty lines
    are passed over.

    Raises:
        SourceError: the file can't be read, or a line is not such a pair; with its number.
    """
    parse = _from_json if path.suffix == ".jsonl" else _from_tsv
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                try:
                    pair = Pair(*(part.strip() for part in parse(line.decode("utf-8"))))
                    if not pair.source or not pair.english:
                        raise ValueError(f"{'english' if pair.source else 'source'} is empty")
                    "".join(pair).encode()
                except ValueError as error:
                    raise SourceError(f"{path}, line {number}: {_explain(error)}") from error
                yield pair
    except OSError as error:
        raise SourceError(f"{path} can't be read: {error.strerror}") from error


def _from_json(line: str) -> Pair:
    row: Any = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError("no JSON object")  # noqa: TRY004  # a bad line, not a bad call
    values = [row.get("source"), row.get("english"), row.get("language", "")]
    for name, value in zip(Pair._fields, values, strict=True):
        if not isinstance(value, str):
            raise ValueError(  # noqa: TRY004
                f"{name} is missing" if value is None else f"{name} is no text"
            )
    return Pair(*values)


def _from_tsv(line: str) -> Pair:
    columns = line.rstrip("\r\n").split("\t")
    if len(columns) not in (2, 3):
        raise ValueError(f"{len(columns)} column(s); 2 or 3 are needed: source, English, language")
    return Pair(columns[0], columns[1], columns[2] if len(columns) == 3 else "")


def _explain(error: ValueError) -> str:
    if isinstance(error, UnicodeDecodeError):
        return "no UTF-8"
    if isinstance(error, UnicodeEncodeError):
        return "half a surrogate pair"
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON: {error.msg}"
    return str(error)
