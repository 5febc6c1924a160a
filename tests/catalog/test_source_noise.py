"""Sources of any bytes, and of any size: rows and rejects, in bounded memory."""

from __future__ import annotations

import csv
import gzip
import tracemalloc
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.catalog.tables import notes_of, write_parquet, write_table
from twinlens.benchmarks.reading import ODDITIES, make_rows, write
from twinlens.catalog.errors import SourceError
from twinlens.catalog.sources import Reject, Row, Source, open_source

in_one_folder = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
TOKENS = [b"\n", b"\r", b'"', b",", b'""', b"a", b"1", b"\xff", b"\0", b"{", b"}"]
NOISE = st.binary(max_size=200) | st.lists(
    st.sampled_from([*TOKENS, b'{"title": "t"}\n']), max_size=60
).map(b"".join)


def growth(source: Source) -> int:
    """Bytes that Python and Arrow allocated at most, above what was there, reading ``source``."""
    pool = pa.default_memory_pool()
    arrow_before, arrow_most = pool.bytes_allocated(), 0
    tracemalloc.start()
    try:
        for _ in source:
            arrow_most = max(arrow_most, pool.bytes_allocated() - arrow_before)
        return tracemalloc.get_traced_memory()[1] + arrow_most
    finally:
        tracemalloc.stop()


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".csv", ".parquet"])
def test_memory_does_not_grow_with_the_source(tmp_path: Path, suffix: str) -> None:
    path, count = tmp_path / f"v{suffix}", 3_000
    if suffix == ".parquet":
        columns = {
            "id": [str(n) for n in range(count)],
            "image": [n.to_bytes(4, "big") * 2_500 for n in range(count)],
        }
        write_parquet(
            path, columns, row_group_size=count, use_dictionary=False, write_batch_size=32
        )
    else:
        write_table(path, ({"id": n, "title": "x" * 10_000} for n in range(count)))
    assert growth(open_source(str(path))) < 6_000_000 < count * 10_000 / 4


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".jsonl.gz", ".csv.gz"])
@in_one_folder
@given(noise=NOISE, raw=st.booleans())
def test_any_bytes_give_rows_and_rejects_and_nothing_else(
    tmp_path: Path, suffix: str, noise: bytes, raw: bool
) -> None:
    head = b"title,id\n" if "csv" in suffix else b'{"title": "t", "id": "i"}\n'
    data = (b"" if raw else head) + noise
    path = tmp_path / f"v{suffix}"
    if suffix.endswith(".gz"):
        data = gzip.compress(data)[: -9 if raw else None]
    path.write_bytes(data)
    try:
        source = open_source(str(path))
    except SourceError:
        assert raw, "what begins well is a source"
        return
    items = list(source)
    assert all(isinstance(item, Row | Reject) for item in items)
    assert [item.origin.row for item in items] == sorted({item.origin.row for item in items})
    assert source.count_rows() in (None, len(items))
    if suffix == ".jsonl":
        lines = data.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        assert len(items) == sum(1 for line in lines if line.strip())


BYTES = st.binary(max_size=8)


@in_one_folder
@given(rows=st.lists(st.tuples(BYTES, BYTES, st.integers(-(2**63), 2**63 - 1))))
def test_any_cells_of_parquet_give_rows_and_rejects_and_nothing_else(
    tmp_path: Path, rows: list[tuple[bytes, bytes, int]]
) -> None:
    found, titles, integers = zip(*rows, strict=True) if rows else ((), (), ())
    numbers = pa.array(integers, pa.int64())
    columns = {
        "id": pa.array(found, pa.binary()).view(pa.string()),
        "title": pa.array(titles, pa.binary()).view(pa.string()),
        "published_at": numbers.view(pa.timestamp("ns")),
        "upload_date": numbers.view(pa.timestamp("us")),
        "views": numbers.view(pa.float64()),
        "duration": numbers.view(pa.duration("us")),
    }
    path = write_parquet(tmp_path / "v.parquet", columns)
    for mapped in ({}, {"published_at": "upload_date"}):
        items = list(open_source(str(path), columns=mapped))
        assert [item.origin.row for item in items] == list(range(1, len(rows) + 1))
    assert all(isinstance(item, Row | Reject) for item in items)


@in_one_folder
@given(rows=st.lists(st.tuples(st.text(), st.text(st.characters(exclude_categories=["Cs"])))))
def test_what_csv_writes_is_read_back(tmp_path: Path, rows: list[tuple[str, str]]) -> None:
    path = tmp_path / "v.csv"
    with path.open("w", encoding="utf-8", errors="surrogatepass", newline="") as file:
        csv.writer(file).writerows([("id", "title"), *rows])
    items = list(open_source(str(path)))
    assert len(items) == len(rows)
    for item, (video_id, title) in zip(items, rows, strict=True):
        if isinstance(item, Row):
            # A line's end is one line feed, however it was written.
            read = title.replace("\r\n", "\n").replace("\0", "").strip()
            assert item.video.title == unicodedata.normalize("NFC", read)
            if not item.notes:
                assert item.video.video_id == video_id.strip()


@pytest.mark.slow
def test_of_ten_thousand_odd_rows_none_is_lost_and_each_oddity_is_counted(tmp_path: Path) -> None:
    rows = make_rows(10_000, odd=True)
    for suffix in (".csv", ".jsonl", ".parquet"):
        path = tmp_path / f"v{suffix}"
        write(path, rows)
        source = open_source(str(path))
        assert growth(source) < 12_000_000
        items = list(source)
        assert [row.video.title for row in items if isinstance(row, Row)] == [
            row["title"] for row in rows
        ]
        assert {note.field for note in notes_of(items)} == ODDITIES.keys() - {"duration"} | {
            "duration_s"
        }
