"""Pictures that stand for none: YouTube's grey one, a site's logo. Many videos share their bytes.

Compared, they would make all these videos alike. So the videos have no vector of their picture, as
long as something else finds them; the picture is shown as before. docs/decisions/0046-placeholders
has how many are many.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from twinlens.catalog.errors import RowRejected
from twinlens.catalog.vectors import AnyVector
from twinlens.catalog.video import from_payload
from twinlens.encoders.lens import Lens, Picture
from twinlens.encoders.lenses import THUMBNAIL
from twinlens.indexer.build import Build
from twinlens.indexer.encode import BatchEncoder, to_stored_video
from twinlens.indexer.ledger import Entry, Ledger, make_content_key
from twinlens.indexer.prepare import BATCH_SIZE

# A picture is a placeholder where this share of the videos with a picture have it, but no fewer
# than the one number, and the other is enough in any catalogue.
_SHARE: Final = 0.01
_FEWEST: Final = 10
_ENOUGH: Final = 100


def find_placeholders(ledger: Ledger | None) -> dict[str, int]:
    """Return the placeholders, by their names in ``thumbnails/``, and how many videos have each."""
    if ledger is None:
        return {}
    pictured, shared = ledger.count_thumbnails(least=_FEWEST)
    least = max(_FEWEST, min(_ENOUGH, math.ceil(pictured * _SHARE)))
    return {file: count for file, count in shared.items() if count >= least}


def find_differing(
    ledger: Ledger, now: Collection[str], before: Collection[str]
) -> Iterator[list[str]]:
    """Yield ids of videos whose picture has a vector and shall have none, or the other way."""
    for file in sorted({*now, *before}):
        for ids in ledger.video_ids_of_thumbnail(file):
            some = [
                video_id
                for video_id, entry in ledger.lookup(ids).items()
                # Of one with no keys nothing is known.
                if entry.keys
                and (THUMBNAIL in entry.keys)
                != (file not in now or entry.keys.keys() == {THUMBNAIL})
            ]
            yield from (some[at : at + BATCH_SIZE] for at in range(0, len(some), BATCH_SIZE))


@dataclass(frozen=True, slots=True)
class _Pictured:
    video_id: str
    payload: Mapping[str, Any]
    items: Mapping[str, Any]


def settle(
    build: Build,
    video_ids: list[str],
    lens: Lens[Any],
    encoder: BatchEncoder,
    *,
    placeholders: Collection[str],
    thumbnails: Path,
) -> None:
    """Give these stored videos the vector of their picture, or take it, as ``placeholders`` say."""
    entries = build.ledger.lookup(video_ids)
    stored = build.store.get(video_ids, with_vectors=True)
    pictured: list[_Pictured] = []
    settled: dict[str, Entry] = {}
    for video_id, video in stored.items():
        entry = entries[video_id]
        file = str(entry.thumbnail_file)
        keys = {name: key for name, key in entry.keys.items() if name != THUMBNAIL}
        items: dict[str, Any] = {}
        if file not in placeholders:
            picture = Picture(Path(file).stem, thumbnails / file)
            described = from_payload(video.payload)
            seen = lens.looks_at(described, picture)
            try:
                items = {THUMBNAIL: lens.item(described, picture)}
            except RowRejected:  # its file is damaged: as if it were a placeholder
                pass
            else:
                keys[THUMBNAIL] = make_content_key(lens.fingerprint, str(seen))
        pictured.append(_Pictured(video_id, video.payload, items))
        settled[video_id] = replace(entry, keys=keys)
    made, unencodable = encoder.encode(pictured)
    videos = []
    for at, one in enumerate(pictured):
        video = stored[one.video_id]
        if at in unencodable:
            keys = {k: v for k, v in settled[one.video_id].keys.items() if k != THUMBNAIL}
            settled[one.video_id] = replace(settled[one.video_id], keys=keys)
        kept: dict[str, AnyVector] = {**video.vectors, **video.sparse}
        kept.pop(THUMBNAIL, None)
        videos.append(to_stored_video(one, {**kept, **made[at]}))
    build.write(videos, settled, replaced=list(settled))
