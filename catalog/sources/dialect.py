"""How a CSV file is written: its encoding, its separator, its line ends and its quotes."""

from __future__ import annotations

import codecs
import io
import re
from dataclasses import dataclass
from typing import BinaryIO, Final, cast

import charset_normalizer

from twinlens.catalog.sources.lines import READ_ERRORS

_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DELIMITERS: Final = (",", ";", "\t", "|")
_SEP_LINE: Final = re.compile(r"\ufeff?\"?sep=(.)\"?\s*?(?:\r\n|\n|\r)", re.IGNORECASE)
_CHUNK: Final = 1 << 18
# So far a file is looked through for a letter beyond ASCII.
_MOST_CHUNKS: Final = 256
_WINDOWS: Final = "cp1252"


@dataclass(frozen=True, slots=True)
class Dialect:
    """What is to be known before a CSV can be read. ``remark`` is for a person, or empty."""

    encoding: str = "utf-8"
    delimiter: str = ","
    head_lines: int = 0
    ends_in_cr: bool = False
    backslashes: bool = False
    spaced: bool = False
    remark: str = ""

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
    text = head.decode(encoding, "replace").removeprefix("\ufeff")
    sep = _SEP_LINE.match(text)
    if sep is not None:
        text = text[sep.end() :]
    first_line = next((line for line in re.split(r"[\r\n]", text) if line.strip()), "")
    delimiter = sep[1] if sep is not None else _find_delimiter(first_line)
    quote_after = rf'\\"(?![{re.escape(delimiter)}\r\n"])'
    return Dialect(
        encoding=encoding,
        delimiter=delimiter,
        head_lines=0 if sep is None else 1,
        ends_in_cr="\r" in text and "\n" not in text,
        backslashes=re.search(quote_after, text) is not None and text[-2:] != '\\"',
        spaced=f'{delimiter} "' in text and f"{delimiter} " in first_line,
        remark=remark,
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
        beyond[:-4].decode()  # whose last letter may be cut in two
        return "utf-8", ""
    except UnicodeDecodeError as error:
        if error.end >= len(beyond) - 8:
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


def _find_delimiter(line: str) -> str:
    bare = re.sub(r'"[^"]*"', "", line)
    best = max(_DELIMITERS, key=bare.count)
    return best if bare.count(best) else ","


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
