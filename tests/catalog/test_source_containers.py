"""What people hold a catalogue in: each container is read, or says what is the matter."""

from __future__ import annotations

import io
import json
import sqlite3
import tarfile
import zipfile
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from tests.catalog.tables import (
    BLUE,
    RED,
    VIDEOS,
    ids,
    notes_of,
    read,
    rejects,
    videos,
    write_book,
    write_files,
    write_parquet,
    write_table,
)
from twinlens.catalog.errors import RejectReason, SourceError
from twinlens.catalog.sources import Row, open_source

TITLES = {"x1": "Ein schöner Tag", "x2": "Übung macht den Meister"}
TEXT = "id,title,views\r\nx1,Ein schöner Tag,1234567\r\nx2,Übung macht den Meister,2500"
DIALECTS = {
    "semicolons with a mark at its beginning": ("\ufeff" + TEXT.replace(",", ";")).encode(),
    "utf-16 with tabs, as Excel saves": ("\ufeff" + TEXT.replace(",", "\t")).encode("utf-16-le"),
    "utf-16 the other way": ("\ufeff" + TEXT).encode("utf-16-be"),
    "utf-16 without a mark": TEXT.encode("utf-16-le"),
    "a line that names the separator": b"sep=,\r\n" + TEXT.encode(),
    "a line that names another": b"sep=;\r\n" + TEXT.replace(",", ";").encode(),
    "carriage returns": TEXT.replace("\r\n", "\r").encode(),
    "Windows-1252": TEXT.encode("cp1252"),
    "Windows-1252 below a banner": ("My videos;;\r\n\r\n" + TEXT.replace(",", ";")).encode(
        "cp1252"
    ),
    "Windows-1252 with semicolons and carriage returns": TEXT.replace(",", ";")
    .replace("\r\n", "\r")
    .encode("cp1252"),
    "bars": TEXT.replace(",", "|").encode(),
    "spaces before quotes": "\n".join(
        f'{a}, "{b}", "{c}"' for a, b, c in (line.split(",") for line in TEXT.split("\r\n"))
    ).encode(),
    "empty columns at the end": TEXT.replace("34567\r", "34567,,\r").encode(),
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
def test_every_dialect_of_csv_is_read(tmp_path: Path, dialect: str, suffix: str) -> None:
    path = tmp_path / f"v{suffix}"
    path.write_bytes(DIALECTS[dialect])
    found = videos(read(path))
    assert {video.video_id: video.title for video in found} == TITLES
    assert [video.number("view_count") for video in found] == [1234567, 2500]


def test_quotes_after_backslashes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_text('id,title\ns1,"He said \\"hello\\" twice"\ns2,Plain\n', encoding="utf-8")
    assert [video.title for video in videos(read(path))] == ['He said "hello" twice', "Plain"]
    path.write_text('id,title\ns1,"C:\\dir\\"\ns2,"a ""b"" c"\n', encoding="utf-8")
    assert [video.title for video in videos(read(path))] == ["C:\\dir\\", 'a "b" c']


def test_an_encoding_that_was_guessed_is_told(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_bytes(TEXT.encode("cp1252"))
    source = open_source(str(path))
    assert len(list(source)) == 2
    assert source.findings.to_sentences() == [
        "v.csv is read as Windows-1252, by its letters: it is not UTF-8"
    ]
    path.write_bytes("id,title\n1,Привет мир как дела сегодня\n".encode("cp1251"))
    source = open_source(str(path))
    assert rejects(source) == {1: RejectReason.NOT_UTF8}
    assert "perhaps cp1251" in source.findings.to_sentences()[0]


ROWS = [{"id": "a", "title": "A"}, {"id": "b", "title": "B [x] {y}"}]
LAYOUTS: dict[str, Any] = {
    "list": ROWS,
    "items": {"kind": "list", "items": ROWS},
    "data": {"total": 2, "data": ROWS},
    "entries": {"_type": "playlist", "title": "P", "entries": ROWS},
    "named before its items": {"name": "Export", "items": ROWS},
    "of Invidious": {"type": "playlist", "title": "P", "videos": ROWS},
    "entries before the rest": {"entries": ROWS, "_type": "playlist", "title": "P"},
    "data and items": {"data": {"items": ROWS, "n": 2}},
    "by id": {"a": {"title": "A"}, "b": {"title": "B [x] {y}"}},
    "of pandas, by column": {"id": {"0": "a", "1": "b"}, "title": {"0": "A", "1": "B [x] {y}"}},
    "of pandas, split": {
        "columns": ["id", "title"],
        "index": [0, 1],
        "data": [["a", "A"], ["b", "B [x] {y}"]],
    },
    "edges": {"edges": [{"node": row} for row in ROWS]},
    "edges deep within": {
        "data": {
            "channel": {"name": "C", "clips": {"page": {}, "edges": [{"node": r} for r in ROWS]}}
        }
    },
    "in capitals": {"Items": [{"Id": row["id"], "Name": row["title"]} for row in ROWS]},
    "linked data": {"@context": "https://schema.org", "@graph": ROWS},
    "of Firebase": {"videos": {row["id"]: {"title": row["title"]} for row in ROWS}},
    "pages in a list": [{"kind": "page", "items": [row]} for row in ROWS],
    "lists in a list": [[ROWS[0]], [ROWS[1]]],
    "a sheet": [["id", "title"], *([row["id"], row["title"]] for row in ROWS)],
    "a sheet of Google's API": {
        "range": "A1:B3",
        "values": [["id", "title"], *([row["id"], row["title"]] for row in ROWS)],
    },
    "of pandas, as a table": {
        "schema": {"fields": [{"name": "id"}, {"name": "title"}]},
        "data": [{"index": n, **row} for n, row in enumerate(ROWS)],
    },
    "under a name of its own": {"Activity": {"Seen": {"ClipList": ROWS}}, "Profile": {"x": 1}},
    "each in an object of one key": {"items": [{"clipRenderer": row} for row in ROWS]},
    "lists by name": {"liked": [ROWS[0]], "watched": [ROWS[1]]},
    "wrapped": {"data": [{"at": 1, "video": row} for row in ROWS]},
    "of JSON:API": {
        "data": [{"id": row["id"], "attributes": {"title": row["title"]}} for row in ROWS],
        "links": {},
    },
    "rows of the hub": {
        "features": [{"name": "title"}],
        "rows": [{"row_idx": n, "row": row} for n, row in enumerate(ROWS)],
    },
    "hits": {"hits": {"hits": [{"_id": row["id"], "_source": row} for row in ROWS]}},
    "playlists in a playlist": {"entries": [{"entries": ROWS[:1]}, {"entries": ROWS[1:]}]},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("indent", [None, 1])
def test_json_of_every_layout_is_read(tmp_path: Path, layout: str, indent: int | None) -> None:
    path = tmp_path / "v.json"
    path.write_text(json.dumps(LAYOUTS[layout], indent=indent), encoding="utf-8")
    found = videos(read(path))
    assert [(video.video_id, video.title) for video in found] == [("a", "A"), ("b", "B [x] {y}")]


def test_json_that_is_called_lines_and_lines_that_are_called_json(tmp_path: Path) -> None:
    for name, text in {
        "list.jsonl": json.dumps(ROWS, indent=1),
        "lines.json": "\n".join(map(json.dumps, ROWS)),
        "pages.json": json.dumps({"items": ROWS[:1]}) + "\n" + json.dumps({"items": ROWS[1:]}),
        "glued.json": json.dumps(ROWS[:1]) + json.dumps(ROWS[1:]),
        "pretty.jsonl": "\n".join(json.dumps(row, indent=2) for row in ROWS),
        "marked.json": "\ufeff" + json.dumps(ROWS),
    }.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert ids(read(tmp_path / name)) == ["a", "b"], name
    (tmp_path / "wide.json").write_bytes(json.dumps(ROWS).encode("utf-16"))
    assert ids(read(tmp_path / "wide.json")) == ["a", "b"]


def test_json_that_breaks_off_gives_what_lies_before(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    path.write_text(json.dumps(ROWS)[:-5], encoding="utf-8")
    items = read(path)
    assert ids(items) == ["a"]
    assert rejects(items) == {2: RejectReason.MALFORMED}
    for text in ("{", "[", '{"items": [', "nonsense", '{"a" 1}', "[" * 100_000):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(SourceError, match=r"v\.json"):
            open_source(str(path))


def test_json_larger_than_a_piece_is_read_across_pieces(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"id": f"v{n}", "title": "x" * (n * 37 % 300), "views": n} for n in range(1, 200)]
    path = tmp_path / "v.json"
    for indent in (None, 4):
        path.write_text(json.dumps({"items": rows}, indent=indent), encoding="utf-8")
        for size in (1, 7, 64, 1000):
            monkeypatch.setattr("twinlens.catalog.sources.json_table._CHUNK", size)
            found = list(open_source(str(path)))
            assert ids(found) == [row["id"] for row in rows]


def test_a_value_in_objects_is_named_by_a_path(tmp_path: Path) -> None:
    row = {"key": 7, "of": {"it": {"title": "T", "when": "2024-03-01"}}, "thumbnail": "no.jpg"}
    mapping = {"video_id": "key", "title": "of.it.title", "published_at": "of.it.when"}
    path = write_table(tmp_path / "v.jsonl", [row])
    (video,) = videos(read(path, columns={**mapping, "thumbnail": ""}))
    assert (video.video_id, video.title, video.thumbnail) == ("7", "T", None)
    assert video.moment("published_at") == datetime(2024, 3, 1, tzinfo=UTC)
    table = write_parquet(tmp_path / "v.parquet", {name: [cell] for name, cell in row.items()})
    assert videos(read(table, columns={**mapping, "thumbnail": ""})) == [video]
    with pytest.raises(SourceError, match=r"no column 'of\.it\.titel'.*key, of, thumbnail"):
        open_source(str(path), columns={"title": "of.it.titel"})


def test_what_was_not_used_is_told(tmp_path: Path) -> None:
    write_table(tmp_path / "v.csv", [{"id": 1, "title": "t", "mood": "x", "crew": "y"}])
    write_files(tmp_path, {"notes.txt": b"x", "clip.mp4": b"x"})
    source = open_source(str(tmp_path))
    assert len(list(source)) == 1
    assert source.findings.to_sentences() == [
        "columns that were not used: mood, crew (--column FIELD=COLUMN takes one)",
        "2 files were not read: clip.mp4, notes.txt",
    ]


def test_a_column_that_any_row_was_read_by_was_used(tmp_path: Path) -> None:
    rows = [{"id": 1, "title": "t", "mood": "x"}, {"videoId": 2, "name": "u"}]
    source = open_source(str(write_table(tmp_path / "v.jsonl", rows)))
    assert ids(source) == ["1", "2"]
    assert list(source.findings.columns) == ["mood"]


def test_titles_are_found_under_the_names_of_image_sets(tmp_path: Path) -> None:
    for name in ("text", "caption"):
        folder = write_files(tmp_path / name, {"train/a.jpg": RED, "test/b.jpg": BLUE})
        rows = [
            {"file_name": "train/a.jpg", name: "red"},
            {"file_name": "test/b.jpg", name: "blue"},
        ]
        write_table(folder / "metadata.csv", rows)
        assert [video.title for video in videos(read(folder))] == ["red", "blue"]


def test_a_workbook_is_read_by_its_types(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    first = book.active
    assert first is not None
    first.append(["about"])
    sheet = book.create_sheet("Videos")
    sheet.append([])
    sheet.append(["Video ID", "Title", "Published", "Length", "Views", None])
    sheet.append(["a", "A", datetime(2023, 11, 5, 10), time(12, 34), 1234567.0, "note"])  # noqa: DTZ001
    sheet.append(["b", "B", "Nov 5, 2023", time(1, 2, 3), "1.2M", None])
    sheet["D3"].number_format = "h:mm"
    sheet["D4"].number_format = "h:mm:ss"
    path = tmp_path / "v.xlsx"
    book.save(path)
    source = open_source(str(path), columns={"published_at": "Published", "duration_s": "Length"})
    a, b = videos(source)
    assert (a.number("duration_s"), b.number("duration_s")) == (754, 3723)
    assert (a.number("view_count"), b.number("view_count")) == (1234567, 1_200_000)
    assert a.moment("published_at") == datetime(2023, 11, 5, 10, tzinfo=UTC)
    assert source.findings.to_sentences() == ["1 files were not read: v.xlsx, sheet 'Sheet'"]
    path.write_bytes(b"no workbook")
    with pytest.raises(SourceError, match="no readable workbook"):
        open_source(str(path))


@pytest.mark.parametrize("share", [0.5, 0.001])
def test_of_a_damaged_sheet_the_rows_before_are_read(tmp_path: Path, share: float) -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.append(["video_id", "title"])
    for number in range(100):
        book.active.append([f"v{number}", f"title {number}"])
    book.save(tmp_path / "whole.xlsx")
    path = tmp_path / "cut.xlsx"
    with zipfile.ZipFile(tmp_path / "whole.xlsx") as whole, zipfile.ZipFile(path, "w") as cut:
        for member in whole.infolist():
            content = whole.read(member)
            if member.filename.endswith("sheet1.xml"):
                content = content[: int(len(content) * share)]
            cut.writestr(member, content)
    if share < 0.1:
        with pytest.raises(SourceError, match="no readable workbook"):
            open_source(str(path))
        return
    rows = read(path)
    before = ids(rows)
    assert before == [f"v{number}" for number in range(len(before))]
    assert 10 < len(before) < 100
    assert rejects(rows) == {len(before) + 1: RejectReason.FILE_UNREADABLE}


def test_a_database_is_read_by_its_only_table_of_videos_or_by_a_query(tmp_path: Path) -> None:
    path = write_book(tmp_path / "v.db", [{"user": 1, "rating": 2}], "ratings")
    with pytest.raises(SourceError, match="title or a thumbnail"):
        open_source(str(path))
    write_book(path, VIDEOS, "videos")
    assert ids(open_source(str(path))) == [*"abc"]
    write_book(path, VIDEOS, "more")
    with closing(sqlite3.connect(path)) as database:
        database.execute("CREATE VIEW recent AS SELECT * FROM videos")
        database.execute("CREATE VIRTUAL TABLE found USING fts5(title)")
        database.commit()
    source = open_source(str(path))
    assert ids(source) == [*"abc"], "the one that is called so"
    assert [said.count("SELECT") for said in source.findings.to_sentences()] == [3]
    seen = write_book(
        tmp_path / "s.db", [{"name": "C", "url": "https://c.example"}], "subscriptions"
    )
    write_book(seen, VIDEOS, "streams")
    assert ids(open_source(str(seen))) == [*"abc"], "the one with views"
    several = write_book(write_book(tmp_path / "w.db", VIDEOS, "clips"), VIDEOS, "more")
    with pytest.raises(SourceError, match="several tables of videos; name one by --query"):
        open_source(str(several))
    asked = "SELECT id, title FROM more WHERE views > 0"
    assert ids(open_source(str(path), query=asked)) == ["a"]
    for query, said in (
        ("SELECT nowhere FROM more", "no such column"),
        ("DROP TABLE more", "readonly"),
    ):
        with pytest.raises(SourceError, match=said):
            list(open_source(str(path), query=query))
    with pytest.raises(SourceError, match="a query is for SQLite"):
        open_source(str(tmp_path), query=asked)


def write_tar(path: Path, files: Mapping[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


SHARD = {
    "000000000.jpg": RED,
    "000000000.txt": b"a red boat",
    "000000000.json": b'{"caption": "a red boat", "key": "000000000", "status": "success"}',
    "000000001.jpg": BLUE,
    "000000001.txt": b"a blue boat",
    "000000001.json": b'{"caption": "a blue boat", "key": "000000001", "status": "success"}',
}


def test_shards_of_img2dataset_are_read(tmp_path: Path) -> None:
    for path in (
        write_tar(tmp_path / "00000.tar", SHARD),
        write_tar(tmp_path / "00000.tar.gz", SHARD, "w:gz"),
        write_tar(tmp_path / "00000.tar.xz", SHARD, "w:xz"),
        write_zip(tmp_path / "00000.zip", SHARD),
    ):
        found = videos(open_source(str(path)))
        assert [(v.video_id, v.title) for v in found] == [
            ("000000000", "a red boat"),
            ("000000001", "a blue boat"),
        ]
    folder = tmp_path / "set"
    folder.mkdir()
    write_tar(folder / "00000.tar", SHARD)
    later = {name.replace("00000000", "00001000"): data for name, data in SHARD.items()}
    write_tar(folder / "00001.tar", later)
    assert len(videos(open_source(str(folder)))) == 4
    texts = {name: data for name, data in SHARD.items() if not name.endswith(".json")}
    found = videos(open_source(str(write_tar(tmp_path / "texts.tar", texts))))
    assert [video.title for video in found] == ["a red boat", "a blue boat"]


def test_a_zip_of_a_table_and_its_pictures_is_read(tmp_path: Path) -> None:
    rows = [{"id": "a", "title": "A", "image": "pics/a.jpg"}]
    table = write_table(tmp_path / "v.csv", rows).read_bytes()
    files = {"in/v.csv": table, "in/pics/a.jpg": RED, "__MACOSX/in/._v.csv": b"x"}
    source = open_source(str(write_zip(tmp_path / "v.zip", files)))
    (item,) = list(source)
    assert isinstance(item, Row)
    assert (item.video.video_id, item.origin.file, item.notes) == ("a", "in/v.csv", ())
    assert source.findings.to_sentences() == []


def test_an_archive_writes_nothing_outside_and_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = write_table(tmp_path / "v.jsonl").read_bytes()
    hostile = {"../out.csv": b"x", "/abs.csv": b"x", "a/../../b.csv": b"x", "v.jsonl": table}
    for path in (write_zip(tmp_path / "v.zip", hostile), write_tar(tmp_path / "v.tar", hostile)):
        source = open_source(str(path))
        assert len(list(source)) == 3
        assert "lead outside" in source.findings.to_sentences()[0]
    with tarfile.open(tmp_path / "link.tar", "w") as archive:
        member = tarfile.TarInfo("v.csv")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(SourceError, match="lead outside"):
        open_source(str(tmp_path / "link.tar"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("link.tar", "v.jsonl", "v.tar", "v.zip")
    ]
    monkeypatch.setattr("twinlens.catalog.sources.archives.MAX_BYTES", 1_000_000)
    bomb = write_zip(tmp_path / "bomb.zip", {"v.csv": b"0" * 2_000_000})
    with pytest.raises(SourceError, match="more than 1000000 bytes"):
        open_source(str(bomb))
    monkeypatch.setattr("twinlens.catalog.sources.archives.MAX_MEMBERS", 2)
    with pytest.raises(SourceError, match="more than 2 files"):
        open_source(str(write_tar(tmp_path / "many.tar", SHARD)))
    (tmp_path / "cut.zip").write_bytes(b"PK\x03\x04 no")
    (tmp_path / "cut.tar").write_bytes(b"no")
    whole = write_tar(tmp_path / "whole.tar.xz", SHARD, "w:xz").read_bytes()
    (tmp_path / "cut.tar.xz").write_bytes(whole[: len(whole) // 2])
    for name in ("cut.zip", "cut.tar", "cut.tar.xz"):
        with pytest.raises(SourceError, match="damaged archive"):
            open_source(str(tmp_path / name))


def test_what_is_our_own_is_never_read(tmp_path: Path) -> None:
    write_files(tmp_path, {"one.jpg": RED, "two.jpg": BLUE, "data/thumbnails/3.jpg": RED})
    write_files(tmp_path, {"family/generations/readme.txt": b"ours", "family/5.jpg": RED})
    write_files(tmp_path, {"data/generations/x/ledger.sqlite": b"", "elsewhere/4.jpg": RED})
    line = {"file": "v", "row": 1, "video_id": None, "reason": "empty", "detail": "", "kept": False}
    write_table(tmp_path / "rejects.jsonl", [line])
    source = open_source(str(tmp_path), leave_out=[tmp_path / "elsewhere"])
    # A folder of others that has that name, too.
    assert len(ids(source)) == 3
    assert source.findings.to_sentences() == [
        "data is a data directory and was left out",
        "elsewhere is a data directory and was left out",
        "rejects.jsonl is TwinLens' own and was left out",
        "1 files were not read: family/generations/readme.txt",
    ]


def test_a_picture_is_found_in_either_form_of_its_name(tmp_path: Path) -> None:
    nfc, nfd = "M\u00fcnster Caf\u00e9.jpg", "Mu\u0308nster Cafe\u0301.jpg"
    for held, named in ((nfc, nfd), (nfd, nfc)):
        folder = write_files(tmp_path / str(len(held)), {held: RED, "in/b.jpg": BLUE})
        rows = [{"file_name": named, "title": "A"}, {"file_name": "in\\b.jpg", "title": "B"}]
        write_table(folder / "metadata.jsonl", rows)
        items = read(folder)
        assert notes_of(items) == []
        assert [video.thumbnail for video in videos(items)] == [RED, BLUE]


def test_texts_are_of_one_form(tmp_path: Path) -> None:
    rows = [
        {"id": "u1", "title": "Soup", "channel": "Caf\u00e9", "tags": ["\u00e9t\u00e9"]},
        {"id": "u2", "title": "Fe\u0302te", "channel": "Cafe\u0301", "tags": ["e\u0301te\u0301"]},
    ]
    one, two = videos(read(write_table(tmp_path / "v.jsonl", rows)))
    assert one.values == two.values
    assert two.title == "F\u00eate"


def test_rows_of_one_title_and_other_addresses_are_several_videos(tmp_path: Path) -> None:
    rows = [{"title": "Live", "url": f"https://video.example/{n}"} for n in range(3)]
    rows += [{"title": "Live", "url": f"/watch?v={n}"} for n in range(3)]
    assert len(set(ids(read(write_table(tmp_path / "v.csv", rows))))) == 6


def test_playlists_in_a_list_are_no_videos(tmp_path: Path) -> None:
    lists = [{"title": "P", "videos": ROWS}, {"title": "Q", "videos": ["y1234567-_0"]}]
    lists.append({"title": "R", "id": "r", "videos": ["https://i.example/1.mp4"]})
    for name, text in (
        ("v.json", json.dumps({"playlists": lists})),
        ("v.jsonl", "\n".join(map(json.dumps, lists))),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
        source = open_source(str(tmp_path / name))
        assert [(v.video_id, v.text("playlist")) for v in videos(source)] == [
            ("a", "P"),
            ("b", "P"),
            ("r", None),
        ]
        told = "1 rows passed over: playlists that name their videos without titles"
        assert told in source.findings.to_sentences()


def test_lines_that_are_pages_give_their_rows(tmp_path: Path) -> None:
    pages = [{"entries": [ROWS[0], None], "title": "P"}, {"id": "c", "title": "C"}]
    pages += [{"Items": [ROWS[1]]}, {"error": {"code": 403, "message": "quota exceeded"}}]
    path = write_table(tmp_path / "v.jsonl", pages)
    source = open_source(str(path))
    items = list(source)
    assert ids(items) == ["a", "c", "b"]
    assert [item.origin.row for item in items] == [1, 2, 3, 4]
    assert rejects(items) == {4: RejectReason.MALFORMED}
    assert "quota exceeded" in str(items[-1])
    assert "1 rows passed over: null where a video should be" in source.findings.to_sentences()
    (tmp_path / "one.jsonl").write_text(json.dumps({"items": ROWS}))
    assert ids(read(tmp_path / "one.jsonl")) == ["a", "b"]
    # Cut out of a list, with a tab within a text and a byte that is no UTF-8 beside.
    (tmp_path / "cut.jsonl").write_bytes(b'{"id": 1, "title": "A\tb", "x": "\xe9"},\n')
    assert [video.title for video in videos(read(tmp_path / "cut.jsonl"))] == ["A\tb"]


@pytest.mark.parametrize("suffix", [".json", ".jsonl"])
@pytest.mark.parametrize(
    "answer",
    [
        {"error": {"code": 403, "message": "quota exceeded", "errors": [{"reason": "q"}]}},
        {"errors": [{"message": "quota exceeded"}], "data": None},
        {"error": "quota exceeded", "status": 403},
        {"success": False, "error": True, "message": "quota exceeded"},
    ],
)
def test_an_error_of_a_service_is_told(
    tmp_path: Path, suffix: str, answer: dict[str, object]
) -> None:
    path = tmp_path / f"v{suffix}"
    path.write_text(json.dumps(answer), encoding="utf-8")
    with pytest.raises(SourceError, match="an error instead of rows: quota exceeded"):
        open_source(str(path))


def test_a_value_in_a_wrapper_is_the_rows_own_and_still_has_its_path(tmp_path: Path) -> None:
    rows = [{"id": "rec1", "fields": {"Title": "A", "mood": "x"}, "createdTime": "2024-03-01"}]
    path = tmp_path / "v.json"
    path.write_text(json.dumps({"records": rows}), encoding="utf-8")
    source = open_source(str(path))
    (video,) = videos(source)
    assert (video.video_id, video.title) == ("rec1", "A")
    assert list(source.findings.columns) == ["mood"]
    (video,) = videos(read(path, columns={"title": "fields.mood"}))
    assert video.title == "x"


def csv_rows(path: Path, text: str | bytes) -> dict[str, tuple[str | None, list[str]]]:
    """Title and noted fields of every video, by id; none may be lost."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    items = [item for item in read(path) if isinstance(item, Row) or pytest.fail(str(item))]
    return {
        item.video.video_id: (item.video.title, [note.field for note in item.notes])
        for item in items
    }


def test_records_of_another_width_are_read_as_far_as_they_are_sure(tmp_path: Path) -> None:
    text = "id,title,channel,views\n1,A long one,Chan One,5\n2,Short row\n3,Hello, World,Chan,7\n"
    text += "4,Top 1,000 songs,Chan Two,8\n5,One, two,Chan, three,9\n"
    assert csv_rows(tmp_path / "v.csv", text) == {
        "1": ("A long one", []),
        "2": ("Short row", []),
        "3": ("Hello, World", []),
        "4": ("Top 1", ["title", "channel"]),  # or "Top 1,000 songs": a guess, and noted
        "5": ("One, two", []),
    }
    text = "id;views;title\n1;5;A long one\n2;6;Fish;chips\n"
    assert csv_rows(tmp_path / "v.csv", text)["2"] == ("Fish;chips", [])
    text = "id,title\n1,Fish,chips\n"
    assert csv_rows(tmp_path / "v.csv", text)["1"] == ("Fish,chips", ["title"])


def test_bytes_in_a_column_that_is_not_used_cost_nothing(tmp_path: Path) -> None:
    rows = b"id,title,caf\xe9\n1,\xc3\xbc,caf\xe9\n2,B,n\0ul\n3,C," + b"x" * 200_000 + b"\n"
    found = csv_rows(tmp_path / "v.csv", rows)
    assert found == {"1": ("ü", []), "2": ("B", []), "3": ("C", [])}


def test_quotes_and_backslashes_of_either_kind_stand_in_one_file(tmp_path: Path) -> None:
    text = 'id,title\n1,"Say \\"hi\\" twice"\n2,"Path C:\\"\n3,B\n4,"a ""b"" c"\n5,"open\n6,F\n'
    assert csv_rows(tmp_path / "v.csv", text) == {
        "1": ('Say "hi" twice', []),
        "2": ("Path C:\\", []),
        "3": ("B", []),
        "4": ('a "b" c', []),
        "5": ("open", ["title"]),
        "6": ("F", []),
    }


def test_quotes_in_files_of_tabs_are_letters_unless_the_file_quotes(tmp_path: Path) -> None:
    text = 'id\ttitle\tviews\n1\t"Hi there\t5\n2\tSay "yes" now\t6\n3\tBye"\t7\n'
    found = csv_rows(tmp_path / "v.tsv", text)
    assert [title for title, _ in found.values()] == ['"Hi there', 'Say "yes" now', 'Bye"']
    # A short row, so that it can't be told at once.
    found = csv_rows(tmp_path / "v.tsv", f"{text}4\tshort\n")
    assert [title for title, _ in found.values()] == ["Hi there", 'Say "yes" now', 'Bye"', "short"]
    text = 'id\ttitle\n1\t"two\nlines"\n2\t"a\tb"\n3\t"c ""d"""\n'
    found = csv_rows(tmp_path / "v.tsv", text)
    assert [title for title, _ in found.values()] == ["two\nlines", "a\tb", 'c "d"']


HEADS = {
    "comments": "# exported 2024, by me\n# 3 columns\n",
    "a banner": "My videos\n\n",
    "a banner of several cells": "Export,2024-03-01\n",
    "nothing": "",
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("header", ["id,title,views", "#,titel,kanal"])
def test_what_stands_before_a_header_is_passed_over(tmp_path: Path, head: str, header: str) -> None:
    if header.startswith("#") and head == "a banner of several cells":
        return  # nothing tells it from a header that nobody knows
    mapping = {} if "id" in header else {"title": "titel", "video_id": "#"}
    rows = ["1,A,2", "2,B,3"]
    path = tmp_path / "v.csv"
    path.write_text(f"{HEADS[head]}{header}\n" + "\n".join(rows))
    source = open_source(str(path), columns=mapping)
    assert [video.title for video in videos(source)] == ["A", "B"]
    told = any("line" in said for said in source.findings.to_sentences())
    assert told == bool(HEADS[head])
    book = openpyxl.Workbook()
    assert book.active is not None
    for line in [*HEADS[head].split("\n"), header, *rows]:
        book.active.append(line.split(","))
    book.save(tmp_path / "v.xlsx")
    assert [v.title for v in videos(read(tmp_path / "v.xlsx", columns=mapping))] == ["A", "B"]


def test_a_header_of_one_column_stays_the_header(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_text("titel\nA\nB, and C\nD\nE\n")
    found = list(open_source(str(path), columns={"title": "titel"}))
    assert [v.title for v in videos(found)] == ["A", "B, and C", "D", "E"]


def test_a_database_that_is_lines_of_json_is_read(tmp_path: Path) -> None:
    row = {"videoId": "y1", "title": "T", "author": "A", "authorId": "UC1", "lengthSeconds": 90}
    row |= {"published": 1_709_251_200_000, "viewCount": 7, "type": "video", "_id": "k"}
    path = tmp_path / "history.db"
    path.write_text("\n".join(map(json.dumps, [row, {"$$deleted": True, "_id": "z"}])))
    (video,) = videos(open_source(str(path)))
    assert (video.video_id, video.text("channel_id"), video.number("duration_s")) == (
        "y1",
        "UC1",
        90,
    )
    assert video.moment("published_at") == datetime(2024, 3, 1, tzinfo=UTC)
    lists = {"playlistName": "Later", "videos": [row, {**row, "videoId": "y2"}], "_id": "l"}
    path.write_text(json.dumps(lists) + "\n")
    found = videos(open_source(str(path)))
    assert [(v.video_id, v.text("playlist")) for v in found] == [("y1", "Later"), ("y2", "Later")]


def test_a_name_that_the_disk_does_not_take_costs_its_file_alone(tmp_path: Path) -> None:
    files = {f"{'x' * 300}.txt": b"x", "a": b"x", "a/b.txt": b"x", "v.csv": b"id,title\n1,One\n"}
    source = open_source(str(write_zip(tmp_path / "v.zip", files)))
    assert ids(list(source)) == ["1"]
    assert len([told for told in source.findings.to_sentences() if "was left out" in told]) == 2


def test_names_of_columns_that_stand_there_again_are_no_video(tmp_path: Path) -> None:
    path = tmp_path / "v.csv"
    path.write_text("id,title\n1,One\nid,title\n2,Two\n", encoding="utf-8")
    source = open_source(str(path))
    assert ids(list(source)) == ["1", "2"]
    assert source.findings.to_sentences() == [
        "1 rows passed over: the names of the columns once more"
    ]


def test_a_sheet_is_as_large_as_its_rows_whatever_it_says(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for cells in (["id", "title"], ["1", "One"], ["2", "Two"]):
        sheet.append(cells)
    # Left behind at the very end, as people do: many rows of thousands of cells.
    sheet["XFD50000"] = " "
    book.save(tmp_path / "far.xlsx")
    assert ids(read(tmp_path / "far.xlsx")) == ["1", "2"]
    with (
        zipfile.ZipFile(tmp_path / "far.xlsx") as whole,
        zipfile.ZipFile(tmp_path / "said.xlsx", "w") as said,
    ):
        for name in whole.namelist():
            content = whole.read(name).replace(b'ref="A1:XFD50000"', b'ref="A1"')
            said.writestr(name, content)
    assert ids(read(tmp_path / "said.xlsx")) == ["1", "2"]


def test_lists_beside_the_one_that_is_read_are_told(tmp_path: Path) -> None:
    path = tmp_path / "v.json"
    path.write_text(json.dumps({"videos": ROWS, "shorts": ROWS, "tags": ["a"]}), encoding="utf-8")
    source = open_source(str(path))
    assert ids(list(source)) == ["a", "b"]
    assert source.findings.to_sentences() == [
        "2 rows passed over: under 'shorts', beside the list that was read"
    ]
