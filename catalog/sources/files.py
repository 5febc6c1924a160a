"""Sources that lie on this machine: tables, folders of tables, folders of pictures, archives."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Final

from twinlens.catalog.errors import RowRejected, SourceError
from twinlens.catalog.images import EXTENSIONS
from twinlens.catalog.sources.archives import ARCHIVE_SUFFIXES, Unpacked, is_archive, unpack
from twinlens.catalog.sources.columns import Columns
from twinlens.catalog.sources.csv_table import CsvTable
from twinlens.catalog.sources.findings import Findings
from twinlens.catalog.sources.jsonl import open_json
from twinlens.catalog.sources.parquet import ParquetTable
from twinlens.catalog.sources.platforms import find_platform
from twinlens.catalog.sources.rows import Origin, Reject, Row
from twinlens.catalog.sources.sidecars import SidecarTable, choose_sizes, find_sidecars
from twinlens.catalog.sources.sqlite_table import SqliteTable, is_sqlite, list_tables
from twinlens.catalog.sources.table_source import TableSource
from twinlens.catalog.sources.tables import Table
from twinlens.catalog.sources.values import parse_id
from twinlens.catalog.sources.walk import Walk
from twinlens.catalog.sources.xlsx_table import XlsxTable, list_sheets
from twinlens.catalog.video import Video

_TABLES: Final[Mapping[str, Callable[[Path], Table]]] = {
    ".parquet": ParquetTable,
    **dict.fromkeys((".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz"), open_json),
    **dict.fromkeys((".json", ".json.gz"), open_json),
    **dict.fromkeys((".csv", ".csv.gz", ".tsv", ".tsv.gz"), CsvTable),
}
#: Files that hold one table each.
TABLE_SUFFIXES: Final = tuple(_TABLES)
SQLITE_SUFFIXES: Final = (".sqlite", ".sqlite3", ".db")
#: Files that hold several.
BOOK_SUFFIXES: Final = (".xlsx", *SQLITE_SUFFIXES)
_ALL_SUFFIXES: Final = (*TABLE_SUFFIXES, *BOOK_SUFFIXES, *ARCHIVE_SUFFIXES)
_PICTURE_SUFFIXES: Final = (*(f".{extension}" for extension in EXTENSIONS), ".jpeg", ".heif")
# Beside pictures, this file names them: the Hugging Face "imagefolder" layout.
_METADATA_STEM: Final = "metadata"
_CATEGORIES_END: Final = "_category_id.json"
_OF_VIDEOS: Final = re.compile(r"(?:^|[^a-z])videos?$", re.IGNORECASE)
_SEEN: Final = frozenset({"duration_s", "view_count"})
# What describes a set of tables rather than a video, where it holds one object.
_OF_SETS: Final = frozenset(
    {"metadata", "dataset-metadata", "dataset_info", "dataset_infos", "datapackage", "croissant"}
    | {"package", "manifest", "config", "info", "state", "settings", "index", "schema"}
)


def open_files(
    name: str,
    path: Path,
    *,
    columns: Columns,
    query: str | None = None,
    leave_out: Collection[Path] = (),
) -> TableSource | PictureFolder:
    """Return the source at ``path``: one table, an archive, or a folder.

    A folder that holds ``metadata.jsonl`` (or .csv, .parquet), itself or in folders below, is read
    by those files alone; else by files that describe one video each; else by all tables in it;
    else it is a folder of pictures. An archive is a folder that is unpacked first. ``query`` is for
    SQLite. ``leave_out`` are paths that are not looked into.

    Raises:
        SourceError: nothing there that could be read, or a mapped column is missing.
    """
    path = Path(os.path.abspath(path))  # noqa: PTH100 - Path.absolute keeps "..", resolve follows links
    findings = Findings()
    if query is not None and not _is_called(path, SQLITE_SUFFIXES):
        raise SourceError(f"{path}: a query is for SQLite ({', '.join(SQLITE_SUFFIXES)})")
    if path.is_file() and is_archive(path):
        unpacked = Unpacked()
        unpack(path, unpacked.path, findings)
        return _Folder(name, unpacked.path, columns, findings, kept=unpacked).open()
    if path.is_file():
        table = open_table(path) if query is None else None
        table = table or _open_book(path, columns, query, findings)
        if table is None:
            raise SourceError(f"{path}: not one of {', '.join(_ALL_SUFFIXES)}, nor a folder")
        categories = _read_categories(path)
        return TableSource(
            name,
            [table],
            root=path.parent,
            columns=columns,
            findings=findings,
            categories=categories,
        )
    if not path.is_dir():
        raise SourceError(f"{path}: no such file or folder")
    return _Folder(name, path, columns, findings, leave_out=leave_out).open()


def open_table(path: Path) -> Table | None:
    """Return the table at ``path`` by its name's end, or None where that is no table's."""
    name = path.name.casefold()
    for suffix, table in _TABLES.items():
        if name.endswith(suffix):
            return table(path)
    # FreeTube's databases are lines of JSON.
    return open_json(path) if name.endswith(SQLITE_SUFFIXES) and not is_sqlite(path) else None


def _open_book(path: Path, columns: Columns, query: str | None, findings: Findings) -> Table | None:
    """Return the table of a workbook or a database that has a title or a picture.

    Raises:
        SourceError: none has, or several tables of a database.
    """
    tables: Sequence[XlsxTable | SqliteTable]
    if _is_called(path, (".xlsx",)):
        tables = [XlsxTable(path, sheet) for sheet in list_sheets(path)]
    elif _is_called(path, SQLITE_SUFFIXES):
        tables = [SqliteTable(path, query)] if query is not None else list_tables(path)
    else:
        return None
    usable: list[XlsxTable | SqliteTable] = []
    first_error: SourceError | None = None
    for table in tables:
        try:
            names = table.read_column_names()
            columns.require(names, where=str(path), platform=find_platform(names))
        except SourceError as error:
            first_error = first_error or error
        else:
            usable.append(table)
    if not usable:
        raise first_error or SourceError(f"{path} holds no tables")
    of_database = [table for table in usable if isinstance(table, SqliteTable)]
    chosen = _choose_table(of_database, columns) if of_database else usable[0]
    if chosen is None:
        queries = "; ".join(table.query for table in of_database)
        raise SourceError(f"{path} has several tables of videos; name one by --query: {queries}")
    for other in tables:
        if other is not chosen:
            findings.leave_file(f"{path.name}, {_name_table(other)}")
    return chosen


def _choose_table(tables: Sequence[SqliteTable], columns: Columns) -> SqliteTable | None:
    """Return the one that plainly holds the videos, or None where that is open.

    That is the only one, the only table beside views, or the only table that is called after videos
    or has a length or a count of views.
    """
    own = [table for table in tables if not table.is_view]
    called = [table for table in own if _OF_VIDEOS.search(table.name)]
    seen = [table for table in own if _SEEN & columns.resolve(table.read_column_names()).keys()]
    return next((some[0] for some in (tables, own, called, seen) if len(some) == 1), None)


def _name_table(table: XlsxTable | SqliteTable) -> str:
    return f"sheet {table.sheet!r}" if isinstance(table, XlsxTable) else table.query


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder on its way to a source."""

    name: str
    path: Path
    columns: Columns
    findings: Findings
    leave_out: Collection[Path] = ()
    kept: object = None

    def open(self) -> TableSource | PictureFolder:
        files = list(Walk(self.path, self.findings, self.leave_out))
        pictures = [file for file in files if file.suffix.casefold() in _PICTURE_SUFFIXES]
        described = [file for file in files if file.name.split(".")[0] == _METADATA_STEM]
        tables = [table for file in described if (table := open_table(file)) is not None]
        tables, error = self._choose_usable(tables)
        if tables:
            return self._make(files, pictures, tables)
        sidecars = find_sidecars(files, pictures)
        if sidecars is not None:
            for file in sidecars.unused:
                self._leave(file)
            self.findings.leave_pictures(map(self._name, sidecars.art))
            table = SidecarTable(self.path, sidecars=sidecars)
            return self._make_source([table], root=self.path)
        tables = [table for file in files if (table := self._open_one(file)) is not None]
        if len(tables) > 1:
            tables = [table for table in tables if not _is_of_set(table)] or tables
        if tables:
            return self._make(files, pictures, tables)
        if error is not None:
            raise error
        archives = [file for file in files if is_archive(file)]
        if archives and not pictures:
            return self._open_archives(archives)
        if not pictures:
            raise SourceError(
                f"{self.path} holds no pictures and no tables ({', '.join(_ALL_SUFFIXES)})"
                + "".join(f"; {sentence}" for sentence in self.findings.to_sentences())
            )
        if self.columns.mapping:
            raise SourceError(f"{self.path} holds pictures only: there are no columns to name")
        for file in files:
            if file not in set(pictures):
                self._leave(file)
        pictures, sizes = choose_sizes(pictures)
        self.findings.leave_pictures(map(self._name, sizes))
        return PictureFolder(self.name, self.path, pictures, self.findings, kept=self.kept)

    def _choose_usable(self, tables: Sequence[Table]) -> tuple[list[Table], SourceError | None]:
        """Return those of ``tables`` that are rows of videos, and why the first other is not."""
        usable = []
        first_error: SourceError | None = None
        for table in tables:
            try:
                names = table.read_column_names()
                self.columns.require(names, where=str(table.path), platform=find_platform(names))
            except SourceError as error:
                first_error = first_error or error
            else:
                if not _is_of_set(table):
                    usable.append(table)
        return usable, first_error

    def _open_one(self, file: Path) -> Table | None:
        if file.name.casefold().endswith(_CATEGORIES_END):
            return None
        if (table := open_table(file)) is not None or not _is_called(file, BOOK_SUFFIXES):
            return table
        try:
            return _open_book(file, self.columns, None, self.findings)
        except SourceError as error:
            self.findings.remark(str(error))
            return None

    def _make(
        self, files: Sequence[Path], pictures: Sequence[Path], tables: Sequence[Table]
    ) -> TableSource:
        used = {table.path for table in tables}.union(pictures)
        for file in files:
            if file not in used and not file.name.casefold().endswith(_CATEGORIES_END):
                self._leave(file)
        try:
            return self._make_source(tables, root=self.path, pictures=pictures)
        except SourceError as error:
            others = "".join(f"; {sentence}" for sentence in self.findings.remarks)
            raise SourceError(f"{error}{others}") from error

    def _make_source(
        self, tables: Sequence[Table], *, root: Path, pictures: Sequence[Path] = ()
    ) -> TableSource:
        return TableSource(
            self.name,
            tables,
            root=root,
            columns=self.columns,
            findings=self.findings,
            categories=_read_categories(root / "any"),
            pictures=pictures,
            kept=self.kept,
        )

    def _open_archives(self, archives: Sequence[Path]) -> TableSource | PictureFolder:
        unpacked = Unpacked()
        for archive in archives:
            unpack(archive, unpacked.path / archive.relative_to(self.path), self.findings)
        found = _Folder(self.name, unpacked.path, self.columns, self.findings, kept=unpacked)
        return found.open()

    def _leave(self, file: Path) -> None:
        self.findings.leave_file(self._name(file))

    def _name(self, file: Path) -> str:
        return file.relative_to(self.path).as_posix()


@dataclass(frozen=True, slots=True)
class PictureFolder:
    """Thumbnails without titles: a video per picture, its id the file's name without suffix.

    In folders below, the id begins with theirs: ``cats/1.jpg`` is ``cats:1``.
    """

    name: str
    root: Path
    pictures: Sequence[Path]
    findings: Findings = field(default_factory=Findings)
    kept: object = None

    def describe(self) -> Iterator[tuple[str, Mapping[str, Sequence[str]]]]:
        """Yield what a video is made of."""
        yield self.name, {"video_id": ("the file's name",), "thumbnail": ("the file",)}

    def count_rows(self) -> int | None:
        """Return the number of pictures."""
        return len(self.pictures)

    def __iter__(self) -> Iterator[Row | Reject]:
        for row, path in enumerate(self.pictures, start=1):
            relative = path.relative_to(self.root)
            origin = Origin(relative.as_posix(), row)
            try:
                video_id = parse_id(":".join(relative.with_suffix("").parts))
            except RowRejected as error:
                yield Reject(origin, error.reason, error.detail)
            else:
                yield Row(origin, Video(video_id=video_id, thumbnail=path))


def _is_of_set(table: Table) -> bool:
    """Return whether a table is one object that describes tables, by its name."""
    name = table.path.name.casefold().partition(".")[0]
    if name not in _OF_SETS or ".json" not in table.path.suffixes:
        return False
    return len(list(islice(table.read_records(()), 2))) < 2


def _is_called(path: Path, suffixes: tuple[str, ...]) -> bool:
    return path.name.casefold().endswith(suffixes)


def _read_categories(path: Path) -> dict[str, str]:
    """Return names of YouTube's categories by number, as files beside ``path`` have them.

    Kaggle's trending sets bring one a country, an answer of ``videoCategories.list``.
    """
    found: dict[str, str] = {}
    for file in sorted(path.parent.glob(f"*{_CATEGORIES_END}")):
        try:
            items = json.loads(file.read_text("utf-8-sig"))["items"]
            found |= {str(item["id"]): str(item["snippet"]["title"]) for item in items}
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return found
