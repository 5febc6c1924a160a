"""What ``twinlens index --dry-run`` says of a source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

from twinlens.catalog.errors import RowRejected
from twinlens.catalog.sources import Reject, Row, Source, read_thumbnail

_SAMPLES: Final = 3
_TABLES: Final = 10
_LONGEST: Final = 60


def describe_source(source: Source) -> Iterator[str]:
    """Yield lines: which columns are taken for what, the first videos, and counts of all rows.

    Pictures are looked for, and not decoded.
    """
    for number, (name, columns) in enumerate(source.describe()):
        if number == _TABLES:
            yield "… and so on for the other tables"
            break
        yield f"{name}:"
        for field, taken in columns.items():
            yield f"  {field:14} from {', else '.join(taken)}"
    counts: Counter[str] = Counter()
    for row in source:
        counts["rows"] += 1
        counts.update(_count(row))
        if isinstance(row, Reject):
            continue
        counts["videos"] += 1
        if counts["videos"] <= _SAMPLES:
            yield from _describe_video(row)
    yield _sum_up(counts)
    yield from (f"- {sentence}" for sentence in source.findings.to_sentences())


def _describe_video(row: Row) -> Iterator[str]:
    video = row.video
    yield f"{video.video_id}: {video.title or '(no title)'}"
    for name, value in video.values.items():
        text = ", ".join(value) if isinstance(value, tuple) else str(value)
        yield f"  {name:14} {text if len(text) <= _LONGEST else f'{text[: _LONGEST - 1]}…'}"
    if video.thumbnail is not None or video.thumbnail_url is not None:
        held = video.thumbnail_url if video.thumbnail is None else video.thumbnail
        yield f"  {'thumbnail':14} {f'{len(held)} bytes' if isinstance(held, bytes) else held}"


def _count(row: Row | Reject) -> Iterator[str]:
    if isinstance(row, Reject):
        yield f"rejected: {row.reason}"
        return
    for note in row.notes:
        yield f"noted: {note.label}"
    try:
        found = read_thumbnail(row.video) is not None
    except RowRejected as error:
        yield f"noted: {error.reason}" if row.video.title else f"rejected: {error.reason}"
    else:
        yield "picture" if found else "address" if row.video.thumbnail_url else "bare"


def _sum_up(counts: Counter[str]) -> str:
    def listed(kind: str) -> str:
        found = {name: count for name, count in counts.items() if name.startswith(f"{kind}: ")}
        return ", ".join(f"{count} {name[len(kind) + 2 :]}" for name, count in found.items())

    told = (
        f"{counts['rows']} rows, {counts['videos']} videos: {counts['picture']} with a picture, "
        f"{counts['address']} with the address of one"
    )
    told += f"; rejected: {listed('rejected')}" if listed("rejected") else ""
    told += f"; left empty: {listed('noted')}" if listed("noted") else ""
    return f"{told}. Nothing was encoded or written"
