"""The parts of reading from Qdrant that the embedded engine and a server share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from twinlens.catalog.fields import Fields
from twinlens.catalog.vectors import to_sparse_vector
from twinlens.stores.base import Dims, FacetCount, Order, SortKey, StoredVideo
from twinlens.stores.browsing import browse, check_facet
from twinlens.stores.filters import Filter
from twinlens.stores.qdrant_filters import Dialect, translate


class QdrantReader(ABC):
    """The half of ``VectorReader`` and ``VideoBrowser`` that no library of Qdrant's changes.

    A subclass asks its library: ``_scroll`` for a page of videos, ``_count`` and ``_facet`` by a
    condition in the library's own classes, which ``dialect`` makes.
    """

    dialect: Dialect[Any]

    def __init__(self, dims: Dims, fields: Fields) -> None:
        self._dims = dict(dims)
        self.fields = fields

    @property
    def dims(self) -> dict[str, int | None]:
        """Length of each named vector; None: its vectors are sparse."""
        return dict(self._dims)

    @property
    def indexed_vector_count(self) -> int:
        """How many dense vectors, over all names, the HNSW graphs cover; small shards have none."""
        # Qdrant counts the sparse ones in its inverted indexes too.
        sparse = [name for name, dim in self._dims.items() if dim is None]
        return self._count_indexed() - sum(self.count(name) for name in sparse)

    def browse(
        self,
        *,
        limit: int,
        order: Order | None = None,
        after: SortKey | None = None,
        filter: Filter | None = None,
    ) -> list[StoredVideo]:
        """See ``VideoBrowser``."""
        return browse(
            _Scroller(self),
            limit=limit,
            order=order,
            after=after,
            filter=filter,
            fields=self.fields,
        )

    def facet(self, field: str, *, limit: int, filter: Filter | None = None) -> list[FacetCount]:
        """See ``VideoBrowser``."""
        check_facet(field, limit, self.fields)
        return self._facet(field, limit, self.translate(filter))

    def count(self, lens: str | None = None, *, filter: Filter | None = None) -> int:
        """See ``VideoBrowser``."""
        parts = [] if lens is None else [self._has_vector(lens)]
        if filter is not None:
            parts.append(self.translate(filter))
        return self._count(self.dialect.every(parts) if parts else None)

    def scan(
        self, *, with_vectors: bool = False, batch_size: int = 1000
    ) -> Iterator[list[StoredVideo]]:
        """See ``VectorReader``."""
        offset: Any = None
        while True:
            batch, offset = self.scroll(limit=batch_size, offset=offset, with_vectors=with_vectors)
            if batch:
                yield batch
            if offset is None:
                return

    def translate(self, filter: Filter | None) -> Any:
        """Return ``filter`` in the library's classes; None for none."""
        return None if filter is None else translate(filter, self.dialect, self.fields)

    @abstractmethod
    def scroll(
        self,
        *,
        limit: int,
        offset: Any = None,
        filter: Filter | None = None,
        order: Order | None = None,
        with_vectors: bool = False,
    ) -> tuple[list[StoredVideo], Any]:
        """Return videos from the point ``offset`` on, or by value, and where the next ones begin.

        The second is None where there are no more.
        """

    @abstractmethod
    def _has_vector(self, name: str) -> Any:
        """Return the condition that a video has a vector of this name."""

    @abstractmethod
    def _count(self, condition: Any) -> int:
        """Count the videos that meet a condition of the library's, or all where it is None."""

    @abstractmethod
    def _count_indexed(self) -> int:
        """Count the vectors that are in some index, sparse ones included."""

    @abstractmethod
    def _facet(self, field: str, limit: int, condition: Any) -> list[FacetCount]:
        """Count the values of ``field``, the commonest first."""


@dataclass(frozen=True, slots=True)
class _Scroller:
    """A reader's points by id and by value."""

    reader: QdrantReader

    def by_point(
        self, limit: int, *, start: str | None, filter: Filter | None
    ) -> list[StoredVideo]:
        return self.reader.scroll(limit=limit, offset=start, filter=filter)[0]

    def by_value(self, limit: int, *, order: Order, filter: Filter) -> list[StoredVideo]:
        return self.reader.scroll(limit=limit, order=order, filter=filter)[0]


def to_stored_video(record: Any) -> StoredVideo:
    """Return the video of a record of either library."""
    given = dict(record.vector or {})
    sparse = {name: given.pop(name) for name in list(given) if hasattr(given[name], "indices")}
    payload = record.payload or {}
    return StoredVideo(
        payload["video_id"],
        payload,
        {name: np.array(values, dtype=np.float32) for name, values in given.items()},
        {
            name: to_sparse_vector(zip(of.indices, of.values, strict=True))
            for name, of in sparse.items()
        },
    )
