"""The file of rejects: each on a line, at once, and no file where there are none."""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from twinlens.catalog.errors import RejectReason, SourceError
from twinlens.catalog.sources import Origin, Reject, RejectsFile

REJECT = Reject(Origin("v.csv", 3), RejectReason.EMPTY, "nothing there", "one")


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_the_rejects_file_appears_with_the_first_reject(tmp_path: Path) -> None:
    path = tmp_path / "out" / "rejects.jsonl"
    with RejectsFile(path) as file:
        assert not path.exists()
    with RejectsFile(path) as file:
        file.write(Reject(Origin("v\udc80.csv", 3), RejectReason.EMPTY, "nothing\nthere", "ලංකා"))
        file.note(Reject(Origin("v.csv", 4), RejectReason.PICTURE_NOT_FETCHED, "x" * 9999))
        assert len(lines_of(path)) == 2, "each is written at once"
    lines = lines_of(path)
    assert lines[0] == {
        "file": "v\udc80.csv",
        "row": 3,
        "video_id": "ලංකා",
        "field": None,
        "reason": "empty",
        "detail": "nothing\nthere",
        "kept": False,
    }
    assert (lines[1]["video_id"], lines[1]["kept"], len(lines[1]["detail"])) == (None, True, 500)
    assert file.counts == Counter({RejectReason.EMPTY: 1})
    assert file.notes == Counter({"picture_not_fetched": 1})
    assert file.nameless == 0


def test_notes_are_counted_by_field_and_reason(tmp_path: Path) -> None:
    origin = Origin("v.csv", 3)
    with RejectsFile(tmp_path / "rejects.jsonl") as file:
        for field in ("view_count", "video_id", "view_count"):
            file.note(Reject(origin, RejectReason.BAD_VALUE, "many", "one", field=field))
        file.note(Reject(origin, RejectReason.PICTURE_MISSING, "gone", "one", field="thumbnail"))
    assert file.notes == {"view_count bad_value": 2, "bad_value": 1, "picture_missing": 1}
    assert file.nameless == 1, "a row with a made-up id may be any video's"
    assert [line["field"] for line in lines_of(file.path)][-1] == "thumbnail"


def test_an_earlier_rejects_file_goes_with_the_first_line_or_at_a_good_end(tmp_path: Path) -> None:
    path = tmp_path / "rejects.jsonl"
    with RejectsFile(path) as file:
        file.write(REJECT)
    earlier = path.read_bytes()
    with pytest.raises(SourceError, match="refused"), RejectsFile(path):
        raise SourceError("refused")
    assert path.read_bytes() == earlier, "a run that was refused says nothing of rows"
    with RejectsFile(path) as file:
        assert path.read_bytes() == earlier
        file.note(REJECT)
        assert len(lines_of(path)) == 1
    # What an earlier run left is not this run's, nor what is empty, as a full disk leaves it.
    for left in (path.read_bytes(), b""):
        path.write_bytes(left)
        with RejectsFile(path):
            pass
        assert not path.exists()


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
    lines = lines_of(path)
    assert sum(line["kept"] for line in lines) == file.notes.total() == threads * each // 2
    assert len(lines) - sum(line["kept"] for line in lines) == file.counts.total() == 1200
