"""FAISS, in process: any index that its factory makes, a file for each named vector."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import faiss as typed_faiss
import numpy as np

from twinlens.benchmarks.engines.base import EngineAnswer, EngineQuery, MeasuredEngine
from twinlens.benchmarks.engines.record import Built, EngineFailed, Setting
from twinlens.benchmarks.engines.vectors import SHARES, Ids, VectorSet
from twinlens.catalog.vectors import FloatMatrix

# Its stubs know the C++ signatures alone, not those that its Python module gives them.
faiss: Any = typed_faiss

_ROWS_AT_A_TIME: Final = 20_000
# k-means learns little from more vectors than these for each of its lists, and scales from more.
_TRAINED_ON_PER_LIST: Final = 64
_SCALES_TRAINED_ON: Final = 100_000
_MULTIPLIED_FROM: Final = 20


class Faiss(MeasuredEngine):
    """``build``: ``factory``, and what belongs to some kinds of index only.

    ``{lists}`` in the factory's string is ``lists_by_square_root`` times the square root of the
    number of videos. ``ef_construct`` is a graph's. ``mapped`` files are not read into memory, so
    processes share their pages. A filter is a bitmap made when the index is opened: the best that a
    caller can do who knows the filters in advance.
    """

    def __init__(self, vectors: VectorSet, directory: Path, *, build: Mapping[str, Any]) -> None:
        super().__init__(vectors, directory, build=build)
        self._indexes: dict[str, Any] = {}
        self._selectors: dict[float, Any] = {}

    def upload(self, *, threads: int) -> Built:
        """See `MeasuredEngine.upload`; FAISS builds while it takes the vectors in."""
        faiss.omp_set_num_threads(threads)
        started = time.perf_counter()
        linked = 0
        rng = np.random.default_rng(0)
        lists = round(self.build.get("lists_by_square_root", 0) * math.sqrt(self.vectors.videos))
        for name in self.vectors.dims:
            rows = self.vectors.rows[name]
            index = self._make_empty(rows.shape[1], self.build["factory"].format(lists=lists))
            if not index.is_trained:
                count = lists * _TRAINED_ON_PER_LIST if lists else _SCALES_TRAINED_ON
                index.train(rows[np.sort(rng.permutation(len(rows))[:count])])
            for first in range(0, len(rows), _ROWS_AT_A_TIME):
                part = np.ascontiguousarray(rows[first : first + _ROWS_AT_A_TIME])
                if isinstance(index, faiss.IndexIDMap):
                    index.add_with_ids(part, np.arange(first, first + len(part)))
                else:
                    index.add(part)
            if index.ntotal != len(rows):
                raise EngineFailed(f"FAISS holds {index.ntotal} of {len(rows)} vectors")
            linked += index.ntotal if hasattr(index, "hnsw") else 0
            faiss.write_index(index, str(self._name_file(name)))
        took_s = round(time.perf_counter() - started, 3)
        return Built(upload_s=0.0, index_s=took_s, indexed_vectors=linked or None)

    def open(self) -> None:
        """See `MeasuredEngine.open`."""
        faiss.omp_set_num_threads(1)
        flags = faiss.IO_FLAG_MMAP_IFC if self.build.get("mapped") else 0
        for name in self.vectors.dims:
            self._indexes[name] = faiss.read_index(str(self._name_file(name)), flags)
        for share in SHARES:
            passing = np.packbits(self.vectors.draws < share, bitorder="little")
            self._selectors[share] = faiss.IDSelectorBitmap(passing)

    def search(self, query: EngineQuery) -> EngineAnswer:
        """See `MeasuredEngine.search`."""
        selector = None if query.share is None else self._selectors[query.share]
        scores, ids = self._indexes[query.name].search(
            query.vector[np.newaxis], query.limit, params=_make_parameters(query.setting, selector)
        )
        return _to_answer(scores[0], ids[0])

    def search_many(self, queries: Sequence[EngineQuery]) -> list[EngineAnswer]:
        """See `MeasuredEngine.search_many`; a scan multiplies matrices, which pays for many."""
        first = queries[0]
        if len({query.name for query in queries}) > 1:
            return [self.search(query) for query in queries]
        vectors = np.stack([query.vector for query in queries])
        before = faiss.cvar.distance_compute_blas_threshold
        # FAISS 1.15 holds it against queries times dimensions, and sets it out of a batch's reach.
        faiss.cvar.distance_compute_blas_threshold = _MULTIPLIED_FROM * vectors.shape[1]
        try:
            scores, ids = self._indexes[first.name].search(
                vectors, first.limit, params=_make_parameters(first.setting, None)
            )
        finally:
            faiss.cvar.distance_compute_blas_threshold = before
        return [_to_answer(*row) for row in zip(scores, ids, strict=True)]

    def _make_empty(self, dim: int, factory: str) -> Any:
        index = faiss.index_factory(dim, factory, faiss.METRIC_INNER_PRODUCT)
        if "ef_construct" in self.build:
            index.hnsw.efConstruction = self.build["ef_construct"]
        if hasattr(index, "cp"):
            index.cp.min_points_per_centroid = 1  # or FAISS warns of few vectors
        return index

    def _name_file(self, name: str) -> Path:
        return self.directory / f"{name}.faiss"


def _make_parameters(setting: Setting, selector: Any) -> Any:
    """Return what a search is told, in FAISS's class for its kind of index, or None."""
    selected = {} if selector is None else {"sel": selector}
    if "ef" in setting:
        return faiss.SearchParametersHNSW(efSearch=setting["ef"], **selected)
    if "nprobe" in setting:
        return faiss.SearchParametersIVF(nprobe=setting["nprobe"], **selected)
    return faiss.SearchParameters(**selected) if selected else None


def _to_answer(scores: FloatMatrix, ids: Ids) -> EngineAnswer:
    # FAISS fills up with the id -1 where it finds fewer.
    count = len(ids) if ids[-1] >= 0 else int((ids >= 0).sum())
    return EngineAnswer(ids[:count].tolist(), scores[:count].tolist())
