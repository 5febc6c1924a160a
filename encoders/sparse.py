"""Sparse vectors of stored videos, made anew where a store doesn't hold them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from twinlens.catalog.errors import RowRejected
from twinlens.catalog.vectors import SparseVector, StoredVideo
from twinlens.catalog.video import from_payload, read_thumbnail_file
from twinlens.encoders.lens import Lens, Lenses, Picture


def make_sparse(
    videos: Sequence[StoredVideo], lens: Lens[Any], thumbnails: Path | None
) -> dict[str, SparseVector]:
    """Return the vectors that a sparse lens makes of stored videos, by id of those that have one.

    Their pictures are in the folder ``thumbnails``.
    """
    items: dict[str, Any] = {}
    for stored in videos:
        video = from_payload(stored.payload)
        file = read_thumbnail_file(stored.payload)
        picture = None
        if file is not None and thumbnails is not None:
            picture = Picture(Path(file).stem, thumbnails / file)
        if lens.looks_at(video, picture) is not None:
            try:
                items[stored.video_id] = lens.item(video, picture)
            except RowRejected:  # its picture is gone: whatever is stored can't be made again
                continue
    made = zip(items, lens.encode(list(items.values())), strict=True)
    return {video_id: vector for video_id, vector in made if isinstance(vector, SparseVector)}


def add_sparse(
    videos: Sequence[StoredVideo], lenses: Lenses, thumbnails: Path | None
) -> list[StoredVideo]:
    """Return ``videos`` with what each of the sparse ``lenses`` makes, where it is not there.

    Their pictures are in the folder ``thumbnails``.
    """
    added: dict[str, dict[str, SparseVector]] = {}
    for name, lens in lenses.items():
        lacking = [video for video in videos if name not in video.sparse]
        for video_id, vector in make_sparse(lacking, lens, thumbnails).items():
            added.setdefault(video_id, {})[name] = vector
    return [
        replace(video, sparse={**video.sparse, **added[video.video_id]})
        if video.video_id in added
        else video
        for video in videos
    ]
