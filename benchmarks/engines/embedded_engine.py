"""Embedded Qdrant, in process: one shard with every named vector, made as the product makes it."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import qdrant_edge as qe

from twinlens.benchmarks.engines.base import Answer, Engine, EngineFailed, Setting, Uploaded
from twinlens.benchmarks.engines.thresholds import lowered_threshold_kb
from twinlens.benchmarks.engines.vectors import SHARES, Ids, Matrix, VectorSet
from twinlens.catalog.vectors import Vector
from twinlens.catalog.video import VectorName
from twinlens.stores.base import ScoredVideo
from twinlens.stores.copying import copy_tree
from twinlens.stores.edge import link_view

_ROWS_AT_A_TIME: Final = 1_000
_TAGS: Final = "tags"
_SHARD: Final = "qdrant"
_VIEW: Final = "view-"


class Embedded(Engine):
    """``qdrant-edge-py``. ``build``: ``m``, ``ef_construct``, ``quantization``.

    Vectors that come in one go end in one segment with a graph, whatever number of segments Qdrant
    is told to work towards, so that is no setting here.

    A set too small for Qdrant to build a graph gets a lower threshold, so that a graph is there to
    be measured; ``{"exact": True}`` asks the same shard without it.
    """

    def __init__(self, vectors: VectorSet, directory: Path, *, build: Mapping[str, Any]) -> None:
        super().__init__(vectors, directory, build=build)
        self._shard: Any = None
        self._view: tempfile.TemporaryDirectory[str] | None = None
        self._filters = {
            share: qe.Filter(must=[qe.FieldCondition(_TAGS, match=qe.MatchAny([str(share)]))])
            for share in SHARES
        }

    def configure(self, *, threads: int) -> None:
        """See ``Engine``."""
        shutil.rmtree(self.directory, ignore_errors=True)
        path = self.directory / _SHARD
        path.mkdir(parents=True)
        threshold_kb = lowered_threshold_kb(self.vectors)
        config = qe.EdgeConfig(
            vectors={
                name: qe.EdgeVectorParams(size=dim, distance=qe.Distance.Dot)
                for name, dim in self.vectors.dims.items()
            },
            hnsw_config=qe.HnswIndexConfig(
                m=self.build["m"],
                ef_construct=self.build["ef_construct"],
                full_scan_threshold=threshold_kb,
                max_indexing_threads=threads,
            ),
            quantization_config=_quantization(self.build.get("quantization")),
            optimizers=qe.EdgeOptimizersConfig(indexing_threshold=threshold_kb),
            # As FAISS has it: one search, one thread.
            max_search_threads=1,
        )
        shard = qe.EdgeShard.create(str(path), config)
        # Before the vectors come, as the product does: then the graph keeps filtered parts linked.
        shard.update(qe.UpdateOperation.create_field_index(_TAGS, qe.PayloadSchemaType.Keyword))
        shard.flush()
        shard.close()

    def upload(self) -> Uploaded:
        """See ``Engine``."""
        path = self.directory / _SHARD
        shard = qe.EdgeShard.load(str(path))
        started = time.perf_counter()
        for first in range(0, self.vectors.videos, _ROWS_AT_A_TIME):
            last = min(first + _ROWS_AT_A_TIME, self.vectors.videos)
            shard.update(qe.UpdateOperation.upsert_points(self._points(np.arange(first, last))))
        shard.flush()
        written = time.perf_counter()
        shard.optimize()
        shard.flush()
        built = time.perf_counter()
        info = shard.info()
        wanted = self.vectors.videos * len(self.vectors.dims)
        if info.indexed_vectors_count < wanted:
            raise EngineFailed(
                f"Qdrant built graphs over {info.indexed_vectors_count} of {wanted} vectors"
            )
        shard.close()
        # The first load after a flush folds journals into their files; readers must find none.
        qe.EdgeShard.load(str(path)).close()
        return Uploaded(
            written - started,
            built - written,
            int(info.indexed_vectors_count),
            int(info.segments_count),
        )

    def open(self) -> None:
        """See ``Engine``; over links to the files, as the product's readers do."""
        # Beside the index, so that what a killed process leaves goes with it.
        self._view = tempfile.TemporaryDirectory(prefix=_VIEW, dir=self.directory)
        link_view(self.directory / _SHARD, Path(self._view.name))
        self._shard = qe.EdgeShard.load(self._view.name)

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
        hits = self._shard.query(self._request(name, query, limit, setting, share))
        return Answer([hit.id for hit in hits])

    def search_many(
        self, name: str, queries: Matrix, *, limit: int, setting: Setting
    ) -> list[Sequence[int]]:
        """See ``Engine``."""
        requests = [self._request(name, query, limit, setting) for query in queries]
        answers = self._shard.query_batch(qe.QueryBatchRequest(requests))
        return [[hit.id for hit in hits] for hits in answers]

    def rankings(
        self, query: Mapping[str, Vector], *, limit: int, setting: Setting
    ) -> dict[VectorName, list[ScoredVideo]]:
        """See ``Engine``: both queries in one batch, as the product asks."""
        requests = [self._request(name, vector, limit, setting) for name, vector in query.items()]
        answers = self._shard.query_batch(qe.QueryBatchRequest(requests))
        return {
            VectorName(name): [ScoredVideo(str(hit.id), hit.score) for hit in hits]
            for name, hits in zip(query, answers, strict=True)
        }

    def fused(
        self, query: Mapping[str, Vector], *, limit: int, window: int, k: float, setting: Setting
    ) -> Answer:
        """See ``Engine``; Qdrant counts ranks from 0, so its k is ours and one more."""
        # A fusion's kinds are no subclasses of it in the stubs.
        fusion: Any = qe.Fusion.Rrf(k=round(k) + 1)
        request = qe.QueryRequest(
            limit=limit,
            prefetches=[
                qe.Prefetch(
                    limit=window,
                    query=qe.Query.Nearest(_given(vector), using=name),
                    params=_params(setting),
                )
                for name, vector in query.items()
            ],
            query=fusion,
            with_payload=False,
            with_vector=False,
        )
        return Answer([hit.id for hit in self._shard.query(request)])

    def open_for_changes(self) -> None:
        """See ``Engine``: a copy, by its only writer."""
        path = self.directory / "changed"
        shutil.rmtree(path, ignore_errors=True)
        copy_tree(self.directory / _SHARD, path)
        self._shard = qe.EdgeShard.load(str(path))

    def upsert(self, ids: Ids) -> None:
        """See ``Engine``."""
        self._shard.update(qe.UpdateOperation.upsert_points(self._points(ids)))

    def delete(self, ids: Ids) -> None:
        """See ``Engine``."""
        self._shard.update(qe.UpdateOperation.delete_points(ids.tolist()))

    def close(self) -> None:
        """See ``Engine``."""
        if self._shard is not None:
            self._shard.close()
            self._shard = None
        if self._view is not None:
            self._view.cleanup()
            self._view = None
        shutil.rmtree(self.directory / "changed", ignore_errors=True)

    def _points(self, ids: Ids) -> list[Any]:
        parts = {name: self.vectors.rows(name)[ids] for name in self.vectors.dims}
        tags = self.vectors.tags(ids)
        return [
            qe.Point(
                row,
                {name: _given(rows[at]) for name, rows in parts.items()},
                {_TAGS: tags[at]},
            )
            for at, row in enumerate(ids.tolist())
        ]

    def _request(
        self, name: str, query: Vector, limit: int, setting: Setting, share: float | None = None
    ) -> Any:
        return qe.QueryRequest(
            limit=limit,
            query=qe.Query.Nearest(_given(query), using=name),
            filter=None if share is None else self._filters[share],
            params=_params(setting),
            with_payload=False,
            with_vector=False,
        )


def _params(setting: Setting) -> Any:
    exact = bool(setting.get("exact"))
    oversampling = setting.get("oversampling")
    quantization = None
    if exact:
        quantization = qe.QuantizationSearchParams(ignore=True)
    elif oversampling is not None:
        quantization = qe.QuantizationSearchParams(
            rescore=setting.get("rescore", True), oversampling=oversampling
        )
    return qe.SearchParams(hnsw_ef=setting.get("ef"), exact=exact, quantization=quantization)


def _quantization(kind: str | None) -> Any:
    if kind is None:
        return None
    return qe.ScalarQuantizationConfig(
        type=qe.ScalarType.Int8, quantile=0.99, memory=qe.Memory.Pinned
    )


def _given(vector: Vector) -> Any:
    # The engine takes arrays; only its type stubs know lists alone.
    given: Any = vector
    return given
