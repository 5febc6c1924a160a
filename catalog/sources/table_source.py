"""Rows of tables as a source: one table after the other."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Final

from twinlens.catalog.errors import NoVideos, RejectReason, SourceError
from twinlens.catalog.sources.columns import Columns, list_unused
from twinlens.catalog.sources.convert import TableOrigin, convert, find_cell
from twinlens.catalog.sources.findings import Findings
from twinlens.catalog.sources.json_table import WRAPPERS
from twinlens.catalog.sources.platforms import Platform, find_platform
from twinlens.catalog.sources.rows import NoVideo, Origin, Record, Reject, Row
from twinlens.catalog.sources.tables import Table
from twinlens.catalog.sources.values import is_no_value

_EARLIER: Final = "an earlier day of a video that is there"
_LONGEST_KIND: Final = 40


@dataclass(frozen=True, slots=True)
class TableSource:
    """Rows of one table after the other.

    Where there are several, one that can't be read is a reject and the others go on; one without a
    title and a picture is no table of videos, and was not read. ``pictures`` are those that rows
    may name. ``kept`` goes with the source: the folder of an archive that was unpacked.
    """

    name: str
    tables: Sequence[Table]
    root: Path
    columns: Columns = field(kw_only=True)
    findings: Findings = field(kw_only=True, default_factory=Findings)
    categories: Mapping[str, str] = field(kw_only=True, default_factory=dict)
    pictures: Collection[Path] = field(kw_only=True, default=())
    kept: object = field(kw_only=True, default=None)

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

    def describe(self) -> Iterator[tuple[str, Mapping[str, Sequence[str]]]]:
        """Yield the name of each table that can be read, and the columns of each field."""
        for table in self.tables:
            with suppress(SourceError):
                yield self._name_file(table), self._resolve_columns(table)[1]

    def __iter__(self) -> Iterator[Row | Reject]:
        self.findings.passed_over.clear()
        newest = self._find_newest()
        unnamed = {_to_key(str(picture)): picture for picture in self.pictures}
        for number, table in enumerate(self.tables):
            try:
                yield from self._convert_rows(number, table, newest, unnamed)
            except SourceError as error:
                if len(self.tables) == 1:
                    raise
                file = self._name_file(table)
                if isinstance(error, NoVideos):
                    self.findings.leave_file(f"{file} (no column for a title or a picture)")
                else:
                    yield Reject(Origin(file, 1), RejectReason.FILE_UNREADABLE, str(error))
        named = (picture.relative_to(self.root).as_posix() for picture in unnamed.values())
        self.findings.leave_pictures(named)

    def _convert_rows(
        self,
        number: int,
        table: Table,
        newest: Mapping[bytes, tuple[str, int, int]],
        unnamed: dict[str, Path],
    ) -> Iterator[Row | Reject]:
        platform, columns = self._resolve_columns(table)
        for remark in table.read_remarks():
            self.findings.remark(remark)
        if platform is not None:
            self.findings.remark(f"read by the names of: {platform.name}")
        origin = TableOrigin(
            file=self._name_file(table),
            folder=table.path.parent,
            root=self.root,
            has_ids="video_id" in columns,
            date_order=self.columns.date_order,
            platform=platform,
            categories=self.categories,
        )
        # Each set of keys that rows have is resolved once.
        by_names: dict[tuple[str, ...], dict[str, tuple[str, ...]]] = {}
        wanted = set(chain.from_iterable(columns.values()))
        used = set(wanted)
        if platform is not None:
            looked_at = set(filter(None, (platform.day, platform.only, *platform.kinds)))
            wanted |= looked_at.intersection(table.read_column_names())
            used |= looked_at
        for record in table.read_records(wanted):
            if isinstance(record, NoVideo):
                self.findings.pass_over(record.what)
                continue
            if isinstance(record, Record):
                if table.ragged:
                    names = tuple(record.cells)
                    if names not in by_names:
                        if len(by_names) >= 1000:
                            by_names.clear()
                        by_names[names] = self.columns.resolve(names, platform)
                        used |= set(chain.from_iterable(by_names[names].values()))
                    columns = by_names[names]
                if platform is not None and (other := _find_other_kind(record, platform)):
                    self.findings.pass_over(other)
                    continue
                if newest and self._is_earlier(number, record, platform, newest):
                    self.findings.pass_over(_EARLIER)
                    continue
                for column in columns.get("thumbnail", ()) if unnamed else ():
                    named = find_cell(record.cells, column)
                    named = named.get("path") if isinstance(named, Mapping) else named
                    if isinstance(named, str):
                        unnamed.pop(_to_key(os.path.join(table.path.parent, named)), None)  # noqa: PTH118
            yield convert(record, columns, origin, self.columns.fields)
        # Only now is it known what each of ragged rows was read by.
        there = table.read_column_names()
        unused = list_unused(there, used)
        if table.ragged:
            unused = [name for name in unused if not _is_wrapper(name, there)]
        self.findings.leave_columns(filter(None, unused))

    def _find_newest(self) -> dict[bytes, tuple[str, int, int]]:
        """Return the newest day of each video, with its table and row, where days are several."""
        newest: dict[bytes, tuple[str, int, int]] = {}
        for number, table in enumerate(self.tables):
            try:
                platform, columns = self._resolve_columns(table)
                if platform is None or platform.day is None or "video_id" not in columns:
                    continue
                wanted = {platform.day, *columns["video_id"]}
                for record in table.read_records(wanted):
                    if not isinstance(record, Record):
                        continue
                    key, day = _read_day(record, platform, columns["video_id"])
                    if key and (key not in newest or day >= newest[key][0]):
                        newest[key] = (day, number, record.row)
            except SourceError:
                continue
        return newest

    def _is_earlier(
        self,
        number: int,
        record: Record,
        platform: Platform | None,
        newest: Mapping[bytes, tuple[str, int, int]],
    ) -> bool:
        if platform is None or platform.day is None:
            return False
        columns = platform.columns.get("video_id", ("video_id",))
        key, _ = _read_day(record, platform, columns)
        return key in newest and newest[key][1:] != (number, record.row)

    def _resolve_columns(self, table: Table) -> tuple[Platform | None, dict[str, tuple[str, ...]]]:
        names = table.read_column_names()
        platform = find_platform(names)
        # A ragged table in which no row is readable has no columns: its rows say what is wrong.
        if names or not table.ragged:
            self.columns.require(names, where=str(table.path), platform=platform)
        return platform, self.columns.resolve(names, platform)

    def _name_file(self, table: Table) -> str:
        return table.path.relative_to(self.root).as_posix()


def _to_key(path: str) -> str:
    """Return a path as all spellings of it are written: one form of Unicode, one kind of slash."""
    return os.path.normpath(unicodedata.normalize("NFC", path).replace("\\", "/"))


def _is_wrapper(name: str, names: Sequence[str]) -> bool:
    """Return whether what is in the object was read as the row's own."""
    return name in WRAPPERS and any(inner.startswith(f"{name}.") for inner in names)


def _find_other_kind(record: Record, platform: Platform) -> str:
    """Return by what a row says that it is no video, or nothing."""
    if platform.only is not None and find_cell(record.cells, platform.only) is None:
        return f"no videos, without {platform.only}"
    for column, kind in platform.kinds.items():
        cell = find_cell(record.cells, column)
        if cell is not None and kind.fullmatch(said := str(cell)) is None:
            told = len(said) <= _LONGEST_KIND and "/" not in said
            return f"no videos, by their {column}" + (f": {said}" if told else "")
    return ""


def _read_day(record: Record, platform: Platform, columns: Sequence[str]) -> tuple[bytes, str]:
    """Return a digest of the video's id, and the day as text that can be compared.

    The digest is empty where there is no id: such rows are videos of their own.
    """
    video_id = next((cell for name in columns if (cell := find_cell(record.cells, name))), "")
    day = str(find_cell(record.cells, str(platform.day)) or "")
    parts = day.split(".")
    if len(parts) == 3 and len(parts[0]) == 2:
        day = ".".join((parts[0], parts[2], parts[1]))  # Kaggle's first sets: year, day, month
    if is_no_value(str(video_id)):
        return b"", day
    return blake2b(str(video_id).encode("utf-8", "replace"), digest_size=12).digest(), day
