"""Sources that lie on this machine: tables, folders of tables, folders of pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

from twinlens.catalog.errors import RejectReason, RowRejected, SourceError
from twinlens.catalog.images import EXTENSIONS
from twinlens.catalog.sources.columns import Columns
from twinlens.catalog.sources.convert import TableOrigin, convert
from twinlens.catalog.sources.csv_table import CsvTable
from twinlens.catalog.sources.jsonl import JsonlTable
from twinlens.catalog.sources.parquet import ParquetTable
from twinlens.catalog.sources.rows import Origin, Record, Reject, Row
from twinlens.catalog.sources.tables import Table
from twinlens.catalog.sources.values import parse_id
from twinlens.catalog.video import Video

_TABLES: Final[Mapping[str, Callable[[Path], Table]]] = {
    ".parquet": ParquetTable,
    ".jsonl": JsonlTable,
    ".jsonl.gz": JsonlTable,
    ".ndjson": JsonlTable,
    ".ndjson.gz": JsonlTable,
    ".csv": CsvTable,
    ".csv.gz": CsvTable,
}
TABLE_SUFFIXES: Final = tuple(_TABLES)
_PICTURE_SUFFIXES: Final = (*(f".{extension}" for extension in EXTENSIONS), ".jpeg")
# Beside pictures, this file names them: the Hugging Face "imagefolder" layout.
_METADATA_STEM: Final = "metadata"


def open_files(name: str, path: Path, *, columns: Columns) -> TableSource | PictureFolder:
    """Return the source at ``path``: one table, or a folder.

    A folder that holds ``metadata.jsonl`` (or .csv, .parquet), itself or in folders below, is read
    by those files alone; else by all tables in it; else it is a folder of pictures.

    Raises:
        SourceError: nothing there that could be read, or a mapped column is missing.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps "..", resolve follows links
    if path.is_file():
        table = open_table(path)
        if table is None:
            raise SourceError(f"{path}: not one of {', '.join(TABLE_SUFFIXES)}, nor a folder")
        return TableSource(name, [table], root=path.parent, columns=columns)
    if not path.is_dir():
        raise SourceError(f"{path}: no such file or folder")
    tables = [table for file in _walk(path) if (table := open_table(file)) is not None]
    described = [table for table in tables if table.path.name.split(".")[0] == _METADATA_STEM]
    if tables:
        return TableSource(name, described or tables, root=path, columns=columns)
    pictures = PictureFolder(name, path)
    if next(pictures.find_pictures(), None) is None:
        raise SourceError(f"{path} holds no pictures and no tables ({', '.join(TABLE_SUFFIXES)})")
    if columns.mapping:
        raise SourceError(f"{path} holds pictures only: there are no columns to name")
    return pictures


def open_table(path: Path) -> Table | None:
    """Return the table at ``path`` by its name's end, or None where that is no table's."""
    name = path.name.casefold()
    for suffix, table in _TABLES.items():
        if name.endswith(suffix):
            return table(path)
    return None


@dataclass(frozen=True, slots=True)
class TableSource:
    """Rows of one table after the other.

    Where there are several, one that can't be read is a reject and the others go on.
    """

    name: str
    tables: Sequence[Table]
    root: Path
    columns: Columns = field(kw_only=True)

    def __post_init__(self) -> None:
        """Look into the tables up to the first that can be read.

        Raises:
            SourceError: none can, or none has the columns.
        """
        first_error: SourceError | None = None
        for table in self.tables:
            try:
                self._resolve_columns(table)
            except SourceError as error:
                first_error = first_error or error
            else:
                return
        if first_error is not None:
            raise first_error

    def count_rows(self) -> int | None:
        """Sum over the tables; None where one of them does not know."""
        rows = 0
        for table in self.tables:
            try:
                more = table.count_rows()
            except SourceError:
                more = 1
            if more is None:
                return None
            rows += more
        return rows

    def __iter__(self) -> Iterator[Row | Reject]:
        for table in self.tables:
            try:
                yield from self._convert_rows(table)
            except SourceError as error:
                if len(self.tables) == 1:
                    raise
                yield Reject(
                    Origin(self._name_file(table), 1), RejectReason.FILE_UNREADABLE, str(error)
                )

    def _convert_rows(self, table: Table) -> Iterator[Row | Reject]:
        columns = self._resolve_columns(table)
        origin = TableOrigin(
            file=self._name_file(table),
            folder=table.path.parent,
            root=self.root,
            has_ids="video_id" in columns,
        )
        # Each set of keys that rows have is resolved once.
        by_names: dict[tuple[str, ...], dict[str, str]] = {}
        for record in table.read_records(set(columns.values())):
            if isinstance(record, Record) and table.ragged:
                names = tuple(record.cells)
                if names not in by_names:
                    if len(by_names) >= 1000:
                        by_names.clear()
                    by_names[names] = self.columns.resolve(names)
                columns = by_names[names]
            yield convert(record, columns, origin, self.columns.fields)

    def _resolve_columns(self, table: Table) -> dict[str, str]:
        names = table.read_column_names()
        # A ragged table in which no row is readable has no columns: its rows say what is wrong.
        if names or not table.ragged:
            self.columns.require(names, where=str(table.path))
        return self.columns.resolve(names)

    def _name_file(self, table: Table) -> str:
        return table.path.relative_to(self.root).as_posix()


@dataclass(frozen=True, slots=True)
class PictureFolder:
    """Thumbnails without titles: a video per picture, its id the file's name without suffix.

    In folders below, the id begins with theirs: ``cats/1.jpg`` is ``cats:1``.
    """

    name: str
    root: Path

    def find_pictures(self) -> Iterator[Path]:
        """Yield the pictures, by name; hidden files and folders are passed over."""
        for path in _walk(self.root):
            if path.suffix.casefold() in _PICTURE_SUFFIXES:
                yield path

    def count_rows(self) -> int | None:
        """Return the number of pictures."""
        return sum(1 for _ in self.find_pictures())

    def __iter__(self) -> Iterator[Row | Reject]:
        for row, path in enumerate(self.find_pictures(), start=1):
            relative = path.relative_to(self.root)
            origin = Origin(relative.as_posix(), row)
            try:
                video_id = parse_id(":".join(relative.with_suffix("").parts))
            except RowRejected as error:
                yield Reject(origin, error.reason, error.detail)
            else:
                yield Row(origin, Video(video_id=video_id, thumbnail=path))


def _walk(folder: Path) -> Iterator[Path]:
    """Files in and below ``folder`` in an order that does not depend on the disk.

    Raises:
        SourceError: a folder can't be listed.
    """
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(parent, name)


def _refuse(error: OSError) -> NoReturn:
    raise SourceError(f"{error.filename}: {error.strerror}") from error
