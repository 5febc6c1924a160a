"""Sources as a whole: every row comes out, as a video or with the reason why not."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.catalog.encoded import picture
from twinlens.catalog.errors import PictureRejected, RejectReason, SourceError
from twinlens.catalog.sources import (
    Origin,
    Reject,
    RejectsFile,
    Row,
    Source,
    open_source,
    read_thumbnail,
)
from twinlens.catalog.sources.csv_table import MAX_RECORD_BYTES
from twinlens.catalog.sources.files import TABLE_SUFFIXES
from twinlens.catalog.video import Video

RED, BLUE = picture(), picture(colour=(0, 0, 255))
IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
VIDEOS = [
    {"id": "a", "title": "තරගය", "views": 3, "tags": ["x", "y"]},
    {"id": "b", "title": 'cooking, "quick"\nand good', "views": None, "tags": []},
    {"id": "c", "title": "போட்டி", "views": 0, "tags": ["z"]},
]


def read(
    path: Path | str, *, columns: Mapping[str, str] | None = None, **options: Any
) -> list[Row | Reject]:
    source = open_source(str(path), columns=columns, **options)
    items = list(source)
    assert items == list(source), "a source can be read twice"
    total = source.total()
    assert total in (None, len(items))
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


def write_jsonl(path: Path, rows: Iterable[object]) -> Path:
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_csv(path: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    out = io.StringIO()
    writer = csv.DictWriter(out, ["id", "title", "views", "tags"])
    writer.writeheader()
    writer.writerows({**row, "tags": json.dumps(row["tags"])} for row in rows)
    data = out.getvalue().encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def write_parquet(path: Path, columns: Mapping[str, Any], **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(columns)), path, **options)
    return path


def write_table(path: Path) -> Path:
    if ".csv" in path.name:
        return write_csv(path, VIDEOS)
    if path.suffix == ".parquet":
        return write_parquet(path, {key: [row[key] for row in VIDEOS] for key in VIDEOS[0]})
    return write_jsonl(path, VIDEOS)


@pytest.mark.parametrize("suffix", TABLE_SUFFIXES)
def test_every_format_tells_the_same(tmp_path: Path, suffix: str) -> None:
    path = write_table(tmp_path / f"videos{suffix}")
    items = read(path)
    assert videos(items) == [
        Video(video_id="a", title="තරගය", values={"tags": ("x", "y"), "view_count": 3}),
        Video(video_id="b", title='cooking, "quick"\nand good'),
        Video(video_id="c", title="போட்டி", values={"tags": ("z",), "view_count": 0}),
    ]
    assert [item.origin for item in items] == [Origin(path.name, n) for n in (1, 2, 3)]
    assert open_source(str(path)).name == str(path)
    assert open_source(str(path)).total() == (None if suffix.endswith(".gz") else 3)


def test_columns_are_known_by_many_names(tmp_path: Path) -> None:
    row = {
        "Video ID": "a",
        "Title": "t",
        "channelTitle": "c",
        "categoryId": 24,
        "defaultLanguage": "si",
        "publishedAt": "2025-07-23T12:00:04Z",
        "duration": "PT1M",
        "viewCount": "12",
        "thumbnailUrl": "https://example.org/a.jpg",
        "webpage_url": "https://example.org/a",
    }
    (video,) = videos(read(write_jsonl(tmp_path / "v.jsonl", [row])))
    assert (video.video_id, video.title) == ("a", "t")
    assert video.values == {
        "channel": "c",
        "category": "24",
        "language": "si",
        "published_at": datetime(2025, 7, 23, 12, 0, 4, tzinfo=UTC),
        "duration_s": 60.0,
        "view_count": 12,
        "url": "https://example.org/a",
    }
    assert video.thumbnail_url == "https://example.org/a.jpg"


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_mapped_columns_win_and_must_exist(tmp_path: Path, suffix: str) -> None:
    path = write_table(tmp_path / f"v{suffix}")
    assert [video.text("channel") for video in videos(read(path, columns={"channel": "id"}))] == [
        *"abc"
    ]
    with pytest.raises(SourceError, match=r"no column 'heading' \(for title\).*id, title, views"):
        open_source(str(path), columns={"title": "heading"})
    with pytest.raises(SourceError, match="'name' is no field"):
        open_source(str(path), columns={"name": "title"})


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_table_without_title_or_picture_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"v{suffix}"
    if suffix == ".parquet":
        write_parquet(path, {"user": [1]})
    else:
        path.write_text({".jsonl": '{"user": 1}\n', ".csv": "user\n1\n"}[suffix])
    with pytest.raises(SourceError, match="title or a thumbnail; its columns: user"):
        open_source(str(path))


@pytest.mark.parametrize("spec", ["missing.jsonl", "note.txt", "empty", "note.txt/x.csv"])
def test_what_is_no_source_is_refused(tmp_path: Path, spec: str) -> None:
    (tmp_path / "note.txt").write_text("hello")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match=spec):
        open_source(str(tmp_path / spec))


def test_revision_and_split_belong_to_the_hub(tmp_path: Path) -> None:
    path = write_table(tmp_path / "v.jsonl")
    with pytest.raises(SourceError, match="hf:"):
        open_source(str(path), split="train")
    with pytest.raises(SourceError, match="hf:"):
        open_source(str(path), revision="main")


BAD_JSONL = {
    b'{"id": "1", "title": " "}': RejectReason.EMPTY,
    b'{"id": "1", "title": null, "image": ""}': RejectReason.EMPTY,
    b'{"id": "1", "title": "caf\xe9"}': RejectReason.NOT_UTF8,
    b'{"id": "1", "title": "\\ud83d"}': RejectReason.NOT_UTF8,
    b'{"id": "1", "title": NaN}': RejectReason.NOT_A_NUMBER,
    b'{"id": "1", "title": "t", "views": Infinity}': RejectReason.NOT_A_NUMBER,
    b'{"id": "1", "title": "t", "views": -1}': RejectReason.BAD_VALUE,
    b'{"id": "1", "title": "t", "duration": "-4"}': RejectReason.BAD_VALUE,
    b'{"id": "1", "title": "t", "published_at": "soon"}': RejectReason.BAD_VALUE,
    b'{"id": "1", "title": "t", "url": "javascript:alert(1)"}': RejectReason.BAD_VALUE,
    b'{"id": "1", "title": "t", "image": "../up.jpg"}': RejectReason.PICTURE_MISSING,
    b'{"id": "' + b"x" * 257 + b'", "title": "t"}': RejectReason.ID_TOO_LONG,
    b'{"id": "a/b", "title": "t"}': RejectReason.ID_INVALID,
    b'{"id": "", "title": "t"}': RejectReason.ID_MISSING,
    b'{"title": "t"}': RejectReason.ID_MISSING,
    b'{"id": "1", "title": ': RejectReason.MALFORMED,
    b'["id", "title"]': RejectReason.MALFORMED,
    b"[" * 100_000: RejectReason.MALFORMED,
    b'{"id": ' + b"1" * 5000 + b', "title": "t"}': RejectReason.MALFORMED,
    b"\0": RejectReason.MALFORMED,
}


def test_a_bad_line_of_jsonl_costs_only_itself(tmp_path: Path) -> None:
    good = b'{"id": "good%d", "title": "t"}'
    lines = [good % 0]
    for number, bad in enumerate(BAD_JSONL, start=1):
        lines += [bad, good % number]
    path = tmp_path / "v.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(lines))
    items = read(path)
    assert ids(items) == [f"good{number}" for number in range(len(BAD_JSONL) + 1)]
    assert list(rejects(items).values()) == list(BAD_JSONL.values())
    assert [item.origin.row for item in items] == list(range(1, len(lines) + 1))


def test_a_reject_knows_the_id_where_there_is_one(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "title": "t"},
        {"id": "b", "title": "t", "views": -1},
        {"id": "x/", "title": "t"},
    ]
    items = read(write_jsonl(tmp_path / "v.jsonl", rows))
    assert [item.video_id for item in items if isinstance(item, Reject)] == ["b", None]


def test_blank_lines_are_counted_but_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "v.jsonl"
    path.write_bytes(b'\n{"id": 1, "title": "a"}\n  \n{"id": 2, "title": "b"}')
    assert [item.origin.row for item in read(path)] == [2, 4]


def test_rows_of_jsonl_need_not_have_the_same_keys(tmp_path: Path) -> None:
    rows = [{"id": 1, "title": "a"}, {"videoId": 2, "name": "b", "lang": "ta"}]
    assert videos(read(write_jsonl(tmp_path / "v.jsonl", rows))) == [
        Video(video_id="1", title="a"),
        Video(video_id="2", title="b", values={"language": "ta"}),
    ]


def test_an_endless_line_is_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("twinlens.catalog.sources.jsonl.MAX_LINE_BYTES", 100)
    path = tmp_path / "v.jsonl"
    exact = b'{"id": 2, "title": "%s"}'
    exact = exact % (b"x" * (100 - len(exact) + 2))
    assert len(exact) == 100
    long = exact.replace(b"x", b"xx", 1)
    lines = [b'{"id": 1, "title": "a"}', long, exact, b" " * 200_000, exact, long]
    path.write_bytes(b"\r\n".join(lines))
    items = read(path)
    assert ids(items) == ["1", "2", "2"]
    assert rejects(items) == dict.fromkeys((2, 4, 6), RejectReason.MALFORMED)


def test_a_bad_record_of_csv_costs_only_itself(tmp_path: Path) -> None:
    records = [
        b"id,title,views",
        b"1,one,1",
        b"2,two",
        b"3,three,3,3",
        b'4,"multi\nline, ""quoted""",4',
        b"5,n\0ul,5",
        b"6,caf\xe9,6",
        b'7,"a"b,7',
        b"8," + b"x" * 200_000 + b",8",
        b"9," + b"x" * (MAX_RECORD_BYTES + 1) + b",9",
        b"10,nan,10",
        b"11,ten,inf",
        b"",
        b"12,,12",
        b'13,5" disk,13',
        '14,"ලංකා\nව",'.encode(),
        b'15,"never closed,15',
        b"16,last,16",
        b'17,"open to the end,17',
    ]
    path = tmp_path / "v.csv"
    path.write_bytes(b"\xef\xbb\xbf" + b"\r\n".join(records))
    items = read(path)
    assert ids(items) == ["1", "4", "13", "14", "16"]
    assert rejects(items) == {
        2: RejectReason.MALFORMED,
        3: RejectReason.MALFORMED,
        5: RejectReason.MALFORMED,
        6: RejectReason.NOT_UTF8,
        7: RejectReason.MALFORMED,
        8: RejectReason.MALFORMED,
        9: RejectReason.MALFORMED,
        10: RejectReason.NOT_A_NUMBER,
        11: RejectReason.NOT_A_NUMBER,
        12: RejectReason.EMPTY,
        15: RejectReason.MALFORMED,
        17: RejectReason.MALFORMED,
    }


@pytest.mark.parametrize("head", [b"", b"\xff\xfe\x00", b'"open', b"a,\0"])
def test_a_csv_without_a_header_is_refused(tmp_path: Path, head: bytes) -> None:
    path = tmp_path / "v.csv"
    path.write_bytes(head)
    with pytest.raises(SourceError, match=r"v\.csv"):
        open_source(str(path))


@pytest.mark.parametrize("suffix", [".csv.gz", ".jsonl.gz"])
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_archive_gives_what_lies_before_the_damage(
    tmp_path: Path, suffix: str, damage: str
) -> None:
    random = Random(7)
    rows = [
        {"id": str(n), "title": random.randbytes(40).hex(), "views": n, "tags": []}
        for n in range(500)
    ]
    path = tmp_path / f"v{suffix}"
    (write_csv if "csv" in suffix else write_jsonl)(path, rows)
    whole = path.read_bytes()
    middle = len(whole) // 2
    path.write_bytes(
        whole[:middle] if damage == "cut" else whole[:middle] + b"\0" * 64 + whole[middle + 64 :]
    )
    items = read(path)
    assert len(items) > 100
    assert ids(items)[:100] == [str(n) for n in range(100)]
    last = items[-1]
    assert isinstance(last, Reject)
    assert last.reason is RejectReason.FILE_UNREADABLE
    if damage == "cut":
        assert len(rejects(items)) == 1
        assert last.origin.row == len(items)


def test_in_a_folder_a_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "1.jsonl.gz", VIDEOS)
    (tmp_path / "1.jsonl.gz").write_bytes((tmp_path / "1.jsonl.gz").read_bytes()[:-12])
    (tmp_path / "2.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "3.csv").write_bytes(b"")
    (tmp_path / "4.csv").write_bytes(b"user,rating\n1,2\n")
    (tmp_path / "5.csv.gz").write_bytes(b"no archive")
    (tmp_path / "deep" / "er").mkdir(parents=True)
    write_table(tmp_path / "deep" / "er" / "6.csv")
    (tmp_path / ".hidden").mkdir()
    write_table(tmp_path / ".hidden" / "7.csv")
    (tmp_path / "readme.md").write_text("hello")
    items = list(open_source(str(tmp_path)))
    assert ids(items)[-3:] == [*"abc"]
    assert {item.origin.file for item in items if isinstance(item, Row)} <= {
        "1.jsonl.gz",
        "deep/er/6.csv",
    }
    assert {item.origin.file: item.reason for item in items if isinstance(item, Reject)} == (
        dict.fromkeys(
            ["1.jsonl.gz", "2.parquet", "3.csv", "4.csv", "5.csv.gz"], RejectReason.FILE_UNREADABLE
        )
    )
    (tmp_path / "8.jsonl.gz").write_bytes(b"no archive")
    for name in ("2.parquet", "3.csv", "5.csv.gz", "8.jsonl.gz"):
        with pytest.raises(SourceError, match=name):
            open_source(str(tmp_path / name))


def test_a_folder_in_which_nothing_can_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "1.parquet").write_bytes(b"PAR1 no")
    (tmp_path / "2.csv").write_bytes(b"")
    with pytest.raises(SourceError, match=r"1\.parquet"):
        open_source(str(tmp_path))


def test_a_bad_cell_of_parquet_costs_only_its_row(tmp_path: Path) -> None:
    titles = pa.array([b"one", b"tw\xff", b"three"], pa.binary()).view(pa.string())
    dates = pa.array([1_700_000_000, 1_700_000_000, 2**61], pa.int64()).view(pa.timestamp("us"))
    path = write_parquet(
        tmp_path / "v.parquet", {"id": ["a", "b", "c"], "title": titles, "published_at": dates}
    )
    items = read(path)
    assert ids(items) == ["a"]
    assert rejects(items) == {2: RejectReason.NOT_UTF8, 3: RejectReason.BAD_VALUE}
    assert "'title'" in next(item.detail for item in items if isinstance(item, Reject))


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".parquet"])
def test_a_bad_row_tells_its_id_wherever_the_bad_cell_stands(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"v{suffix}"
    if suffix == ".parquet":
        title = pa.array([b"\xff"], pa.binary()).view(pa.string())
        write_parquet(path, {"title": title, "id": ["a"]})
    else:
        path.write_text(
            {".jsonl": '{"title": "\\ud800", "id": "a"}', ".csv": "title,id\nnan,a"}[suffix]
        )
    (item,) = read(path)
    assert isinstance(item, Reject)
    assert item.video_id == "a"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_column_that_is_there_twice_is_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"v{suffix}"
    table = pa.table([["a"], ["b"], ["c"], ["d"]], names=["x", "title", "x", "title"])
    if suffix == ".csv":
        path.write_text("x,title,x,title\na,b,c,d\n")
    else:
        pq.write_table(table, path)
    with pytest.raises(SourceError, match="more than one column 'title'"):
        open_source(str(path))


def test_parquet_keeps_its_types(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "v.parquet",
        {
            "id": pa.array([1, 2]),
            "title": pa.array(["t", "u"]).dictionary_encode(),
            "image": pa.array([RED, None]),
            "published_at": pa.array([1_700_000_000_000_000_001, None], pa.timestamp("ns", "UTC")),
            "duration": pa.array([1_500_000_001, None], pa.duration("ns")),
            "tags": pa.array([["a"], None]),
            "view_count": pa.array([1.0, float("nan")]),
        },
    )
    items = read(path)
    assert rejects(items) == {2: RejectReason.NOT_A_NUMBER}
    assert isinstance(items[0], Row)
    video = items[0].video
    assert (video.video_id, video.title, video.thumbnail) == ("1", "t", RED)
    assert video.number("duration_s") == 1.5
    assert (video.texts("tags"), video.number("view_count")) == (("a",), 1)
    published_at = video.moment("published_at")
    assert published_at is not None
    assert published_at.isoformat() == "2023-11-14T22:13:20+00:00"


def test_a_damaged_row_group_is_one_reject_and_the_others_are_read(tmp_path: Path) -> None:
    random = Random(7)
    titles = [random.randbytes(64).hex() for _ in range(300)]
    path = write_parquet(
        tmp_path / "v.parquet",
        {"id": [f"v{n}" for n in range(300)], "title": titles},
        row_group_size=100,
        compression="snappy",
        use_dictionary=False,
        write_page_checksum=False,
    )
    column = pq.ParquetFile(path).metadata.row_group(1).column(1)
    data = bytearray(path.read_bytes())
    start = column.data_page_offset
    data[start : start + 200] = b"\xff" * 200
    path.write_bytes(data)
    items = list(open_source(str(path)))
    assert ids(items) == [f"v{n}" for n in (*range(100), *range(200, 300))]
    assert rejects(items) == {101: RejectReason.FILE_UNREADABLE}
    assert "rows 101 to 200" in next(i.detail for i in items if isinstance(i, Reject))
    assert [item.origin.row for item in items][-1] == 300


def test_an_imagefolder_is_read_by_its_metadata(tmp_path: Path) -> None:
    (tmp_path / "train" / "pics").mkdir(parents=True)
    (tmp_path / "train" / "pics" / "1.jpg").write_bytes(RED)
    (tmp_path / "train" / "unnamed.jpg").write_bytes(BLUE)
    write_jsonl(
        tmp_path / "train" / "metadata.jsonl",
        [
            {"file_name": "pics/1.jpg", "id": 1, "title": "red"},
            {"file_name": "../../etc/passwd", "id": 2, "title": "out"},
            {"file_name": "pics/none.jpg", "id": 3, "title": "gone"},
        ],
    )
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "2.png").write_bytes(BLUE)
    (tmp_path / "test" / "metadata.csv").write_text("file_name,id\n2.png,4\n")
    (tmp_path / "titles.csv").write_text("id,title\n9,not metadata\n")
    items = read(tmp_path)
    assert ids(items) == ["4", "1", "3"]
    assert items[0].origin.file == "test/metadata.csv"
    assert rejects(items) == {2: RejectReason.PICTURE_MISSING}
    found = {item.video.video_id: item.video for item in items if isinstance(item, Row)}
    assert read_thumbnail(found["1"]) == RED
    assert read_thumbnail(found["4"]) == BLUE
    with pytest.raises(PictureRejected, match=r"none\.jpg") as caught:
        read_thumbnail(found["3"])
    assert caught.value.reason is RejectReason.PICTURE_MISSING


def test_a_folder_that_cannot_be_listed_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed").mkdir()
    (tmp_path / "a.jpg").write_bytes(RED)
    scan = os.scandir

    def guarded(path: str) -> Any:
        # Root, who runs tests in containers, may list everything.
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(SourceError, match="closed: Permission denied"):
        open_source(str(tmp_path))


def test_a_folder_of_pictures_is_thumbnails_without_titles(tmp_path: Path) -> None:
    (tmp_path / "cats").mkdir()
    for name in ("b.jpg", "a.PNG", "cats/a.jpeg", ".hidden.jpg", "notes.txt", "c\nd.jpg"):
        (tmp_path / name).write_bytes(RED)
    items = read(tmp_path)
    assert ids(items) == ["a", "b", "cats:a"]
    assert [item.origin.file for item in items] == ["a.PNG", "b.jpg", "c\nd.jpg", "cats/a.jpeg"]
    assert rejects(items) == {3: RejectReason.ID_INVALID}
    with pytest.raises(SourceError, match="pictures only"):
        open_source(str(tmp_path), columns={"title": "name"})


def test_pictures_of_every_kind(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(RED)
    (tmp_path / "linked.jpg").symlink_to(tmp_path / "a.jpg")
    rows = [
        {"id": 1, "image": "a.jpg"},
        {"id": 2, "image": "https://example.org/b.jpg"},
        {"id": 3, "thumbnail_url": "https://example.org/c.jpg"},
        {"id": 4, "title": "no picture"},
        {"id": 5, "image": {"bytes": None, "path": "linked.jpg"}},
    ]
    found = videos(read(write_jsonl(tmp_path / "v.jsonl", rows)))
    assert [video.thumbnail for video in found] == [
        tmp_path / "a.jpg",
        None,
        None,
        None,
        tmp_path / "linked.jpg",
    ]
    assert [video.thumbnail_url for video in found] == [
        None,
        "https://example.org/b.jpg",
        "https://example.org/c.jpg",
        None,
        None,
    ]
    assert read_thumbnail(found[4]) == RED
    assert read_thumbnail(found[3]) is None


def test_a_picture_that_cannot_be_read_is_told_with_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "big.jpg").write_bytes(b"x" * 1001)
    (tmp_path / "fits.jpg").write_bytes(b"x" * 1000)
    monkeypatch.setattr("twinlens.catalog.sources.thumbnails.MAX_BYTES", 1000)
    for name, reason in {
        "pipe.jpg": RejectReason.PICTURE_MISSING,
        "folder.jpg": RejectReason.PICTURE_MISSING,
        "none.jpg": RejectReason.PICTURE_MISSING,
        "big.jpg": RejectReason.PICTURE_TOO_LARGE,
        "a" * 300: RejectReason.PICTURE_UNREADABLE,
    }.items():
        with pytest.raises(PictureRejected, match=name) as caught:
            read_thumbnail(Video(video_id="v", thumbnail=tmp_path / name))
        assert caught.value.reason is reason
    assert read_thumbnail(Video(video_id="v", thumbnail=tmp_path / "fits.jpg")) == b"x" * 1000
    with pytest.raises(PictureRejected):
        read_thumbnail(Video(video_id="v", thumbnail=b"x" * 1001))


def test_ids_come_from_the_content_where_there_are_none(tmp_path: Path) -> None:
    (tmp_path / "red.jpg").write_bytes(RED)
    rows = [
        {"title": "one"},
        {"title": "one", "image": "red.jpg"},
        {"image": "red.jpg"},
        {"title": "two", "image": "red.jpg"},
        {"title": "one", "image": "https://example.org/a.jpg"},
        {"title": "gone", "image": "gone.jpg"},
    ]
    items = read(write_jsonl(tmp_path / "v.jsonl", rows))
    assert rejects(items) == {6: RejectReason.PICTURE_MISSING}
    assert len(set(ids(items))) == 5
    backwards = read(write_jsonl(tmp_path / "w.jsonl", reversed(rows)))
    assert ids(backwards) == ids(items)[::-1]
    same = write_parquet(
        tmp_path / "v.parquet",
        {"title": ["one", "two"], "image": pa.array([{"bytes": RED, "path": None}] * 2, IMAGE)},
    )
    assert ids(read(same)) == [ids(items)[1], ids(items)[3]], "wherever the same content lies"
    assert ids(items)[0] == "9245aecdd2ce9ba0dab5bd6d", "ids outlive a release of this program"


def test_the_rejects_file_appears_with_the_first_reject(tmp_path: Path) -> None:
    path = tmp_path / "out" / "rejects.jsonl"
    with RejectsFile(path) as file:
        assert not path.exists()
    with RejectsFile(path) as file:
        file.write(Reject(Origin("v\udc80.csv", 3), RejectReason.EMPTY, "nothing\nthere", "ලංකා"))
        file.note(Reject(Origin("v.csv", 4), RejectReason.PICTURE_NOT_FETCHED, "x" * 9999))
        assert len(path.read_text("utf-8").splitlines()) == 2, "each is written at once"
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert lines[0] == {
        "file": "v\udc80.csv",
        "row": 3,
        "video_id": "ලංකා",
        "reason": "empty",
        "detail": "nothing\nthere",
        "kept": False,
    }
    assert (lines[1]["video_id"], lines[1]["kept"], len(lines[1]["detail"])) == (None, True, 500)
    assert file.counts == Counter({RejectReason.EMPTY: 1})
    assert file.notes == Counter({RejectReason.PICTURE_NOT_FETCHED: 1})


REJECT = Reject(Origin("v.csv", 3), RejectReason.EMPTY, "nothing there", "one")


def test_an_earlier_rejects_file_goes_with_the_first_line_or_at_a_good_end(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    with RejectsFile(path) as file:
        file.write(REJECT)
        file.write(REJECT)
    earlier = path.read_bytes()
    with pytest.raises(SourceError, match="refused"), RejectsFile(path):
        raise SourceError("refused")
    assert path.read_bytes() == earlier, "a run that was refused says nothing of rows"
    with RejectsFile(path) as file:
        assert path.read_bytes() == earlier
        file.note(REJECT)
        assert len(path.read_text("utf-8").splitlines()) == 1
    with RejectsFile(path):
        pass
    assert not path.exists(), "what an earlier run left is not this run's"
    path.touch()
    with RejectsFile(path):
        pass
    assert not path.exists(), "empty, as a full disk leaves it"


@pytest.mark.parametrize(
    "content", ['{"video_id": "a", "title": "A"}\n', "id,title\n", "\x89PNG", "\n", "[1]\n"]
)
def test_a_file_that_is_no_rejects_file_is_named_and_left(tmp_path: Path, content: str) -> None:
    path = tmp_path / "catalogue.jsonl"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(SourceError, match=r"catalogue\.jsonl is there already"), RejectsFile(path):
        pytest.fail("it was entered")
    assert path.read_text(encoding="latin-1") == content


def test_a_rejects_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with RejectsFile(tmp_path / "taken") as file:
        file.path.mkdir()
        with pytest.raises(SourceError, match=r"rejects file .*taken: Is a directory"):
            file.write(REJECT)


def test_rejects_of_several_threads_are_whole_lines_and_all_counted(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    threads, each = 8, 300
    together = threading.Barrier(threads)
    previous = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with RejectsFile(path) as file, ThreadPoolExecutor(threads) as pool:

            def report(index: int) -> None:
                together.wait()
                for _ in range(each):
                    (file.write if index % 2 else file.note)(REJECT)

            list(pool.map(report, range(threads)))
    finally:
        sys.setswitchinterval(previous)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    assert sum(line["kept"] for line in lines) == file.notes.total() == threads * each // 2
    assert len(lines) - sum(line["kept"] for line in lines) == file.counts.total() == 1200


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hub's client as ``HF_HUB_OFFLINE=1`` makes it: no test talks to the network."""
    datasets = pytest.importorskip("datasets")
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def hub_folder(tmp_path: Path, offline: None) -> Path:
    """A data set as the hub keeps them, on this machine."""
    folder = tmp_path / "dataset"
    for split, count in (("train", 40), ("test", 3)):
        write_parquet(
            folder / "data" / f"{split}-00000-of-00001.parquet",
            {
                "image": pa.array([{"bytes": RED, "path": "a.jpg"}] * count, IMAGE),
                "title": [f"{split} {n}" for n in range(count)],
            },
        )
    return folder


def test_a_data_set_of_the_hub(hub_folder: Path) -> None:
    items = list(open_source(f"hf:{hub_folder}"))
    found = videos(items)
    assert [video.title for video in found] == [
        *(f"train {n}" for n in range(40)),
        *(f"test {n}" for n in range(3)),
    ]
    assert {video.thumbnail for video in found} == {RED}, "pictures come as the bytes they are"
    assert items[39].origin == Origin("train", 40)
    assert items[40].origin == Origin("test", 1)
    assert ids(items) == ids(open_source(f"hf:{hub_folder}"))
    assert len(set(ids(items))) == 43
    assert len(list(open_source(f"hf:{hub_folder}", split="test"))) == 3
    with pytest.raises(SourceError, match="no split 'dev'; its splits: train, test"):
        open_source(f"hf:{hub_folder}", split="dev")
    with pytest.raises(SourceError, match=r"no column 'name'.*image, title"):
        open_source(f"hf:{hub_folder}", columns={"title": "name"})


def test_a_data_set_of_the_hub_with_pictures_as_files(tmp_path: Path, offline: None) -> None:
    for name, data in (("1.jpg", RED), ("2.png", BLUE)):
        (tmp_path / name).write_bytes(data)
    rows = [{"file_name": "1.jpg", "title": "red"}, {"file_name": "2.png", "title": "blue"}]
    write_jsonl(tmp_path / "metadata.jsonl", rows)
    found = videos(open_source(f"hf:{tmp_path}"))
    assert [(video.title, video.thumbnail) for video in found] == [("red", RED), ("blue", BLUE)]


def test_a_data_set_of_the_hub_as_jsonl(tmp_path: Path, offline: None) -> None:
    write_jsonl(
        tmp_path / "train.jsonl", [*VIDEOS, {"id": "d", "title": None, "views": 1, "tags": []}]
    )
    items = list(open_source(f"hf:{tmp_path}"))
    assert ids(items) == [*"abc"]
    assert rejects(items) == {4: RejectReason.EMPTY}


def test_the_hub_out_of_reach(tmp_path: Path, offline: None) -> None:
    with pytest.raises(SourceError, match="hub can't be reached"):
        open_source("hf:Ransaka/youtube_recommendation_data", revision="main")
    with pytest.raises(SourceError, match="can't be loaded"):
        open_source(f"hf:{tmp_path}/none")


def test_the_hub_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(SourceError, match=r"pip install twinlens\[hub\]"):
        open_source("hf:Ransaka/youtube_recommendation_data")


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


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz", ".csv", ".parquet"])
def test_memory_does_not_grow_with_the_source(tmp_path: Path, suffix: str) -> None:
    text = "x" * 10_000
    path = tmp_path / f"v{suffix}"
    count = 3_000
    if suffix == ".parquet":
        columns = {
            "id": [str(n) for n in range(count)],
            "image": [n.to_bytes(4, "big") * 2_500 for n in range(count)],
        }
        write_parquet(
            path, columns, row_group_size=count, use_dictionary=False, write_batch_size=32
        )
    elif suffix == ".csv":
        write_csv(path, ({"id": n, "title": text, "views": n, "tags": []} for n in range(count)))
    else:
        write_jsonl(path, ({"id": n, "title": text} for n in range(count)))
    assert growth(open_source(str(path))) < 6_000_000 < count * len(text) / 4


NOISE = st.binary(max_size=200) | st.lists(
    st.sampled_from(
        [
            b"\n",
            b"\r",
            b'"',
            b",",
            b'""',
            b"a",
            b"1",
            b"\xff",
            b"\0",
            b"{",
            b"}",
            b'{"title": "t"}\n',
        ]
    ),
    max_size=60,
).map(b"".join)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".jsonl.gz", ".csv.gz"])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
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
    assert source.total() in (None, len(items))
    if suffix == ".jsonl":
        assert len(items) == sum(
            1 for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()
        )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.binary(max_size=8), st.binary(max_size=8), st.integers(-(2**63), 2**63 - 1))
    )
)
def test_any_cells_of_parquet_give_rows_and_rejects_and_nothing_else(
    tmp_path: Path, rows: list[tuple[bytes, bytes, int]]
) -> None:
    found, titles, numbers = zip(*rows, strict=True) if rows else ((), (), ())
    path = write_parquet(
        tmp_path / "v.parquet",
        {
            "id": pa.array(found, pa.binary()).view(pa.string()),
            "title": pa.array(titles, pa.binary()).view(pa.string()),
            "published_at": pa.array(numbers, pa.int64()).view(pa.timestamp("ns")),
            "upload_date": pa.array(numbers, pa.int64()).view(pa.timestamp("us")),
            "views": pa.array(numbers, pa.int64()).view(pa.float64()),
            "duration": pa.array(numbers, pa.int64()).view(pa.duration("us")),
        },
    )
    for columns in ({}, {"published_at": "upload_date"}):
        items = list(open_source(str(path), columns=columns))
        assert [item.origin.row for item in items] == list(range(1, len(rows) + 1))
    assert all(isinstance(item, Row | Reject) for item in items)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
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
            read = title.replace("\r\n", "\n").strip()
            assert (item.video.video_id, item.video.title) == (video_id.strip(), read)
