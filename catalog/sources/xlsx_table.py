"""Sheets of Excel workbooks, row by row."""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import time
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Final

from twinlens.catalog.errors import RejectReason, SourceError
from twinlens.catalog.sources.headers import ROWS_PEEKED, find_header
from twinlens.catalog.sources.rows import BadRecord, Record
from twinlens.catalog.sources.tables import PlainTable

# A workbook is an archive; what is unpacked of it at once are its texts.
MAX_BYTES: Final = 2 * 1024**3
MAX_TEXT_BYTES: Final = 512 * 1024**2
MAX_MEMBERS: Final = 10_000
MAX_COLUMNS: Final = 2_000
_TEXTS: Final = "xl/sharedStrings.xml"


@dataclass(frozen=True, slots=True)
class XlsxTable(PlainTable):
    """One sheet of an ``.xlsx`` file. A row is one below the header; see ``find_header``.

    A length that Excel shows as 12:34 is read as it is shown. What a workbook says of its size is
    often wrong, so its rows are not counted by that.
    """

    ragged: ClassVar = False
    path: Path
    sheet: str

    def read_column_names(self) -> list[str]:
        """Return the cells of the header.

        Raises:
            SourceError: it is no workbook, or the sheet is empty or can't be read.
        """
        with _open(self.path) as book:
            try:
                header = self._find_header(book)[1]
            except Exception as error:  # of XML, zip and cells alike
                raise SourceError(
                    f"{self.path}, sheet {self.sheet!r} can't be read: {error}"
                ) from error
        if not header:
            raise SourceError(f"{self.path}, sheet {self.sheet!r} is empty")
        return [name for name in header if name]

    def read_remarks(self) -> list[str]:
        """Return how many rows stand before the header, if any do."""
        with _open(self.path) as book:
            before, header = self._find_header(book)
        told = f"{self.path.name}, sheet {self.sheet!r}: row {before + 1} names its columns"
        return [told] if before and header else []

    def read_records(self, columns: Collection[str]) -> Iterator[Record | BadRecord]:
        """Yield one record a row that is not empty."""
        row = 0
        try:
            with _open(self.path) as book:
                before, header = self._find_header(book)
                rows = self._iterate(book)
                filled = (cells for cells in rows if any(cell.value is not None for cell in cells))
                for row, cells in enumerate(islice(filled, before + 1, None), start=1):
                    named = zip(header, cells, strict=False)
                    yield Record(row, {name: _read(cell) for name, cell in named if name})
        except SourceError:
            raise
        except Exception as error:  # noqa: BLE001 - of XML, zip and cells alike
            yield BadRecord(row + 1, RejectReason.FILE_UNREADABLE, f"damaged from here on: {error}")

    def _iterate(self, book: Any, *, values_only: bool = False) -> Iterator[Sequence[Any]]:
        """Yield its rows, each as wide as it is: one cell far out would make a million wide."""
        sheet = book[self.sheet]
        sheet.reset_dimensions()
        for cells in sheet.iter_rows(values_only=values_only):
            yield cells[:MAX_COLUMNS]

    def _find_header(self, book: Any) -> tuple[int, list[str]]:
        """Return how many rows, not counting empty ones, stand before the header; and its cells."""
        rows = self._iterate(book, values_only=True)
        filled = (cells for cells in rows if any(cell is not None for cell in cells))
        first = [
            ["" if cell is None else str(cell).strip() for cell in cells]
            for cells in islice(filled, ROWS_PEEKED)
        ]
        before = find_header(first)
        return before, first[before] if first else []


def list_sheets(path: Path) -> list[str]:
    """Return the names of its sheets.

    Raises:
        SourceError: it is no workbook, or too large.
    """
    with _open(path) as book:
        return [sheet.title for sheet in book.worksheets]


def _read(cell: Any) -> object:
    value = cell.value
    if isinstance(value, time) and "s" not in str(cell.number_format).casefold():
        return f"{value.hour}:{value.minute:02}"
    return value


@contextmanager
def _open(path: Path) -> Iterator[Any]:
    import openpyxl

    with ExitStack() as opened:
        try:
            file = opened.enter_context(path.open("rb"))
            _refuse_large(path, file)
            with warnings.catch_warnings():
                # Of styles and extensions that no cell needs.
                warnings.simplefilter("ignore")
                book = openpyxl.load_workbook(file, read_only=True, data_only=True)
        except SourceError:
            raise
        except Exception as error:
            raise SourceError(f"{path} is no readable workbook: {error}") from error
        opened.callback(book.close)
        yield book


def _refuse_large(path: Path, file: BinaryIO) -> None:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
    texts = sum(member.file_size for member in members if member.filename == _TEXTS)
    if (
        len(members) > MAX_MEMBERS
        or sum(member.file_size for member in members) > MAX_BYTES
        or texts > MAX_TEXT_BYTES
    ):
        raise SourceError(f"{path}: the workbook is too large; save it as CSV")
