"""Embedded Qdrant, in process: one shard with every named vector, made as the product makes it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Final

import qdrant_edge as qe

from twinlens.benchmarks.engines.base import EngineAnswer, EngineQuery, MeasuredEngine
from twinlens.benchmarks.engines.record import Built, EngineFailed
from twinlens.benchmarks.engines.vectors import SHARES, VectorSet
from twinlens.stores.edge import link_view

_ROWS_AT_A_TIME: Final = 1_000
_TAGS: Final = "tags"


class Embedded(MeasuredEngine):
    """``qdrant-edge-py``. ``build``: ``m``, ``ef_construct``, and ``quantization`` as "int8".

    A set too small for Qdrant to build a graph gets a lower threshold, so that a graph is there to
    be measured; ``{"exact": True}`` asks the same shard without it.
    """

    def __init__(self, vectors: VectorSet, directory: Path, *, build: Mapping[str, Any]) -> None:
        super().__init__(vectors, directory, build=build)
        self._shard: Any = None
        self._opened = ExitStack()
        self._filters = {
            share: qe.Filter(must=[qe.FieldCondition(_TAGS, match=qe.MatchAny([str(share)]))])
            for share in SHARES
        }

    def upload(self, *, threads: int) -> Built:
        """See `MeasuredEngine.upload`."""
        path = str(self._path)
        self._path.mkdir()
        shard = qe.EdgeShard.create(path, self._make_config(threads))
        # Before the vectors come, as the product does: then the graph keeps filtered parts linked.
        shard.update(qe.UpdateOperation.create_field_index(_TAGS, qe.PayloadSchemaType.Keyword))
        started = time.perf_counter()
        for rows in self.vectors.batch(_ROWS_AT_A_TIME):
            # The engine takes arrays; only its type stubs know lists alone.
            points = [qe.Point(row, given, {_TAGS: tags}) for row, given, tags in rows]  # type: ignore[arg-type]
            shard.update(qe.UpdateOperation.upsert_points(points))
        shard.flush()
        written = time.perf_counter()
        shard.optimize()
        shard.flush()
        built = time.perf_counter()
        indexed = int(shard.info().indexed_vectors_count)
        shard.close()
        wanted = self.vectors.videos * len(self.vectors.dims)
        if indexed < wanted:
            raise EngineFailed(f"Qdrant built graphs over {indexed} of {wanted} vectors")
        # The first load after a flush folds journals into their files; readers must find none.
        qe.EdgeShard.load(path).close()
        return Built(
            upload_s=round(written - started, 3),
            index_s=round(built - written, 3),
            indexed_vectors=indexed,
        )

    def open(self) -> None:
        """See `MeasuredEngine.open`; over links to the files, as the product's readers do."""
        # Beside the index, so that what a killed process leaves goes with it.
        view = tempfile.TemporaryDirectory(prefix="view-", dir=self.directory)
        path = Path(self._opened.enter_context(view))
        link_view(self._path, path)
        self._shard = self._opened.enter_context(closing(qe.EdgeShard.load(str(path))))

    def search(self, query: EngineQuery) -> EngineAnswer:
        """See `MeasuredEngine.search`."""
        return _to_answer(self._shard.query(self._make_request(query)))

    def search_many(self, queries: Sequence[EngineQuery]) -> list[EngineAnswer]:
        """See `MeasuredEngine.search_many`."""
        batch = qe.QueryBatchRequest([self._make_request(query) for query in queries])
        return [_to_answer(hits) for hits in self._shard.query_batch(batch)]

    def close(self) -> None:
        """See `MeasuredEngine.close`."""
        self._opened.close()

    @property
    def _path(self) -> Path:
        return self.directory / "qdrant"

    def _make_config(self, threads: int) -> Any:
        threshold_kb = self.vectors.choose_threshold_kb()
        int8 = qe.ScalarQuantizationConfig(
            type=qe.ScalarType.Int8, quantile=0.99, memory=qe.Memory.Pinned
        )
        return qe.EdgeConfig(
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
            quantization_config=int8 if self.build.get("quantization") == "int8" else None,
            optimizers=qe.EdgeOptimizersConfig(indexing_threshold=threshold_kb),
            # As FAISS has it: one search, one thread.
            max_search_threads=1,
        )

    def _make_request(self, query: EngineQuery) -> Any:
        setting: Mapping[str, Any] = query.setting
        quantization = None
        if setting.get("exact"):
            quantization = qe.QuantizationSearchParams(ignore=True)
        elif "oversampling" in setting:
            quantization = qe.QuantizationSearchParams(
                rescore=setting.get("rescore", True), oversampling=setting["oversampling"]
            )
        return qe.QueryRequest(
            limit=query.limit,
            query=qe.Query.Nearest(query.vector, using=query.name),  # type: ignore[arg-type]
            filter=None if query.share is None else self._filters[query.share],
            params=qe.SearchParams(
                hnsw_ef=setting.get("ef"),
                exact=bool(setting.get("exact")),
                quantization=quantization,
            ),
            with_payload=False,
            with_vector=False,
        )


def _to_answer(hits: Sequence[Any]) -> EngineAnswer:
    return EngineAnswer([hit.id for hit in hits], [hit.score for hit in hits])
