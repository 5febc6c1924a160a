"""Does Qdrant hold what the FAISS mirror holds?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from twinlens.encoders.lens import Lens, Lenses
from twinlens.encoders.sparse import make_sparse
from twinlens.stores.base import Dims, StoredVideo, VectorReader

# Both keep float32 as written; the slack is for an engine that normalises once more.
TOLERANCE: Final = 1e-5
_EXAMPLES: Final = 5


def compare_stores(
    qdrant: VectorReader,
    mirror: VectorReader,
    dims: Dims,
    *,
    sparse: Lenses = MappingProxyType({}),
    thumbnails: Path | None = None,
    seen: Callable[[list[StoredVideo]], object] = id,
) -> list[str]:
    """Return one sentence per kind of difference between the two; empty if there is none.

    Walks both in batches. Sparse vectors, which the mirror doesn't hold, are compared with what the
    lenses of ``sparse`` make anew of the stored video, whose picture is in the folder
    ``thumbnails``. ``seen`` gets each batch of Qdrant's videos, with their vectors.
    """
    only_qdrant = _Examples("only in Qdrant")
    only_mirror = _Examples("only in the FAISS mirror")
    other_names = _Examples("with other named vectors in Qdrant than in the mirror")
    other_values = {
        name: _Examples(f"with {name} vectors that differ by more than {TOLERANCE}")
        for name, dim in dims.items()
        if dim is not None
    }
    other_sparse = {
        name: _Examples(f"with other {lens.plural()} in Qdrant than the lens finds in them")
        for name, lens in sparse.items()
    }
    other_payload = _Examples("with another payload in Qdrant than in the mirror")

    for batch in qdrant.scan(with_vectors=True):
        seen(batch)
        mirrored = mirror.get([video.video_id for video in batch], with_vectors=True)
        for name, lens in sparse.items():
            for video_id in _find_other_sparse(batch, lens, thumbnails):
                other_sparse[name].add(video_id)
        for video in batch:
            twin = mirrored.get(video.video_id)
            if twin is None:
                only_qdrant.add(video.video_id)
                continue
            if video.vectors.keys() != twin.vectors.keys():
                other_names.add(video.video_id)
            else:
                for name in _find_other_vectors(video, twin):
                    other_values[name].add(video.video_id)
            if video.payload != twin.payload:
                other_payload.add(video.video_id)
    for batch in mirror.scan():
        stored = qdrant.get([video.video_id for video in batch])
        for video in batch:
            if video.video_id not in stored:
                only_mirror.add(video.video_id)

    found = [
        only_qdrant,
        only_mirror,
        other_names,
        *other_values.values(),
        *other_sparse.values(),
        other_payload,
    ]
    differences = [str(kind) for kind in found if kind.count]
    for counted in (None, *(name for name, dim in dims.items() if dim is not None)):
        left, right = qdrant.count(counted), mirror.count(counted)
        if left != right:
            what = "videos" if counted is None else f"{counted} vectors"
            differences.append(f"{left} {what} in Qdrant, {right} in the mirror")
    return differences


def _find_other_vectors(left: StoredVideo, right: StoredVideo) -> list[str]:
    return [
        name
        for name, vector in left.vectors.items()
        if not np.allclose(vector, right.vectors[name], rtol=0, atol=TOLERANCE)
    ]


def _find_other_sparse(
    videos: Sequence[StoredVideo], lens: Lens[Any], thumbnails: Path | None
) -> Iterator[str]:
    """Yield the ids of videos whose stored vector by ``lens`` is not what it makes now."""
    made = make_sparse(videos, lens, thumbnails)
    for stored in videos:
        expected, found = made.get(stored.video_id), stored.sparse.get(lens.name)
        if expected is None or found is None:
            same = expected is found
        else:
            same = np.array_equal(expected[0], found.indices) and np.allclose(
                expected[1], found.values, rtol=0, atol=TOLERANCE
            )
        if not same:
            yield stored.video_id


class _Examples:
    """Counts videos of one kind and keeps the first few ids."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.count = 0
        self._ids: list[str] = []

    def add(self, video_id: str) -> None:
        self.count += 1
        if len(self._ids) < _EXAMPLES:
            self._ids.append(video_id)

    def __str__(self) -> str:
        more = ", ..." if self.count > len(self._ids) else ""
        return f"{self.count} {self._kind} ({', '.join(self._ids)}{more})"
