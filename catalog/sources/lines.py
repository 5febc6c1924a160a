"""Lines of a file that may be compressed, broken or endless, in bounded memory."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, cast

from twinlens.catalog.errors import SourceError

# What reading a damaged or vanishing file raises.
READ_ERRORS: Final = (OSError, EOFError, zlib.error)

_BOM: Final = b"\xef\xbb\xbf"


def open_binary(path: Path) -> BinaryIO:
    """Return the bytes of ``path``, decompressed where its name ends in ``.gz``.

    Raises:
        SourceError: the file can't be opened.
    """
    try:
        if path.suffix.casefold() == ".gz":
            return cast("BinaryIO", gzip.open(path, "rb"))
        return path.open("rb")
    except OSError as error:
        raise SourceError(f"{path}: {error.strerror or error}") from error


def read_lines(file: BinaryIO, *, max_bytes: int) -> Iterator[bytes | None]:
    """Yield every line, without its end and a byte order mark; None for one that is too long.

    Raises:
        OSError, EOFError, zlib.error: the file is damaged from here on.
    """
    first = True
    # Two more than the limit: room for the end of the line.
    while line := file.readline(max_bytes + 2):
        if first:
            line, first = line.removeprefix(_BOM), False
        text = line.removesuffix(b"\n").removesuffix(b"\r")
        if len(text) <= max_bytes:
            yield text
            continue
        while line and not line.endswith(b"\n"):
            line = file.readline(1 << 16)
        yield None
