"""Events written into a file: JSONL, CSV or Parquet, which `read_events` reads."""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterable, Iterator
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
    formats = {".jsonl": _write_jsonl, ".csv": _write_csv, ".parquet": _write_parquet}
    write = formats.get(Path(path.name.removesuffix(".gz")).suffix)
    if write is None or (path.suffix == ".gz" and write is not _write_jsonl):
        raise SourceError(f"{path}: events go into .jsonl, .jsonl.gz, .csv or .parquet")
    making = path.with_name(f".new.{path.name}")
    written = 0

    def count() -> Iterator[pa.Table]:
        nonlocal written
        for table in tables:
            written += len(table)
            yield table

    try:
        write(count(), making)
        making.replace(path)
    except OSError as error:
        raise SourceError(f"{path} can't be written: {error.strerror or error}") from error
    finally:
        making.unlink(missing_ok=True)
    return written


def _write_jsonl(tables: Iterable[pa.Table], path: Path) -> None:
    with gzip.open(path, "wb") if path.suffix == ".gz" else path.open("wb") as file:
        for row in itertools.chain.from_iterable(map(read_rows, tables)):
            known = {name: value for name, value in row.items() if value is not None}
            text = json.dumps(known, ensure_ascii=False, default=_to_text)
            file.write(f"{text}\n".encode())


def _write_csv(tables: Iterable[pa.Table], path: Path) -> None:
    as_text = {"type", "at"}
    schema = pa.schema(
        [one.with_type(pa.string()) if one.name in as_text else one for one in EVENT_SCHEMA]
    )
    with pa_csv.CSVWriter(path, schema) as writer:
        for table in tables:
            at = pc.strftime(table["at"], format="%Y-%m-%dT%H:%M:%SZ")
            writer.write(
                table.set_column(EVENT_SCHEMA.get_field_index("at"), "at", at).cast(schema)
            )


def _write_parquet(tables: Iterable[pa.Table], path: Path) -> None:
    with pq.ParquetWriter(path, EVENT_SCHEMA) as writer:
        for table in tables:
            writer.write_table(table)


def _to_text(moment: object) -> str:
    return str(moment).replace("+00:00", "Z").replace(" ", "T")
