"""The interface of every store: one over embedded Qdrant, Qdrant server and FAISS."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from operator import gt
from typing import Any, Final, NamedTuple, Protocol

from twinlens.catalog.fields import Fields
from twinlens.catalog.vectors import SparseVector, Vector
from twinlens.catalog.vectors import StoredVideo as StoredVideo
from twinlens.stores.filters import Filter

Payload = Mapping[str, Any]
# Vector length by the name of the vector; None: its vectors are sparse.
Dims = Mapping[str, int | None]

# Fixed for ever: point ids are uuid5 of the video_id under this namespace.
POINT_NAMESPACE: Final = uuid.UUID("6f0e1a52-3c8b-5f0e-9d3a-7b1f5b0c2e11")
# Some times that of float32, as hundreds of products are added up.
_ROUNDING: Final = 2e-6
_NAMED: Final = hashlib.sha1(POINT_NAMESPACE.bytes, usedforsecurity=False)


@dataclass(frozen=True, slots=True)
class VectorQuery:
    """Ask one named vector for its ``limit`` nearest videos by inner product.

    Sparse ones are asked with a sparse vector; a video that shares no index with it is not found.
    """

    lens: str
    vector: Vector | SparseVector
    limit: int


class ScoredVideo(NamedTuple):
    """A video and its score: by dense vectors the cosine, in [-1, 1] up to rounding.

    By sparse ones it is the inner product, above 0 and without bound; queries bring the rarity of
    each index. (Qdrant multiplies by that itself in generations without tables of document
    frequencies.) A NamedTuple: hundreds are made per search.
    """

    video_id: str
    score: float


@dataclass(frozen=True, slots=True)
class Order:
    """An order of videos by a number or a moment; those that lack it come last in both directions.

    Equal ones, and those that lack it, come by their point ids. Whole numbers from 2**53 on count
    as equal. Stores refuse the name of a field of theirs that is not sortable.
    """

    field: str
    descending: bool = False


class SortKey(NamedTuple):
    """Where a video stands in an order: by ``value``, and among equals by ``point``, its point id.

    ``value`` is the number, of a moment its microseconds since 1970; None where the video lacks
    the field, or where there is no order but that of the point ids.
    """

    value: float | None
    point: str


class FacetCount(NamedTuple):
    """One value of a field, and how many videos have it."""

    value: str
    videos: int


class VideoBrowser(Protocol):
    """What can be asked of stored videos without a vector. Fields hold what they should, or none.

    Which videos a filter lets through, their order, and the counting are the engine's own work.
    """

    @property
    def fields(self) -> Fields:
        """The fields that the videos have."""
        ...

    def browse(
        self,
        *,
        limit: int,
        order: Order | None = None,
        after: SortKey | None = None,
        filter: Filter | None = None,
    ) -> list[StoredVideo]:
        """Return the first ``limit`` videos after the sort key ``after``, without their vectors.

        Without ``order`` they come by point id: as good as shuffled, and the same in every store.

        Raises:
            ValueError: a limit below 1, or an order by a field that is not sortable.
        """
        ...

    def facet(self, field: str, *, limit: int, filter: Filter | None = None) -> list[FacetCount]:
        """Count the videos that have each text of ``field``, the most frequent first, ties by text.

        A video counts once for each of its values. Where more values tie at the last place than
        fit, the engine chooses among them.

        Raises:
            ValueError: values of ``field`` are not counted, or a limit below 1.
        """
        ...

    def count(self, lens: str | None = None, *, filter: Filter | None = None) -> int:
        """Count the videos that pass ``filter`` and, if it is named, have this vector."""
        ...


class VectorReader(VideoBrowser, Protocol):
    """What a search needs of a store. Reading never changes what is stored."""

    def search(
        self, queries: Sequence[VectorQuery], *, filter: Filter | None = None
    ) -> list[list[ScoredVideo]]:
        """Return a ranking per query, best first, ties by ``video_id``, of videos with the vector.

        All queries go to the engine in one call. Where more videos tie at the last place than fit,
        the engine chooses among them.

        Raises:
            ValueError: a query with a limit below 1, or a vector as ``upsert`` would reject.
        """
        ...

    def get(
        self, video_ids: Sequence[str], *, with_vectors: bool = False
    ) -> dict[str, StoredVideo]:
        """Return the stored videos among ``video_ids``, by id; the unknown are absent."""
        ...

    def scan(
        self, *, with_vectors: bool = False, batch_size: int = 1000
    ) -> Iterator[list[StoredVideo]]:
        """Yield every stored video once, in batches, in the store's own order."""
        ...

    def check(self) -> None:
        """Return at once, whatever else is asked; whether the engine answers is looked at apart.

        Raises:
            StoreUnavailable: it did not, when it was last looked at, about a second ago.
        """
        ...

    def close(self) -> None:
        """Let go of files and connections; a second call does nothing."""
        ...


class VectorStore(VectorReader, Protocol):
    """A store that can be written to."""

    def upsert(self, videos: Sequence[StoredVideo]) -> None:
        """Write whole videos, replacing what was stored under their ids, vectors included.

        Float64 vectors are stored as float32; of an id given twice, the last counts.

        Raises:
            ValueError: a vector of the wrong length or kind, not finite or not of unit length; a
                video with no vector; an id that is not that of the payload. The text names the
                video, and nothing of the call is written.
        """
        ...

    def delete(self, video_ids: Sequence[str]) -> None:
        """Remove these videos; the unknown are ignored."""
        ...

    def flush(self) -> None:
        """Return once everything written survives a loss of power."""
        ...

    def optimize(self) -> None:
        """Build the search structures (HNSW) for what was written; may block for minutes."""
        ...


def point_id(video_id: str) -> str:
    """Return the Qdrant point id of a video: a UUID that depends only on ``video_id``.

    It is ``uuid.uuid5`` of it, in a fifth of the time: a thousand may be left out of a search.
    """
    hashed = _NAMED.copy()
    hashed.update(video_id.encode())
    made = bytearray(hashed.digest()[:16])
    # The version, 5, and the variant of RFC 9562.
    made[6] = made[6] & 0x0F | 0x50
    made[8] = made[8] & 0x3F | 0x80
    text = made.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def sort_hits(
    found: Iterable[ScoredVideo], vector: Vector | SparseVector | None = None
) -> list[ScoredVideo]:
    """Sort what was found by ``vector`` best first, ties by ``video_id``.

    By a sparse one, scores that differ by no more than rounding tie, and the best of them is that
    of all: in which order an engine adds up depends on how its videos lie.
    """
    hits = list(found)
    if isinstance(vector, SparseVector):
        hits = list(_tie(sorted(hits, key=lambda one: -one.score)))
    scores = [one.score for one in hits]
    if all(map(gt, scores, scores[1:])):  # which is quick
        return hits
    return sorted(hits, key=lambda one: (-one.score, one.video_id))


def _tie(falling: Iterable[ScoredVideo]) -> Iterator[ScoredVideo]:
    score = floor = inf
    for one in falling:
        if one.score < floor:
            score = one.score
        floor = one.score - _ROUNDING * abs(one.score)
        yield ScoredVideo(one.video_id, score)
