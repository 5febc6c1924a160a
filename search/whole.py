"""Stored videos with all their vectors, also where the reader doesn't hold the sparse ones."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from cachetools import LRUCache

from twinlens.catalog.vectors import AnyVector, SparseVector
from twinlens.encoders.lens import Lenses
from twinlens.encoders.sparse import add_sparse, make_sparse
from twinlens.stores.base import ScoredVideo, StoredVideo, VectorReader

# A title's words take some 2 KB, and 0.1 ms to make.
_MOST_WEIGHED: Final = 5000


class WholeVideos:
    """Gets videos of one reader; a sparse vector that it lacks is made by its lens.

    A lens that looks at pictures finds them in the folder ``thumbnails``.
    """

    def __init__(self, reader: VectorReader, lenses: Lenses, thumbnails: Path | None) -> None:
        self._reader = reader
        self._sparse = {name: lens for name, lens in lenses.items() if lens.dim is None}
        self._thumbnails = thumbnails
        self._weighed: LRUCache[tuple[str, str], SparseVector] = LRUCache(_MOST_WEIGHED)
        self._weighing = threading.Lock()

    def get(self, video_ids: Sequence[str]) -> dict[str, StoredVideo]:
        """Return the stored videos among ``video_ids``, by id; the unknown are absent."""
        stored = self._reader.get(video_ids, with_vectors=True)
        whole = add_sparse(list(stored.values()), self._sparse, self._thumbnails)
        return {one.video_id: one for one in whole}

    def weigh(self, name: str, videos: Sequence[StoredVideo]) -> dict[str, SparseVector]:
        """Return the vectors of a sparse lens that ``videos`` have, by id of those that have one.

        Where they don't bring it, it is made; what was made last comes from memory.
        """
        known = {one.video_id: one.sparse.get(name) for one in videos}
        with self._weighing:
            for video_id, vector in known.items():
                if vector is None:
                    known[video_id] = self._weighed.get((name, video_id))
        new = [one for one in videos if known[one.video_id] is None]
        made = make_sparse(new, self._sparse[name], self._thumbnails)
        with self._weighing:
            self._weighed.update(((name, video_id), made[video_id]) for video_id in made)
        return {**{key: one for key, one in known.items() if one is not None}, **made}

    def measure_coverage(
        self, rankings: Iterable[tuple[str, AnyVector, Sequence[ScoredVideo]]]
    ) -> list[float]:
        """Return the share, 0 to 1, of each sparse query that the best hit of its ranking holds.

        ``rankings`` are each the lens's name, what it was asked, and what it found. The share of a
        dense query is 1.
        """
        asked = list(rankings)
        best = [
            found[0].video_id if found and isinstance(vector, SparseVector) else None
            for _, vector, found in asked
        ]
        wanted = sorted({video_id for video_id in best if video_id is not None})
        stored = self.get(wanted) if wanted else {}
        shares = []
        for (name, vector, _), video_id in zip(asked, best, strict=True):
            if not isinstance(vector, SparseVector):
                shares.append(1.0)
            elif video_id is None or video_id not in stored:
                shares.append(0.0)
            else:
                held = stored[video_id].sparse.get(name)
                shares.append(self._sparse[name].measure_coverage(vector, held))
        return shares
