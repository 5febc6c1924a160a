"""Small honest stand-ins for what is slow or large, used by tests only."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from PIL import Image

from twinlens.catalog.fields import FIELDS, Field, FieldKind, Fields
from twinlens.catalog.vectors import FloatMatrix, SparseVector, unit_rows
from twinlens.encoders.words import weigh_title
from twinlens.stores.base import FacetCount, Order, ScoredVideo, SortKey, StoredVideo, VectorQuery
from twinlens.stores.browsing import count_facet, select_page
from twinlens.stores.filters import Filter, matches

# A field that no catalogue has, to be one row more in the table.
SAVES = Field(
    name="save_count",
    kind=FieldKind.COUNT,
    label="Saves",
    help="How many saved it.",
    columns=("saves",),
    filterable=True,
    sortable=True,
    facet=True,
    units=("save", "saves"),
)


class Clock:
    """Seconds that pass when a test says so."""

    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


class MemoryReader:
    """An exact ``VectorReader`` over a few videos in memory; counts its ``search`` calls."""

    def __init__(self, videos: Sequence[StoredVideo], *, fields: Fields = FIELDS) -> None:
        self.fields = fields
        self._videos = {video.video_id: video for video in videos}
        self.searches: list[list[VectorQuery]] = []
        self.closed = False

    def search(
        self, queries: Sequence[VectorQuery], *, filter: Filter | None = None
    ) -> list[list[ScoredVideo]]:
        assert not self.closed
        self.searches.append(list(queries))
        return [self._rank(query, filter) for query in queries]

    def _rank(self, query: VectorQuery, filter: Filter | None) -> list[ScoredVideo]:
        scored = [
            ScoredVideo(video.video_id, score)
            for video in self._videos.values()
            if (score := _score(query, video)) is not None
            and (filter is None or matches(filter, video.payload))
        ]
        return sorted(scored, key=lambda one: (-one.score, one.video_id))[: query.limit]

    def get(
        self, video_ids: Sequence[str], *, with_vectors: bool = False
    ) -> dict[str, StoredVideo]:
        assert not self.closed
        found = {key: self._videos[key] for key in video_ids if key in self._videos}
        if with_vectors:
            return found
        return {key: StoredVideo(key, video.payload) for key, video in found.items()}

    def browse(
        self,
        *,
        limit: int,
        order: Order | None = None,
        after: SortKey | None = None,
        filter: Filter | None = None,
    ) -> list[StoredVideo]:
        assert not self.closed
        videos = self.get(list(self._videos)).values()
        return select_page(
            videos, limit=limit, order=order, after=after, filter=filter, fields=self.fields
        )

    def facet(self, field: str, *, limit: int, filter: Filter | None = None) -> list[FacetCount]:
        assert not self.closed
        videos = self._videos.values()
        return count_facet(videos, field, limit=limit, filter=filter, fields=self.fields)

    def count(self, lens: str | None = None, *, filter: Filter | None = None) -> int:
        return sum(
            (filter is None or matches(filter, video.payload))
            and (lens is None or lens in video.vectors or lens in video.sparse)
            for video in self._videos.values()
        )

    def scan(
        self, *, with_vectors: bool = False, batch_size: int = 1000
    ) -> Iterator[list[StoredVideo]]:
        keys = list(self._videos)
        for start in range(0, len(keys), batch_size):
            part = keys[start : start + batch_size]
            yield list(self.get(part, with_vectors=with_vectors).values())

    def check(self) -> None:
        assert not self.closed

    def close(self) -> None:
        self.closed = True


def _score(query: VectorQuery, video: StoredVideo) -> float | None:
    """The inner product, sparse ones without their rarity; None where it can't be found."""
    name = query.lens
    if not isinstance(query.vector, SparseVector):
        vector = video.vectors.get(name)
        return None if vector is None else float(query.vector @ vector)
    if name not in video.sparse:
        return None
    held_by = video.sparse[name]
    shared, asked, held = np.intersect1d(query.vector.indices, held_by.indices, return_indices=True)
    if not shared.size:
        return None
    return float(query.vector.values[asked] @ held_by.values[held])


class WordEncoder:
    """A title encoder: each word has a random direction, a title is the sum of its words'."""

    def __init__(self, *, dim: int = 32, fingerprint: str = "00000000000000aa") -> None:
        self.name = "test:words"
        self.dim = dim
        self.fingerprint = fingerprint

    def encode(self, items: Sequence[str]) -> FloatMatrix:
        rows = np.zeros((len(items), self.dim), dtype=np.float32)
        for row, title in zip(rows, items, strict=True):
            for word in title.lower().split():
                seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
                row += np.random.default_rng(seed).standard_normal(self.dim)
        return unit_rows(rows) if len(rows) else rows

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        return self.encode(texts)


class OtherWordEncoder(WordEncoder):
    """Words in other directions, by a model that takes a second to load."""

    def __init__(self) -> None:
        super().__init__(dim=16, fingerprint="00000000000000cc")
        self.name = "test:other"
        self._loading = threading.Lock()
        self._loaded = False

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        with self._loading:
            if not self._loaded:
                time.sleep(1)
            self._loaded = True
        return super().encode_queries(texts)


class HeldEncoder(WordEncoder):
    """Words, with every batch written down; it waits while ``go`` is not set, and fails by text."""

    def __init__(self, failures: Mapping[str, type[BaseException]] | None = None) -> None:
        super().__init__()
        self.batches: list[list[str]] = []
        self.started = threading.Semaphore(0)
        self.go = threading.Event()
        self.go.set()
        self._failures = failures or {}

    def encode_queries(self, texts: Sequence[str]) -> FloatMatrix:
        self.batches.append(list(texts))
        self.started.release()
        assert self.go.wait(20)
        for text in self._failures.keys() & set(texts):
            raise self._failures[text](text)
        return super().encode_queries(texts)


class ColourEncoder:
    """A thumbnail encoder: a picture is its 4x4 thumbnail."""

    def __init__(
        self, *, name: str = "test:colours", fingerprint: str = "00000000000000bb"
    ) -> None:
        self.name = name
        self.dim = 48
        self.fingerprint = fingerprint
        self.input_size = (16, 16)

    def encode(self, items: Sequence[Image.Image]) -> FloatMatrix:
        rows = np.zeros((len(items), self.dim), dtype=np.float32)
        for row, picture in zip(rows, items, strict=True):
            small = np.asarray(picture.resize((4, 4)), dtype=np.float32)
            row[:] = small.reshape(-1) - 127.5
        return unit_rows(rows) if len(rows) else rows


def sparse_words(title: str) -> dict[str, SparseVector]:
    """Return what ``StoredVideo.sparse`` has of a title: its ``words``, if there are any."""
    words = weigh_title(title)
    return {} if words is None else {"words": words}
