"""How a CSV file is written: its encoding, its separator, its line ends and its quotes."""

from __future__ import annotations

import codecs
import csv
import io
import re
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

import charset_normalizer

from twinlens.catalog.sources.headers import ROWS_PEEKED, count_known, find_header
from twinlens.catalog.sources.lines import READ_ERRORS

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DELIMITERS: Final = (",", ";", "\t", "|")
_SEP_LINE: Final = re.compile(r"\ufeff?\"?sep=(.)\"?\s*?(?:\r\n|\n|\r)", re.IGNORECASE)
_QUOTED: Final = re.compile(r'"(?:[^"]|"")*"')
_CHUNK: Final = 1 << 18
# So far a file is looked through for a letter beyond ASCII.
_MOST_CHUNKS: Final = 256
_WINDOWS: Final = "cp1252"
# Of a line that may be the header so much is looked at.
_LONGEST_HEADER: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Dialect:
    """What is to be known before a CSV can be read. ``remarks`` are for a person.

    ``head_lines`` stand before its header. Of ``quoted`` cells quotes are no part; in the plainest
    files of tabs they are.
    """

    encoding: str = "utf-8"
    delimiter: str = ","
    head_lines: int = 0
    ends_in_cr: bool = False
    backslashes: bool = False
    spaced: bool = False
    quoted: bool = True
    remarks: tuple[str, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether its bytes can be split into lines as they are."""
        return self.encoding == "utf-8" and not self.ends_in_cr


def sniff(file: BinaryIO) -> Dialect:
    """Return the dialect of ``file``, by its beginning and its first letters beyond ASCII."""
    try:
        head = file.read(_CHUNK)
        beyond = head
        for _ in range(_MOST_CHUNKS):
            if not beyond or not beyond.isascii():
                break
            beyond = file.read(_CHUNK)
    except READ_ERRORS:
        return Dialect()
    encoding, remark = _find_encoding(head, beyond)
    remarks = [remark] if remark else []
    text = head.decode(encoding, "replace").removeprefix("\ufeff")
    sep = _SEP_LINE.match(text)
    if sep is not None:
        text = text[sep.end() :]
    ends_in_cr = "\r" in text and "\n" not in text
    lines = [line.rstrip("\r") for line in text.split("\r" if ends_in_cr else "\n")]
    before, delimiter = _find_header(lines, None if sep is None else sep[1])
    if before:
        remarks.append(f"read from line {before + 1} on, which names its columns")
    quote_after = rf'\\"(?![{re.escape(delimiter)}\r\n"])'
    return Dialect(
        encoding=encoding,
        delimiter=delimiter,
        head_lines=before + (sep is not None),
        ends_in_cr=ends_in_cr,
        backslashes=re.search(quote_after, text) is not None and text[-2:] != '\\"',
        spaced=f'{delimiter} "' in text and f"{delimiter} " in lines[before],
        quoted=delimiter != "\t" or not _has_literal_quotes(lines[before:-1] or lines),
        remarks=tuple(remarks),
    )


def _find_encoding(head: bytes, beyond: bytes) -> tuple[str, str]:
    """Return the encoding, and a remark where it is none that was asked for."""
    for bom, name in _BOMS:
        if head.startswith(bom):
            return name, ""
    # Every other byte of Latin text in UTF-16 is NUL.
    for start, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        if len(head) >= 8 and head[start:400:2].count(0) > 0.8 * len(head[start:400:2]):
            return name, ""
    try:
        beyond.decode()
        return "utf-8", ""
    except UnicodeDecodeError as error:
        if len(beyond) == _CHUNK and error.end >= len(beyond) - 4:  # a letter cut in two
            return "utf-8", ""
    letters = [letter for letter in beyond.decode("utf-8", "surrogateescape") if letter > "\x7f"]
    wrong = sum("\udc80" <= letter <= "\udcff" for letter in letters)
    if wrong < len(letters):  # one good letter is a sign of UTF-8
        return "utf-8", ""
    if charset_normalizer.from_bytes(beyond, cp_isolation=[_WINDOWS]).best() is not None:
        return _WINDOWS, "read as Windows-1252, by its letters: it is not UTF-8"
    guess = charset_normalizer.from_bytes(beyond).best()
    perhaps = f", perhaps {guess.encoding}" if guess is not None else ""
    return "utf-8", f"not UTF-8{perhaps}: save it as UTF-8 to have its rows read"


def _find_header(lines: list[str], separator: str | None) -> tuple[int, str]:
    """Return how many lines stand before the header, and what separates its cells."""
    first = [at for at, line in enumerate(lines) if line.strip()][:ROWS_PEEKED]
    if not first:
        return 0, separator or ","
    found: list[tuple[int, int, str]] = []
    for delimiter in (separator,) if separator is not None else _DELIMITERS:
        rows = [_split(lines[at][:_LONGEST_HEADER], delimiter) for at in first]
        header = find_header(rows)
        found.append((count_known(rows[header]), first[header], delimiter))
    best, at, delimiter = max(found, key=lambda one: one[0])
    if best < 2 and separator is None:
        delimiter = _find_delimiter(lines[at])
        at = next(where for _, where, other in found if other == delimiter)
    return (0 if at == first[0] else at), delimiter


def _split(line: str, delimiter: str) -> list[str]:
    try:
        return next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return [line]


def _find_delimiter(line: str) -> str:
    bare = re.sub(r'"[^"]*"', "", line)
    best = max(_DELIMITERS, key=bare.count)
    return best if bare.count(best) else ","


def _has_literal_quotes(lines: list[str]) -> bool:
    """Return whether lines of tabs are all of one width, though quotes of a cell stay open."""
    rows = [line.split("\t") for line in lines if line.strip()]
    return len({len(row) for row in rows}) == 1 and any(
        cell.startswith('"') and _QUOTED.fullmatch(cell) is None for row in rows for cell in row
    )


def recode(file: BinaryIO, dialect: Dialect) -> BinaryIO:
    """Return ``file`` as UTF-8 with lines that end in a line feed."""
    return cast("BinaryIO", io.BufferedReader(_Recoded(file, dialect), _CHUNK))


class _Recoded(io.RawIOBase):
    def __init__(self, file: BinaryIO, dialect: Dialect) -> None:
        self._file = file
        self._cr = dialect.ends_in_cr
        self._decoder = codecs.getincrementaldecoder(dialect.encoding)("replace")
        self._made = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        while not self._made:
            data = self._file.read(1 << 16)
            text = self._decoder.decode(data, final=not data)
            if not text and not data:
                return 0
            if self._cr:
                text = text.replace("\r", "\n")
            self._made = text.encode("utf-8", "surrogatepass")
        size = min(len(buffer), len(self._made))
        buffer[:size] = self._made[:size]
        self._made = self._made[size:]
        return size

    def close(self) -> None:
        self._file.close()
        super().close()
