"""A folder of drawn videos: made by several processes, continued after a stop, grown at will."""

from __future__ import annotations

import base64
import hashlib
import json
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from random import Random
from typing import Any, Final

from PIL import Image
from tqdm import tqdm

from twinlens.catalog.errors import UsageError
from twinlens.catalog.video import to_rfc3339
from twinlens.samples.canvas import HEIGHT, WIDTH, Canvas
from twinlens.samples.subjects import SUBJECTS
from twinlens.samples.titles import write_title

PER_FOLDER: Final = 1000
METADATA: Final = "metadata.jsonl"
# Names what drew a folder. Its number goes up whenever a seed would draw something else.
_MARKER: Final = ".sample.json"
_DRAWING: Final = 2
_PROGRESS: Final = ".rows.jsonl"
_BAR: Final = 45
_QUALITY: Final = 85
_CHUNK: Final = 50
# Starting processes costs about a second each: not worth it for fewer pictures than this.
_WORTH_WORKERS: Final = 400
_FIRST_DAY: Final = datetime(2013, 1, 1, tzinfo=UTC)
_DAYS: Final = 4900


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSummary:
    """What stands in ``directory`` now: of its ``videos``, ``drawn`` are new."""

    directory: Path
    videos: int
    drawn: int
    seed: int
    seconds: float


def draw_sample(
    directory: Path,
    *,
    videos: int,
    seed: int = 0,
    workers: int | None = None,
    progress: bool = True,
) -> SampleSummary:
    """Draw a catalogue of ``videos`` videos in ``directory``, in `imagefolder` layout.

    Video *i* of a seed is the same whatever ``videos`` and ``workers`` are. What a stopped or a
    smaller run left there is kept, and only the rest is drawn. ``workers`` None means one process
    per core, or just this one for a small catalogue.

    Raises:
        UsageError: the directory holds something else, a catalogue of another seed, or more
            videos than asked for. Nothing was changed.
        ValueError: ``videos`` or ``workers`` below 1.
    """
    if videos < 1 or (workers is not None and workers < 1):
        raise ValueError("videos and workers must be at least 1")
    started = time.monotonic()
    rows = _open(directory, videos=videos, seed=seed)
    missing = [
        index
        for index in range(videos)
        if index not in rows or not (directory / name_picture(seed, index)).is_file()
    ]
    for folder in {index // PER_FOLDER for index in missing}:
        (directory / f"{folder:05d}").mkdir(exist_ok=True)
    if workers is None:
        workers = (os.cpu_count() or 1) if len(missing) >= _WORTH_WORKERS else 1
    chunks = [missing[at : at + _CHUNK] for at in range(0, len(missing), _CHUNK)]
    kept = videos - len(missing)
    bar = tqdm(total=videos, initial=kept, unit=" videos", desc="drawing", disable=not progress)
    with (directory / _PROGRESS).open("a", encoding="utf-8") as log, bar:
        log.write(_format_line({"planned": videos}))
        for drawn in _draw_chunks(directory, seed, chunks, workers=workers):
            # Rows follow their pictures: a row in the log vouches for a whole picture.
            log.writelines(_format_line(row, index=index) for index, row in drawn)
            log.flush()
            rows.update(drawn)
            bar.update(len(drawn))
    if missing or not (directory / METADATA).is_file():
        _replace(directory / METADATA, (_format_line(rows[index]) for index in range(videos)))
    (directory / _PROGRESS).unlink()
    return SampleSummary(
        directory=directory,
        videos=videos,
        drawn=len(missing),
        seed=seed,
        seconds=time.monotonic() - started,
    )


def draw_video(seed: int, index: int) -> tuple[dict[str, Any], Image.Image]:
    """Return the metadata row and the 480x360 picture of one video of a seed."""
    rng = Random(f"{seed}/{index}")
    subject = rng.choice(list(SUBJECTS))
    canvas = Canvas()
    facts = SUBJECTS[subject].draw(canvas, rng)
    picture = Image.new("RGB", (WIDTH, HEIGHT + 2 * _BAR))
    picture.paste(canvas.finish(rng), (0, _BAR))
    # The square root leans towards recent days, as catalogues do.
    published = _FIRST_DAY + timedelta(days=rng.random() ** 0.5 * _DAYS)
    wording = write_title(rng, subject=subject, facts=facts, year=published.year)
    short = "#shorts" in wording.title
    row = {
        "file_name": name_picture(seed, index),
        "video_id": make_video_id(seed, index),
        "title": wording.title,
        "channel": wording.channel,
        "language": wording.language,
        "category": SUBJECTS[subject].category,
        "tags": list(wording.tags),
        "published_at": to_rfc3339(published),
        "duration_s": rng.randint(8, 60)
        if short
        else min(14_400, int(rng.lognormvariate(6, 0.9)) + 15),
        "view_count": min(2_000_000_000, int(rng.lognormvariate(8, 2.3))),
        "subject": subject,
        "drawn": True,
    }
    return row, picture


def make_video_id(seed: int, index: int) -> str:
    """Return eleven URL-safe characters, as YouTube's ids have."""
    digest = hashlib.sha256(f"twinlens sample/{seed}/{index}".encode()).digest()
    return base64.urlsafe_b64encode(digest[:8]).decode().rstrip("=")


def name_picture(seed: int, index: int) -> str:
    """Return where in the folder the picture of a video lies."""
    return f"{index // PER_FOLDER:05d}/{make_video_id(seed, index)}.jpg"


def _open(directory: Path, *, videos: int, seed: int) -> dict[int, dict[str, Any]]:
    """Return the rows already there, by index; a new directory is made and marked."""
    mark = {"made_by": "twinlens sample", "seed": seed, "drawing": _DRAWING}
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{directory} is not a directory")
    if not directory.exists() or not any(directory.iterdir()):
        directory.mkdir(parents=True, exist_ok=True)
        _replace(directory / _MARKER, [json.dumps(mark) + "\n"])
        _replace(
            directory / "README.txt",
            [(files("twinlens.samples") / "note.txt").read_text(encoding="utf-8")],
        )
        return {}
    try:
        found = json.loads((directory / _MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{directory} is not empty and holds no sample catalogue; name another directory"
        ) from error
    if found != mark:
        raise UsageError(
            f"{directory} holds another sample, {json.dumps(found)};"
            f" {json.dumps(mark)} needs another directory"
        )
    rows: dict[int, dict[str, Any]] = {}
    if (directory / METADATA).is_file():
        with (directory / METADATA).open(encoding="utf-8") as lines:
            rows = dict(enumerate(json.loads(line) for line in lines))
    if len(rows) > videos:
        raise UsageError(
            f"{directory} already holds {len(rows)} videos; a sample grows but does not shrink"
        )
    if (directory / _PROGRESS).is_file():
        rows |= _resume(directory, videos=videos, seed=seed)
    return rows


def _resume(directory: Path, *, videos: int, seed: int) -> dict[int, dict[str, Any]]:
    """Return the rows that stopped runs logged; what they drew beyond ``videos`` is removed."""
    log = directory / _PROGRESS
    entries = log.read_bytes()
    whole = entries.rfind(b"\n") + 1
    # A row cut short would spoil the one that is written after it.
    os.truncate(log, whole)
    rows, planned = {}, videos
    for line in entries[:whole].splitlines():
        entry = json.loads(line)
        if "planned" in entry:
            planned = max(planned, entry["planned"])
        else:
            rows[entry.pop("index")] = entry
    for index in range(videos, planned):
        rows.pop(index, None)
        (directory / name_picture(seed, index)).unlink(missing_ok=True)
    return rows


def _draw_chunks(
    directory: Path, seed: int, chunks: Sequence[Sequence[int]], *, workers: int
) -> Iterator[list[tuple[int, dict[str, Any]]]]:
    if workers == 1:
        for chunk in chunks:
            yield _draw_chunk(directory, seed, chunk)
        return
    # Spawned, not forked: whoever calls may have threads.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_parent) as pool:
        futures = [pool.submit(_draw_chunk, directory, seed, chunk) for chunk in chunks]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _end_with_parent() -> None:
    # A pool's processes wait for work for ever when their parent is killed.
    threading.Thread(target=_wait_for_parent, daemon=True).start()


def _wait_for_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _draw_chunk(
    directory: Path, seed: int, indexes: Sequence[int]
) -> list[tuple[int, dict[str, Any]]]:
    rows = []
    for index in indexes:
        row, picture = draw_video(seed, index)
        picture.save(directory / row["file_name"], "JPEG", quality=_QUALITY)
        rows.append((index, row))
    return rows


def _format_line(row: dict[str, Any], **extra: int) -> str:
    return json.dumps(row | extra, ensure_ascii=False) + "\n"


def _replace(path: Path, lines: Iterator[str] | Sequence[str]) -> None:
    whole = path.with_name(path.name + ".partial")
    with whole.open("w", encoding="utf-8") as out:
        out.writelines(lines)
    whole.replace(path)
