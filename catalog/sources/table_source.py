"""Rows of tables as a source: one table after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import chain
from pathlib import Path

from twinlens.catalog.errors import RejectReason, SourceError
from twinlens.catalog.sources.columns import Columns, list_unused
from twinlens.catalog.sources.convert import TableOrigin, convert, find_cell
from twinlens.catalog.sources.findings import Findings
from twinlens.catalog.sources.platforms import Platform, find_platform
from twinlens.catalog.sources.rows import BadRecord, Origin, Record, Reject, Row
from twinlens.catalog.sources.tables import Table
from twinlens.catalog.sources.values import is_no_value

_EARLIER: str = "an earlier day of a video that is there"
_NO_VIDEO: str = "playlists, channels and the like, no videos"


@dataclass(frozen=True, slots=True)
class TableSource:
    """Rows of one table after the other.

    Where there are several, one that can't be read is a reject and the others go on. ``kept`` goes
    with the source: the folder of an archive that was unpacked.
    """

    name: str
    tables: Sequence[Table]
    root: Path
    columns: Columns = field(kw_only=True)
    findings: Findings = field(kw_only=True, default_factory=Findings)
    categories: Mapping[str, str] = field(kw_only=True, default_factory=dict)
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
        for number, table in enumerate(self.tables):
            try:
                yield from self._convert_rows(number, table, newest)
            except SourceError as error:
                if len(self.tables) == 1:
                    raise
                yield Reject(
                    Origin(self._name_file(table), 1), RejectReason.FILE_UNREADABLE, str(error)
                )

    def _convert_rows(
        self, number: int, table: Table, newest: Mapping[bytes, tuple[str, int, int]]
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
            wanted |= {name for name in (platform.day, platform.only) if name}
        for record in table.read_records(wanted):
            if isinstance(record, Record):
                if table.ragged:
                    names = tuple(record.cells)
                    if names not in by_names:
                        if len(by_names) >= 1000:
                            by_names.clear()
                        by_names[names] = self.columns.resolve(names, platform)
                        used |= set(chain.from_iterable(by_names[names].values()))
                    columns = by_names[names]
                if platform is not None and not self._is_video(record, platform):
                    self.findings.pass_over(_NO_VIDEO)
                    continue
                if newest and self._is_earlier(number, record, platform, newest):
                    self.findings.pass_over(_EARLIER)
                    continue
            yield convert(record, columns, origin, self.columns.fields)
        # Only now is it known what each of ragged rows was read by.
        self.findings.leave_columns(list_unused(table.read_column_names(), used))

    def _is_video(self, record: Record, platform: Platform) -> bool:
        for column, values in platform.without.items():
            if find_cell(record.cells, column) in values:
                return False
        return platform.only is None or find_cell(record.cells, platform.only) is not None

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
                    if isinstance(record, BadRecord):
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
