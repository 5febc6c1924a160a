"""The sample catalogue: the same seed draws the same videos, however they are made."""

from __future__ import annotations

import io
import json
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from click.testing import CliRunner
from PIL import Image

from tests.folders import files_in
from twinlens.catalog.errors import UsageError
from twinlens.commands.sample import sample
from twinlens.samples import catalogue, draw_sample
from twinlens.samples.catalogue import draw_video, name_picture
from twinlens.samples.subjects import SUBJECTS

COLUMNS = {
    *("file_name", "video_id", "title", "channel", "language", "category", "tags", "drawn"),
    *("published_at", "duration_s", "view_count", "subject"),
}
SEED, VIDEOS = 7, 90


def rows_of(directory: Path) -> list[dict[str, Any]]:
    text = (directory / "metadata.jsonl").read_bytes().decode("utf-8", errors="strict")
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("sample") / "drawn"
    draw_sample(directory, videos=VIDEOS, seed=SEED, workers=1, progress=False)
    return directory


def assert_begins(drawn: Path, begun: Path, *, videos: int) -> None:
    """Of a catalogue, ``begun`` has the first ones to the byte."""
    assert rows_of(begun) == rows_of(drawn)[:videos]
    pictures = {name: data for name, data in files_in(begun).items() if name.endswith(".jpg")}
    assert len(pictures) == videos
    assert pictures.items() <= files_in(drawn).items()


@pytest.mark.slow
def test_two_processes_draw_the_same_bytes_as_one(
    drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "_CHUNK", 3)
    draw_sample(tmp_path, videos=12, seed=SEED, workers=2, progress=False)
    assert_begins(drawn, tmp_path, videos=12)


def test_a_catalogue_grows_into_what_it_would_have_been(drawn: Path, tmp_path: Path) -> None:
    for videos, new in ((7, 7), (20, 13)):
        summary = draw_sample(tmp_path, videos=videos, seed=SEED, progress=False)
        assert (summary.videos, summary.drawn) == (videos, new)
        assert_begins(drawn, tmp_path, videos=videos)


def test_another_seed_draws_other_videos(drawn: Path) -> None:
    first, _ = draw_video(SEED + 1, 0)
    assert first != rows_of(drawn)[0]
    assert first["video_id"] not in {row["video_id"] for row in rows_of(drawn)}


def test_a_stopped_run_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    stop_at = 120

    def draw(seed: int, index: int) -> tuple[dict[str, Any], Image.Image]:
        """As quick as nothing: where a run is continued, it matters not what it draws."""
        if index == stop_at:
            raise KeyboardInterrupt
        calls.append(index)
        row = {"file_name": name_picture(seed, index), "number": index}
        return row, Image.new("RGB", (8, 8), (index, 0, 0))

    monkeypatch.setattr(catalogue, "draw_video", draw)
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    with pytest.raises(KeyboardInterrupt):
        draw_sample(stopped, videos=200, workers=1, progress=False)
    assert calls == list(range(120))
    assert not (stopped / "metadata.jsonl").exists()
    # As a full disk would leave it: the last row of the log is cut short.
    log = stopped / ".rows.jsonl"
    log.write_bytes(log.read_bytes()[:-9])

    # Stopped again further on: what is written after the cut row can be read.
    with pytest.raises(KeyboardInterrupt):
        draw_sample(stopped, videos=200, workers=1, progress=False)
    # The log held whole chunks up to 100, less the row that was cut.
    assert calls[120:] == list(range(99, 120))
    calls.clear()
    stop_at = -1
    draw_sample(stopped, videos=200, workers=1, progress=False)
    assert calls == list(range(99, 200))
    draw_sample(whole, videos=200, workers=1, progress=False)
    assert files_in(stopped) == files_in(whole)


def wait_until(done: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not done():
        assert time.monotonic() < until, "waited too long"
        time.sleep(0.05)


def draw_by_two(directory: Path) -> None:
    catalogue._CHUNK = 2
    draw_sample(directory, videos=1000, workers=2, progress=False)


def test_a_killed_run_leaves_no_process_and_what_it_has_drawn(tmp_path: Path) -> None:
    directory = tmp_path / "killed"
    run = multiprocessing.get_context("spawn").Process(target=draw_by_two, args=(directory,))
    run.start()
    log = directory / ".rows.jsonl"
    # Whole shares of both processes: the second's may come before the first's.
    wait_until(lambda: log.exists() and log.read_bytes().count(b"\n") > 4)
    children = psutil.Process(run.pid).children(recursive=True)
    assert len(children) >= 2
    run.kill()
    run.join()
    wait_until(lambda: not any(child.is_running() for child in children))
    assert not (directory / "metadata.jsonl").exists()
    # A smaller catalogue than was begun: what lies beyond it goes.
    assert draw_sample(directory, videos=4, workers=1, progress=False).drawn < 4
    draw_sample(tmp_path / "whole", videos=4, workers=1, progress=False)
    assert files_in(directory) == files_in(tmp_path / "whole")


def test_a_finished_catalogue_is_left_alone_and_a_lost_picture_is_redrawn(tmp_path: Path) -> None:
    def draw_again() -> int:
        return draw_sample(tmp_path, videos=9, seed=SEED, progress=False).drawn

    assert draw_again() == 9
    before = files_in(tmp_path)
    stamp = (tmp_path / "metadata.jsonl").stat().st_mtime_ns
    assert draw_again() == 0
    assert (tmp_path / "metadata.jsonl").stat().st_mtime_ns == stamp
    (tmp_path / rows_of(tmp_path)[3]["file_name"]).unlink()
    assert draw_again() == 1
    assert files_in(tmp_path) == before


def test_every_row_is_complete_and_says_that_it_is_drawn(drawn: Path) -> None:
    rows = rows_of(drawn)
    assert len(rows) == len({row["video_id"] for row in rows}) == VIDEOS
    categories = {subject.category for subject in SUBJECTS.values()}
    for row in rows:
        assert row.keys() == COLUMNS
        assert row["drawn"] is True
        assert row["subject"] in SUBJECTS
        assert row["category"] in categories
        assert len(row["video_id"]) == 11
        assert 5 < len(row["title"]) <= 100
        assert "{" not in row["title"]
        assert row["channel"]
        assert len(set(row["tags"])) == len(row["tags"]) >= 2
        assert datetime.fromisoformat(row["published_at"]).tzinfo is not None
        assert 0 < row["duration_s"] <= 14_400
        assert row["view_count"] >= 0
        assert (drawn / row["file_name"]).is_file()
    views = [row["view_count"] for row in rows]
    assert np.mean(views) > 4 * np.median(views)  # as real ones are
    notes = (drawn / "README.txt").read_text(encoding="utf-8")
    assert "CC0" in notes
    assert "drawn" in notes


def test_pictures_look_like_hqdefault(drawn: Path) -> None:
    sizes = []
    for row in rows_of(drawn)[:60]:
        path = drawn / row["file_name"]
        sizes.append(path.stat().st_size)
        with Image.open(path) as picture:
            assert picture.format == "JPEG"
            assert picture.size == (480, 360)
            pixels = np.asarray(picture.convert("L"))
        # JPEG's 16-pixel blocks bleed a little over the edge of the bar, as YouTube's do.
        for bar in (pixels[:32], pixels[-32:]):
            assert bar.max() <= 2
        for edge in (pixels[32:44], pixels[-44:-32]):
            assert edge.mean() < 12
        assert pixels[45:315].std() > 12
    assert 8_000 < np.median(sizes) < 30_000
    assert max(sizes) < 60_000


def test_no_two_pictures_are_alike_and_subjects_can_be_told_apart(drawn: Path) -> None:
    rows = rows_of(drawn)
    tiny, histograms = [], []
    for row in rows:
        with Image.open(drawn / row["file_name"]) as opened:
            picture = opened.convert("RGB").crop((0, 45, 480, 315)).resize((32, 18))
        tiny.append(np.asarray(picture.resize((16, 9)), dtype=np.float32))
        pixels = np.asarray(picture).reshape(-1, 3) // 43
        histogram = np.bincount(pixels @ np.array([36, 6, 1]), minlength=216)
        histograms.append(np.sqrt(histogram / histogram.sum()))
    flat = np.stack(tiny).reshape(len(rows), -1)
    apart = np.abs(flat[:, None, :] - flat[None, :, :]).mean(axis=2)
    np.fill_diagonal(apart, np.inf)
    assert apart.min() > 4

    similar = np.stack(histograms) @ np.stack(histograms).T
    np.fill_diagonal(similar, -1)
    subjects = np.array([row["subject"] for row in rows])
    hits = (subjects[similar.argmax(axis=1)] == subjects).mean()
    chance = max(Counter(subjects).values()) / len(rows)
    assert hits > 5 * chance
    # A colour histogram alone must not solve it: within a subject there is variety.
    assert hits < 0.97


def test_the_command_says_what_was_drawn(tmp_path: Path) -> None:
    directory = tmp_path / "cli"
    result = CliRunner().invoke(sample, ["--videos", "3", "--seed", "9", str(directory)])
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"3 drawn videos in {directory} (seed 9): 3 new, 0 kept, ")
    assert len(rows_of(directory)) == 3


@pytest.mark.parametrize(("videos", "seed", "says"), [(2, 8, "another sample"), (2, 7, "grows")])
def test_another_seed_fewer_videos_or_something_else_need_another_folder(
    tmp_path: Path, videos: int, seed: int, says: str
) -> None:
    draw_sample(tmp_path, videos=3, seed=7, progress=False)
    before = files_in(tmp_path)
    with pytest.raises(UsageError, match=says):
        draw_sample(tmp_path, videos=videos, seed=seed, progress=False)
    assert files_in(tmp_path) == before
    (tmp_path / "album").mkdir()
    (tmp_path / "album" / "holiday.jpg").write_bytes(b"mine")
    with pytest.raises(UsageError, match="not empty"):
        draw_sample(tmp_path / "album", videos=2, progress=False)
    assert files_in(tmp_path / "album") == {"holiday.jpg": b"mine"}


def test_pictures_are_the_same_in_memory_as_on_disk(drawn: Path) -> None:
    row, picture = draw_video(SEED, 42)
    assert row == rows_of(drawn)[42]
    encoded = io.BytesIO()
    picture.save(encoded, "JPEG", quality=85)
    assert encoded.getvalue() == (drawn / row["file_name"]).read_bytes()
