"""Folders as sources: of tables, of pictures with metadata, of pictures alone."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tests.catalog.tables import (
    BLUE,
    IMAGE,
    RED,
    ids,
    notes_of,
    read,
    rejects,
    videos,
    write_files,
    write_parquet,
    write_table,
)
from twinlens.catalog.errors import PictureRejected, RejectReason, SourceError
from twinlens.catalog.sources import Reject, Row, open_source, read_thumbnail
from twinlens.catalog.video import Video

MISSING = RejectReason.PICTURE_MISSING


def test_in_a_folder_a_bad_file_does_not_stop_the_others(tmp_path: Path) -> None:
    bad = {
        "1.jsonl.gz": write_table(tmp_path / "1.jsonl.gz").read_bytes()[:-12],
        "2.parquet": b"PAR1 no",
        "3.csv": b"",
        "5.csv.gz": b"no archive",
    }
    write_files(tmp_path, {**bad, "4.csv": b"user,rating\n1,2\n", "readme.md": b"hello"})
    write_table(tmp_path / "deep" / "er" / "6.csv")
    write_table(tmp_path / ".hidden" / "7.csv")
    source = open_source(str(tmp_path))
    items = list(source)
    assert ids(items)[-3:] == [*"abc"]
    assert list(source.findings.files) == [
        "readme.md",
        "4.csv (no column for a title or a picture)",
    ]
    good = {item.origin.file for item in items if isinstance(item, Row)}
    assert good <= {"1.jsonl.gz", "deep/er/6.csv"}
    assert {item.origin.file: item.reason for item in items if isinstance(item, Reject)} == (
        dict.fromkeys(bad, RejectReason.FILE_UNREADABLE)
    )
    (tmp_path / "8.jsonl.gz").write_bytes(b"no archive")
    (tmp_path / "4.csv").unlink()
    for name in ("2.parquet", "3.csv", "5.csv.gz", "8.jsonl.gz"):
        with pytest.raises(SourceError, match=name):
            open_source(str(tmp_path / name))
    nothing = write_files(tmp_path / "nothing", {"1.parquet": b"PAR1 no", "2.csv": b""})
    with pytest.raises(SourceError, match=r"1\.parquet"):
        open_source(str(nothing))


def test_an_imagefolder_is_read_by_its_metadata(tmp_path: Path) -> None:
    rows = [
        {"file_name": "pics/1.jpg", "id": 1, "title": "red"},
        {"file_name": "../../etc/passwd", "id": 2, "title": "out"},
        {"file_name": "pics/none.jpg", "id": 3, "title": "gone"},
    ]
    write_table(tmp_path / "train" / "metadata.jsonl", rows)
    write_table(tmp_path / "test" / "metadata.csv", [{"file_name": "2.png", "id": 4}])
    write_table(tmp_path / "titles.csv", [{"id": 9, "title": "not metadata"}])
    pictures = {"train/pics/1.jpg": RED, "train/unnamed.jpg": BLUE, "test/2.png": BLUE}
    write_files(tmp_path, pictures)
    items = read(tmp_path)
    assert ids(items) == ["4", "1", "2", "3"]
    assert items[0].origin.file == "test/metadata.csv"
    assert [note.reason for note in notes_of(items)] == [MISSING]
    found = {item.video.video_id: item.video for item in items if isinstance(item, Row)}
    assert read_thumbnail(found["1"]) == RED
    assert read_thumbnail(found["4"]) == BLUE
    with pytest.raises(PictureRejected, match=r"none\.jpg") as caught:
        read_thumbnail(found["3"])
    assert caught.value.reason is MISSING


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


def test_a_pipe_in_a_folder_is_told_and_not_waited_for(tmp_path: Path) -> None:
    write_table(tmp_path / "a.csv", [{"id": "a", "title": "A"}])
    os.mkfifo(tmp_path / "b.csv")
    source = open_source(str(tmp_path))
    assert ids(list(source)) == ["a"]
    assert "b.csv is no file and was left out" in source.findings.to_sentences()


def test_a_folder_of_pictures_is_thumbnails_without_titles(tmp_path: Path) -> None:
    names = ("b.jpg", "a.PNG", "cats/a.jpeg", ".hidden.jpg", "notes.txt", "c\nd.jpg")
    write_files(tmp_path, dict.fromkeys(names, RED))
    items = read(tmp_path)
    assert ids(items) == ["a", "b", "cats:a"]
    assert [item.origin.file for item in items] == ["a.PNG", "b.jpg", "c\nd.jpg", "cats/a.jpeg"]
    assert rejects(items) == {3: RejectReason.ID_INVALID}
    with pytest.raises(SourceError, match="pictures only"):
        open_source(str(tmp_path), columns={"title": "name"})


def test_pictures_of_every_kind(tmp_path: Path) -> None:
    there, linked = tmp_path / "a.jpg", tmp_path / "linked.jpg"
    there.write_bytes(RED)
    linked.symlink_to(there)
    b, c = "https://example.org/b.jpg", "https://example.org/c.jpg"
    rows = [
        ({"image": "a.jpg"}, (there, None)),
        ({"image": b}, (None, b)),
        ({"thumbnail_url": c}, (None, c)),
        ({"title": "no picture"}, (None, None)),
        ({"image": {"bytes": None, "path": "linked.jpg"}}, (linked, None)),
    ]
    table = [{"id": number, **row} for number, (row, _) in enumerate(rows)]
    found = videos(read(write_table(tmp_path / "v.jsonl", table)))
    assert [(one.thumbnail, one.thumbnail_url) for one in found] == [told for _, told in rows]
    assert read_thumbnail(found[4]) == RED
    assert read_thumbnail(found[3]) is None


def test_a_picture_that_cannot_be_read_is_told_with_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "folder.jpg").mkdir()
    write_files(tmp_path, {"big.jpg": b"x" * 1001, "fits.jpg": b"x" * 1000})
    monkeypatch.setattr("twinlens.catalog.sources.thumbnails.MAX_BYTES", 1000)
    for name, reason in {
        **dict.fromkeys(("pipe.jpg", "folder.jpg", "none.jpg"), MISSING),
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
    items = read(write_table(tmp_path / "v.jsonl", rows))
    assert [note.reason for note in notes_of(items)] == [MISSING]
    assert len(set(ids(items))) == 6
    backwards = read(write_table(tmp_path / "w.jsonl", reversed(rows)))
    assert ids(backwards) == ids(items)[::-1]
    pictures = pa.array([{"bytes": RED, "path": None}] * 2, IMAGE)
    same = write_parquet(tmp_path / "v.parquet", {"title": ["one", "two"], "image": pictures})
    assert ids(read(same)) == [ids(items)[1], ids(items)[3]], "wherever the same content lies"
    assert ids(items)[0] == "9245aecdd2ce9ba0dab5bd6d", "ids outlive a release of this program"


def test_what_describes_a_set_is_no_video_and_does_not_end_the_job(tmp_path: Path) -> None:
    write_table(tmp_path / "videos.csv", [{"id": 1, "title": "A", "image": "a.jpg"}])
    described = b'{"title": "My videos", "license": "CC0"}'
    write_files(tmp_path, {"metadata.json": described, "dataset-metadata.json": described})
    write_files(tmp_path, {"settings.json": b"{}", "metadata.csv": b"key,value\nauthor,me\n"})
    write_files(tmp_path, {"a.jpg": RED, "b.jpg": BLUE})
    source = open_source(str(tmp_path))
    assert ids(source) == ["1"]
    assert source.findings.to_sentences() == [
        "1 pictures are no video's: b.jpg",
        "4 files were not read: dataset-metadata.json, metadata.json, settings.json, "
        "metadata.csv (no column for a title or a picture)",
    ]
    # Where nothing else has titles, it is told rather than passed over.
    alone = write_files(tmp_path / "alone", {"metadata.csv": b"key,value\n1,2\n", "b.jpg": RED})
    with pytest.raises(SourceError, match="no column for a title"):
        open_source(str(alone))


def test_pictures_that_no_row_names_are_told(tmp_path: Path) -> None:
    write_files(tmp_path, {"pics/e\u0301.jpg": RED, "pics/b.jpg": BLUE, "c.jpg": RED})
    rows = [{"id": 1, "title": "A", "image": "pics\\\u00e9.jpg"}, {"title": "C", "image": "c.jpg"}]
    write_table(tmp_path / "v.jsonl", rows)
    source = open_source(str(tmp_path))
    assert len(videos(source)) == 2
    assert list(source.findings.pictures) == ["pics/b.jpg"]


def test_lists_of_rejects_and_summaries_are_no_input_whatever_they_are_called(
    tmp_path: Path,
) -> None:
    line = {"file": "v", "row": 1, "video_id": None, "reason": "empty", "detail": "", "kept": False}
    for name in ("x.rejects.json", "rejects.log", "r.ndjson"):
        (tmp_path / name).write_text(json.dumps(line) + "\n")
    summary = {"generation": "g", "published": True, "rejected": {}, "timings_s": {}, "title": "x"}
    (tmp_path / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    write_table(tmp_path / "v.csv")
    source = open_source(str(tmp_path))
    assert ids(source) == [*"abc"]
    told = [said for said in source.findings.to_sentences() if "TwinLens' own" in said]
    assert len(told) == 4
