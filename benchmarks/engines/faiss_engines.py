"""FAISS, in process: the flat index as the mirror has it, and graphs, lists and codes beside it."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import faiss as typed_faiss
import numpy as np

from twinlens.benchmarks.engines.base import (
    Answer,
    Engine,
    EngineFailed,
    NotOffered,
    Setting,
    Uploaded,
)
from twinlens.benchmarks.engines.vectors import SHARES, Ids, Matrix, VectorSet
from twinlens.catalog.vectors import Vector
from twinlens.catalog.video import VectorName
from twinlens.stores.base import ScoredVideo

# Its stubs know the C++ signatures alone, not those that its Python module gives them.
faiss: Any = typed_faiss

_ROWS_AT_A_TIME: Final = 20_000
# k-means learns little from more vectors than these for each of its lists.
_TRAINED_ON_PER_LIST: Final = 64
_SCALES_TRAINED_ON: Final = 100_000
_MULTIPLIED_FROM: Final = 20


class FaissEngine(Engine):
    """What all FAISS indexes share: a file for each named vector, read into memory to search.

    A filter is an id selector over a bitmap that is made when the index is opened: the best that
    a caller of FAISS can do who knows the filters in advance.
    """

    # Whether the files are mapped into memory and not read: pages are shared with other processes.
    mapped = False

    def __init__(self, vectors: VectorSet, directory: Path, *, build: Mapping[str, Any]) -> None:
        super().__init__(vectors, directory, build=build)
        self._indexes: dict[str, Any] = {}
        self._selectors: dict[float, Any] = {}
        self._bitmaps: list[Any] = []

    @property
    def names(self) -> list[str]:
        """The vectors that it holds; of those that serve as points of reference only the first."""
        return list(self.vectors.dims)

    def empty(self, dim: int) -> Any:
        """An index that holds nothing yet, and may have to be trained."""
        raise NotImplementedError

    def parameters(self, setting: Setting, selector: Any) -> Any:
        """What a search is told, in FAISS's class for this index; None where there is nothing."""
        return None if selector is None else faiss.SearchParameters(sel=selector)

    def training_rows(self) -> int:
        """How many vectors the index learns from before it takes any."""
        return 0

    def configure(self, *, threads: int) -> None:
        """See ``Engine``."""
        self.directory.mkdir(parents=True, exist_ok=True)
        faiss.omp_set_num_threads(threads)

    def upload(self) -> Uploaded:
        """See ``Engine``; what FAISS builds, it builds while it takes the vectors in."""
        started = time.perf_counter()
        linked: list[int | None] = []
        for name in self.names:
            rows = self.vectors.rows(name)
            index = self.empty(rows.shape[1])
            if not index.is_trained:
                chosen = np.random.default_rng(0).permutation(len(rows))[: self.training_rows()]
                index.train(rows[np.sort(chosen)])
            for first in range(0, len(rows), _ROWS_AT_A_TIME):
                part = np.ascontiguousarray(rows[first : first + _ROWS_AT_A_TIME])
                if isinstance(index, faiss.IndexIDMap):
                    index.add_with_ids(part, np.arange(first, first + len(part)))
                else:
                    index.add(part)
            if index.ntotal != len(rows):
                raise EngineFailed(f"FAISS holds {index.ntotal} of {len(rows)} vectors")
            linked.append(self.linked(index))
            faiss.write_index(index, str(self._file(name)))
        took = time.perf_counter() - started
        return Uploaded(0.0, took, sum(one for one in linked if one is not None) or None)

    def linked(self, index: Any) -> int | None:
        """How many vectors the graph of this index links; None where it has none."""
        return None

    def open(self) -> None:
        """See ``Engine``."""
        self._read(faiss.IO_FLAG_MMAP_IFC if self.mapped else 0)
        for share in SHARES:
            bitmap = np.packbits(self.vectors.draws < share, bitorder="little")
            self._bitmaps.append(bitmap)  # FAISS keeps a pointer to it
            self._selectors[share] = faiss.IDSelectorBitmap(bitmap)

    def search(
        self,
        name: str,
        query: Vector,
        *,
        limit: int,
        setting: Setting,
        share: float | None = None,
    ) -> Answer:
        """See ``Engine``."""
        selector = None if share is None else self._selectors[share]
        _, ids = self._indexes[name].search(
            query[np.newaxis], limit, params=self.parameters(setting, selector)
        )
        return Answer(_found(ids[0]))

    def search_many(
        self, name: str, queries: Matrix, *, limit: int, setting: Setting
    ) -> list[Sequence[int]]:
        """See ``Engine``; a scan multiplies matrices, which pays for many queries alone."""
        before = faiss.cvar.distance_compute_blas_threshold
        # FAISS 1.15 holds it against queries times dimensions, and sets it out of a batch's reach.
        faiss.cvar.distance_compute_blas_threshold = _MULTIPLIED_FROM * queries.shape[1]
        try:
            _, ids = self._indexes[name].search(
                queries, limit, params=self.parameters(setting, None)
            )
        finally:
            faiss.cvar.distance_compute_blas_threshold = before
        return [_found(row) for row in ids]

    def rankings(
        self, query: Mapping[str, Vector], *, limit: int, setting: Setting
    ) -> dict[VectorName, list[ScoredVideo]]:
        """See ``Engine``."""
        if self.names != list(query):
            raise NotOffered
        found = {}
        for name, vector in query.items():
            scores, ids = self._indexes[name].search(
                vector[np.newaxis], limit, params=self.parameters(setting, None)
            )
            found[VectorName(name)] = [
                ScoredVideo(str(one), score)
                for one, score in zip(ids[0].tolist(), scores[0].tolist(), strict=True)
                if one >= 0
            ]
        return found

    def index(self, name: str) -> Any:
        """FAISS's own index, for its own loop."""
        return self._indexes[name]

    def close(self) -> None:
        """See ``Engine``."""
        self._indexes = {}
        self._selectors = {}

    def _read(self, flags: int) -> None:
        faiss.omp_set_num_threads(1)
        for name in self.names:
            self._indexes[name] = faiss.read_index(str(self._file(name)), flags)

    def _file(self, name: str) -> Path:
        return self.directory / f"{name}.faiss"


class Flat(FaissEngine):
    """The exact scan: the same index under the same id map, opened the same way, as the mirror."""

    changes_beside_searches = False
    mapped = True

    def empty(self, dim: int) -> Any:
        """See ``FaissEngine``."""
        return faiss.IndexIDMap(faiss.IndexFlatIP(dim))

    def open_for_changes(self) -> None:
        """See ``Engine``; in memory, as the mirror's writer has it: a mapped file can't grow."""
        self._read(0)

    def upsert(self, ids: Ids) -> None:
        """See ``Engine``: taken out and put in again."""
        self.delete(ids)
        for name in self.names:
            self._indexes[name].add_with_ids(self.vectors.rows(name)[ids], ids)

    def delete(self, ids: Ids) -> None:
        """See ``Engine``."""
        for name in self.names:
            self._indexes[name].remove_ids(faiss.IDSelectorBatch(ids))


class FlatInMemory(Flat):
    """The same, read into memory: a mapped file's vectors begin at an odd address, which costs."""

    mapped = False


class Hnsw(FaissEngine):
    """A graph over float32 vectors."""

    def empty(self, dim: int) -> Any:
        """See ``FaissEngine``."""
        index = faiss.IndexHNSWFlat(dim, self.build["m"], faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = self.build["ef_construct"]
        return index

    def parameters(self, setting: Setting, selector: Any) -> Any:
        """See ``FaissEngine``."""
        return faiss.SearchParametersHNSW(efSearch=setting["ef"], **_selected(selector))

    def linked(self, index: Any) -> int:
        """See ``FaissEngine``.

        Raises:
            EngineFailed: some vectors have no neighbour in the graph.
        """
        offsets = faiss.vector_to_array(index.hnsw.offsets)
        neighbors = faiss.vector_to_array(index.hnsw.neighbors)
        # The first of a vector's places on the lowest level; -1 where it has no neighbour.
        linked = int((neighbors[offsets[:-1]] >= 0).sum())
        if linked < index.ntotal:
            raise EngineFailed(f"FAISS linked {linked} of {index.ntotal} vectors in its graph")
        return linked


class Ivf(FaissEngine):
    """Lists around centres; some lists are scanned. Of the first vector alone."""

    @property
    def names(self) -> list[str]:
        """See ``FaissEngine``."""
        return [self.vectors.first]

    def lists(self) -> int:
        """Some times the square root of the number of vectors; FAISS's guide has 4 to 16."""
        by_root: float = self.build["lists_by_square_root"]
        return max(1, round(by_root * math.sqrt(self.vectors.videos)))

    def training_rows(self) -> int:
        """See ``FaissEngine``."""
        return self.lists() * _TRAINED_ON_PER_LIST

    def empty(self, dim: int) -> Any:
        """See ``FaissEngine``."""
        index = faiss.IndexIVFFlat(
            faiss.IndexFlatIP(dim), dim, self.lists(), faiss.METRIC_INNER_PRODUCT
        )
        index.cp.min_points_per_centroid = 1  # or FAISS warns of few vectors
        return index

    def parameters(self, setting: Setting, selector: Any) -> Any:
        """See ``FaissEngine``."""
        return faiss.SearchParametersIVF(nprobe=setting["nprobe"], **_selected(selector))


class Sq8(FaissEngine):
    """A flat scan of one byte a value. Of the first vector alone."""

    @property
    def names(self) -> list[str]:
        """See ``FaissEngine``."""
        return [self.vectors.first]

    def training_rows(self) -> int:
        """See ``FaissEngine``."""
        return _SCALES_TRAINED_ON

    def empty(self, dim: int) -> Any:
        """See ``FaissEngine``."""
        return faiss.IndexScalarQuantizer(
            dim, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )


def _found(ids: Ids) -> list[int]:
    """The ids without the -1 that FAISS fills up with where it finds fewer."""
    found: list[int] = ids.tolist()
    return found if found[-1] >= 0 else [one for one in found if one >= 0]


def _selected(selector: Any) -> dict[str, Any]:
    return {} if selector is None else {"sel": selector}
