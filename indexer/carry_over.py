"""A build by other lenses than its base's: what did not change is kept, and the rest encoded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twinlens.catalog.errors import RowRejected
from twinlens.catalog.vectors import AnyVector
from twinlens.catalog.video import from_payload, read_thumbnail_file
from twinlens.encoders.lens import Lenses, Picture
from twinlens.indexer.build import Build
from twinlens.indexer.encode import BatchEncoder, to_stored_video
from twinlens.indexer.ledger import Entry, Ledger, make_content_key
from twinlens.indexer.prepare import BATCH_SIZE
from twinlens.stores.base import StoredVideo, VectorReader
from twinlens.stores.generations import Manifest

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Carried:
    """A stored video: what of it is still good, and what is to be encoded, by lens."""

    video_id: str
    payload: Mapping[str, Any]
    entry: Entry
    kept: Mapping[str, AnyVector]
    items: Mapping[str, Any]


def carry_over(
    base: Manifest,
    reader: VectorReader,
    ledger: Ledger,
    build: Build,
    *,
    lenses: Lenses,
    encoder: BatchEncoder,
    thumbnails: Path,
) -> None:
    """Fill ``build`` with the videos of ``base``, which ``reader`` and ``ledger`` hold.

    Their vectors by lenses that are the same stay; by others they are made of the stored video and
    its picture in the folder ``thumbnails``. Videos that ``build`` has already are passed over, so
    that this may be continued.
    """
    same = {
        name
        for name, lens in lenses.items()
        if name in base.lenses and base.lenses[name].fingerprint == lens.fingerprint
    }
    changed = {name: lens for name, lens in lenses.items() if name not in same}
    carried_before = build.ledger  # once: it waits for what is under way
    for batch in reader.scan(with_vectors=True, batch_size=BATCH_SIZE):
        ids = [stored.video_id for stored in batch]
        known, done = ledger.lookup(ids), carried_before.lookup(ids)
        carried = [
            _carry(stored, known[stored.video_id], same, changed, thumbnails)
            for stored in batch
            if stored.video_id in known and stored.video_id not in done
        ]
        vectors, unencodable = encoder.encode(carried)
        videos: list[StoredVideo] = []
        entries: dict[str, Entry] = {}
        for at, (one, made) in enumerate(zip(carried, vectors, strict=True)):
            entry = one.entry
            if at in unencodable:  # whatever of it was: the source is asked again
                good = same.union(made)
                keys = {name: key for name, key in entry.keys.items() if name in good}
                entry = replace(entry, keys=keys)
            if every := {**one.kept, **made}:
                videos.append(to_stored_video(one, every))
                entries[one.video_id] = entry
            else:
                logger.warning("no lens sees anything in video %r any more", one.video_id)
        build.write(videos, entries)


def _carry(
    stored: StoredVideo, entry: Entry, same: set[str], changed: Lenses, thumbnails: Path
) -> _Carried:
    video = from_payload(stored.payload)
    file = read_thumbnail_file(stored.payload)
    picture = None if file is None else Picture(Path(file).stem, thumbnails / file)
    keys = {name: key for name, key in entry.keys.items() if name in same}
    items: dict[str, Any] = {}
    for name, lens in changed.items():
        seen = lens.looks_at(video, picture)
        if seen is not None:
            try:
                items[name] = lens.item(video, picture)
            except RowRejected:  # its picture is gone: the source is asked again
                continue
            keys[name] = make_content_key(lens.fingerprint, seen)
    vectors: dict[str, AnyVector] = {**stored.vectors, **stored.sparse}
    kept = {name: vector for name, vector in vectors.items() if name in same}
    return _Carried(stored.video_id, stored.payload, replace(entry, keys=keys), kept, items)
