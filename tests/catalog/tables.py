"""Tables written as sources, and what is read of them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.catalog.encoded import picture
from twinlens.catalog.errors import RejectReason
from twinlens.catalog.sources import Note, Reject, Row, open_source
from twinlens.catalog.video import Video

RED, BLUE = picture(), picture(colour=(0, 0, 255))
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
VIDEOS = [
    {"id": "a", "title": "තරගය", "views": 3, "tags": ["x", "y"]},
    {"id": "b", "title": 'cooking, "quick"\nand good', "views": None, "tags": []},
    {"id": "c", "title": "போட்டி", "views": 0, "tags": ["z"]},
]
each_format = pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])


def write_table(path: Path, rows: Iterable[Mapping[str, Any]] = VIDEOS) -> Path:
    """``rows`` in the format that the suffix of ``path`` names; CSV and Parquet as the first."""
    rows = list(rows)
    if path.suffix == ".parquet":
        return write_parquet(path, {key: [row[key] for row in rows] for key in rows[0]})
    if path.suffix in (".xlsx", ".sqlite", ".sqlite3", ".db"):
        return write_book(path, rows)
    if ".csv" in path.name or ".tsv" in path.name:
        out = io.StringIO()
        writer = csv.DictWriter(out, rows[0], delimiter="\t" if ".tsv" in path.name else ",")
        writer.writeheader()
        writer.writerows(map(flatten, rows))
        data = out.getvalue().encode()
    elif path.name.partition(".")[2].removesuffix(".gz") == "json":
        data = json.dumps(rows, ensure_ascii=False, indent=1).encode()
    else:
        assert path.name.partition(".")[2].removesuffix(".gz") in ("jsonl", "ndjson"), path
        data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def flatten(row: Mapping[str, Any]) -> dict[str, Any]:
    lists = {key: json.dumps(cell) for key, cell in row.items() if isinstance(cell, list)}
    return {**row, **lists}


def write_book(path: Path, rows: Iterable[Mapping[str, Any]], table: str = "videos") -> Path:
    rows = [flatten(row) for row in rows]
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        sheet = book.active
        assert sheet is not None
        sheet.append(list(rows[0]))
        for row in rows:
            sheet.append(list(row.values()))
        book.save(path)
        return path
    with closing(sqlite3.connect(path)) as database:
        names = ", ".join(f'"{name}"' for name in rows[0])
        database.execute(f"CREATE TABLE {table} ({names})")
        marks = ", ".join("?" * len(rows[0]))
        database.executemany(
            f"INSERT INTO {table} VALUES ({marks})", [list(row.values()) for row in rows]
        )
        database.commit()
    return path


def write_files(folder: Path, files: Mapping[str, bytes]) -> Path:
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_parquet(path: Path, columns: Mapping[str, Any], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(columns)), path, **options)
    return path


def read(
    path: Path | str, *, columns: Mapping[str, str] | None = None, **options: Any
) -> list[Row | Reject]:
    source = open_source(str(path), columns=columns, **options)
    items = list(source)
    assert items == list(source), "a source can be read twice"
    assert source.count_rows() in (None, len(items))
    return items


def videos(items: Iterable[Row | Reject]) -> list[Video]:
    assert not [item for item in items if isinstance(item, Reject)]
    return [item.video for item in items if isinstance(item, Row)]


def rejects(items: Iterable[Row | Reject]) -> dict[int, RejectReason]:
    found = [item for item in items if isinstance(item, Reject)]
    assert all(item.detail for item in found)
    return {item.origin.row: item.reason for item in found}


def ids(items: Iterable[Row | Reject]) -> list[str]:
    return [item.video.video_id for item in items if isinstance(item, Row)]


def notes_of(items: Iterable[Row | Reject]) -> list[Note]:
    return [note for item in items if isinstance(item, Row) for note in item.notes]
