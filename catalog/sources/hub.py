"""Data sets of the Hugging Face hub, streamed by ``datasets``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from twinlens.catalog.errors import RejectReason, SourceError
from twinlens.catalog.sources.arrow import to_records
from twinlens.catalog.sources.columns import Columns, list_unused
from twinlens.catalog.sources.convert import TableOrigin, convert
from twinlens.catalog.sources.findings import Findings
from twinlens.catalog.sources.rows import BadCell, Record, Reject, Row

PREFIX: Final = "hf:"
_BATCH_ROWS: Final = 32


def open_hub(name: str, *, columns: Columns, revision: str | None, split: str | None) -> HubSource:
    """Return the data set that ``hf:OWNER/NAME`` (or ``hf:`` and a local folder like one) names.

    ``split`` None takes every split, one after the other.

    Raises:
        SourceError: ``datasets`` is not installed, the hub can't be reached, there is no such
            data set, revision or split, or a mapped column is missing.
    """
    try:
        import datasets
    except ImportError as error:
        raise SourceError(
            f"{name} is read by the package datasets, which is missing: pip install twinlens[hub]"
        ) from error
    path = name.removeprefix(PREFIX)
    try:
        loaded = datasets.load_dataset(path, revision=revision, streaming=True)
    except Exception as error:
        raise _to_source_error(name, revision, error) from error
    splits: dict[str, Any] = dict(loaded)
    if split is not None:
        if split not in splits:
            raise SourceError(f"{name} has no split {split!r}; its splits: {', '.join(splits)}")
        splits = {split: splits[split]}
    opened: dict[str, Any] = {}
    for split_name, rows in splits.items():
        try:
            if rows.features is None:
                rows = rows._resolve_features()
            for column, feature in rows.features.items():
                if isinstance(feature, datasets.Image):
                    # Pictures come as the bytes they are, not decoded and encoded again.
                    rows = rows.cast_column(column, datasets.Image(decode=False))
        except Exception as error:
            raise _to_source_error(name, revision, error) from error
        columns.require(list(rows.features), where=f"{name}, split {split_name}")
        opened[split_name] = rows
    root = Path(path).absolute() if Path(path).is_dir() else None
    return HubSource(name, opened, columns=columns, root=root)


@dataclass(frozen=True, slots=True)
class HubSource:
    """Rows of one split after the other; the origin's file is the split."""

    name: str
    splits: Mapping[str, Any]
    columns: Columns = field(kw_only=True)
    root: Path | None = field(kw_only=True)
    findings: Findings = field(kw_only=True, default_factory=Findings)

    def describe(self) -> Iterator[tuple[str, Mapping[str, Sequence[str]]]]:
        """Yield the name of each split, and the columns of each field."""
        for name, split in self.splits.items():
            yield name, self.columns.resolve(list(split.features))

    def count_rows(self) -> int | None:
        """Return the number of rows by the data set's card, where it says."""
        rows = 0
        for name, split in self.splits.items():
            infos = split.info.splits or {}
            if name not in infos or not infos[name].num_examples:
                return None
            rows += infos[name].num_examples
        return rows

    def __iter__(self) -> Iterator[Row | Reject]:
        for name, split in self.splits.items():
            names = list(split.features)
            columns = self.columns.resolve(names)
            needed = {column for some in columns.values() for column in some}
            self.findings.leave_columns(list_unused(names, needed))
            origin = TableOrigin(
                file=name,
                folder=self.root,
                root=self.root,
                has_ids="video_id" in columns,
                date_order=self.columns.date_order,
            )
            wanted = split.select_columns(sorted(needed)).with_format("arrow")
            row = 1
            for batch in self._read_batches(name, wanted):
                for record in to_records(batch, first_row=row):
                    whole = _read_picture(record, columns.get("thumbnail", ("",))[0])
                    yield convert(whole, columns, origin, self.columns.fields)
                row += batch.num_rows

    def _read_batches(self, split: str, rows: Any) -> Iterator[Any]:
        try:
            yield from rows.iter(batch_size=_BATCH_ROWS)
        except Exception as error:
            raise SourceError(f"{self.name}, split {split}: reading broke off: {error}") from error


def _read_picture(record: Record, column: str) -> Record:
    """``record`` with its picture read, where the hub keeps pictures as files of their own."""
    picture = record.cells.get(column)
    if not isinstance(picture, dict) or picture.get("bytes") is not None or not picture.get("path"):
        return record
    import datasets
    import pyarrow as pa

    kind = pa.struct({"bytes": pa.binary(), "path": pa.string()})
    try:
        cell = datasets.Image().embed_storage(pa.array([picture], kind)).to_pylist()[0]
    except Exception as error:  # noqa: BLE001 - file systems of many kinds; the row says what it was
        cell = BadCell(RejectReason.PICTURE_MISSING, f"{picture['path']}: {error}")
    return Record(record.row, {**record.cells, column: cell})


def _to_source_error(name: str, revision: str | None, error: Exception) -> SourceError:
    at = f" at revision {revision}" if revision else ""
    if isinstance(error, ConnectionError):
        return SourceError(
            f"{name}{at}: the Hugging Face hub can't be reached ({error}). "
            "A local copy of the data set's folder works too: hf:PATH"
        )
    return SourceError(f"{name}{at} can't be loaded: {error}")
