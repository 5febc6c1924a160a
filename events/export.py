"""Events written into a file: JSONL, CSV or Parquet, which `read_events` reads."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from twinlens.catalog.errors import SourceError
from twinlens.events.log import EVENT_SCHEMA
from twinlens.events.tables import read_rows


def write_events(tables: Iterable[pa.Table], path: Path) -> int:
    """Write ``tables`` to ``path``, which is replaced once all is written; return how many events.

    Raises:
        SourceError: the name's ending is that of no format, or the file can't be written.
    """
    writers = {".jsonl": _write_jsonl, ".csv": _write_csv, ".parquet": _write_parquet}
    name = path.name.removesuffix(".gz")
    write = writers.get(Path(name).suffix)
    if write is None or (path.suffix == ".gz" and write is not _write_jsonl):
        raise SourceError(f"{path}: events go into .jsonl, .jsonl.gz, .csv or .parquet")
    making = path.with_name(f".{path.name}.new")
    try:
        written = write(tables, making, path.suffix == ".gz")
        making.replace(path)
    except OSError as error:
        raise SourceError(f"{path} can't be written: {error.strerror or error}") from error
    finally:
        making.unlink(missing_ok=True)
    return written


def _write_jsonl(tables: Iterable[pa.Table], path: Path, gzipped: bool) -> int:
    written = 0
    with gzip.open(path, "wb") if gzipped else path.open("wb") as file:
        for table in tables:
            for row in read_rows(table):
                known = {name: value for name, value in row.items() if value is not None}
                text = json.dumps(known, ensure_ascii=False, default=_to_text)
                file.write(f"{text}\n".encode())
            written += len(table)
    return written


def _write_csv(tables: Iterable[pa.Table], path: Path, _: bool) -> int:
    written = 0
    schema = pa.schema(
        [
            field.with_type(pa.string()) if field.name in ("type", "at") else field
            for field in EVENT_SCHEMA
        ]
    )
    with pa_csv.CSVWriter(path, schema) as writer:
        for table in tables:
            at = pc.strftime(table["at"], format="%Y-%m-%dT%H:%M:%SZ")
            table = table.set_column(table.column_names.index("at"), "at", at)
            writer.write(table.cast(schema))
            written += len(table)
    return written


def _write_parquet(tables: Iterable[pa.Table], path: Path, _: bool) -> int:
    written = 0
    with pq.ParquetWriter(path, EVENT_SCHEMA) as writer:
        for table in tables:
            writer.write_table(table)
            written += len(table)
    return written


def _to_text(moment: object) -> str:
    return str(moment).replace("+00:00", "Z").replace(" ", "T")
