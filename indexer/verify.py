"""Does Qdrant hold what the FAISS mirror holds?"""

from __future__ import annotations

from typing import Final

import numpy as np

from twinlens.catalog.video import DENSE_VECTORS
from twinlens.encoders.words import title_words
from twinlens.stores.base import StoredVideo, VectorReader

# Both keep float32 as written; the slack is for an engine that normalises once more.
TOLERANCE: Final = 1e-5
_EXAMPLES: Final = 5


def compare_stores(
    qdrant: VectorReader, mirror: VectorReader, *, with_vectors: bool = True
) -> list[str]:
    """What differs between the two, one sentence a kind of difference; empty when nothing does.

    Walks both in batches. Without vectors only the ids and counts are compared. Words, which the
    mirror doesn't hold, are compared with those of the title.
    """
    only_qdrant = _Examples("only in Qdrant")
    only_mirror = _Examples("only in the FAISS mirror")
    other_names = _Examples("with other named vectors in Qdrant than in the mirror")
    other_values = _Examples(f"with vectors that differ by more than {TOLERANCE}")
    other_words = _Examples("with other words in Qdrant than their title has")
    other_payload = _Examples("with another payload in Qdrant than in the mirror")

    for batch in qdrant.scan(with_vectors=with_vectors):
        ids = [video.video_id for video in batch]
        mirrored = mirror.get(ids, with_vectors=with_vectors)
        for video in batch:
            if with_vectors and not _has_words_of_title(video):
                other_words.add(video.video_id)
            twin = mirrored.get(video.video_id)
            if twin is None:
                only_qdrant.add(video.video_id)
            elif with_vectors:
                if video.vectors.keys() != twin.vectors.keys():
                    other_names.add(video.video_id)
                elif not _same_vectors(video, twin):
                    other_values.add(video.video_id)
                if video.payload != twin.payload:
                    other_payload.add(video.video_id)
    for batch in mirror.scan():
        stored = qdrant.get([video.video_id for video in batch])
        for video in batch:
            if video.video_id not in stored:
                only_mirror.add(video.video_id)

    found = [only_qdrant, only_mirror, other_names, other_values, other_words, other_payload]
    differences = [str(kind) for kind in found if kind.count]
    for name in (None, *DENSE_VECTORS):
        left, right = qdrant.count(name), mirror.count(name)
        if left != right:
            what = "videos" if name is None else f"{name} vectors"
            differences.append(f"{left} {what} in Qdrant, {right} in the mirror")
    return differences


def _same_vectors(left: StoredVideo, right: StoredVideo) -> bool:
    return all(
        bool(np.allclose(left.vectors[name], right.vectors[name], rtol=0, atol=TOLERANCE))
        for name in left.vectors
    )


def _has_words_of_title(video: StoredVideo) -> bool:
    title = video.payload.get("title")
    expected = title_words(title) if isinstance(title, str) else None
    if expected is None or video.words is None:
        return expected is video.words
    return bool(
        np.array_equal(expected.indices, video.words.indices)
        and np.allclose(expected.values, video.words.values, rtol=0, atol=TOLERANCE)
    )


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
