"""A Qdrant server, searched by REST or gRPC, with the server's own time of each answer."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from qdrant_client import QdrantClient, grpc, models
from qdrant_client.conversions.conversion import RestToGrpc

from twinlens.benchmarks.engines.base import EngineAnswer, EngineQuery, MeasuredEngine
from twinlens.benchmarks.engines.record import Built, EngineFailed
from twinlens.benchmarks.engines.vectors import VectorSet
from twinlens.stores.address import ServerAddress
from twinlens.stores.server_client import ServerClient

API_KEY_VARIABLE: Final = "TWINLENS_QDRANT_API_KEY"
_ROWS_AT_A_TIME: Final = 500
# An exact scan of a million videos, or a batch of them, takes its time.
_TIMEOUT_S: Final = 600
_POLL_S: Final = 0.1
# How long a server may seem to have nothing to build before it counts as done.
_CALM_S: Final = 20.0
# The server takes no smaller threshold for a full scan.
_LEAST_KB: Final = 10


class Server(MeasuredEngine):
    """A Qdrant server. ``build``: ``url``, ``transport``, ``m``, ``ef_construct``.

    ``transport`` is what it is searched by, "rest" or "grpc", the latter at ``grpc_port`` or 6334;
    uploads go by REST. The server's key is read from ``TWINLENS_QDRANT_API_KEY`` and nowhere else,
    so that it gets into no result. The collection is named after the vectors and ``m`` and
    ``ef_construct``, so both transports search the same.
    """

    def __init__(self, vectors: VectorSet, directory: Path, *, build: Mapping[str, Any]) -> None:
        super().__init__(vectors, directory, build=build)
        graph = blake2b(repr((build["m"], build["ef_construct"])).encode(), digest_size=4)
        self.collection = f"{vectors.path.name}-{graph.hexdigest()}"
        self._client: ServerClient | None = None

    def upload(self, *, threads: int) -> Built:
        """See `MeasuredEngine.upload`; what a killed upload left goes first."""
        threshold_kb = self.vectors.choose_threshold_kb(least=_LEAST_KB)
        dims, name = self.vectors.dims, self.collection
        self._ask(lambda client: client.delete_collection(name))
        # What it would index while the upload runs would be indexed again when segments are joined,
        # and the last videos might never be: they would lie in a segment below the threshold.
        waiting = models.OptimizersConfigDiff(
            default_segment_number=1,
            indexing_threshold=0,
            max_segment_size=self.vectors.videos * sum(dims.values()) // 128 + 1,
        )
        graph = models.HnswConfigDiff(
            m=self.build["m"],
            ef_construct=self.build["ef_construct"],
            full_scan_threshold=threshold_kb,
            max_indexing_threads=threads,
        )
        dot = models.Distance.DOT
        params = {one: models.VectorParams(size=dim, distance=dot) for one, dim in dims.items()}
        self._ask(
            lambda client: client.create_collection(
                name, vectors_config=params, hnsw_config=graph, optimizers_config=waiting
            )
        )
        # Before the vectors come, as the product does: then the graph keeps filtered parts linked.
        keyword = models.PayloadSchemaType.KEYWORD
        self._ask(lambda client: client.create_payload_index(name, "tags", keyword))
        started = time.perf_counter()
        for rows in self.vectors.batch(_ROWS_AT_A_TIME):
            points = [
                models.PointStruct(
                    id=row,
                    vector={one: vector.tolist() for one, vector in vectors.items()},
                    payload={"tags": tags},
                )
                for row, vectors, tags in rows
            ]
            self._ask(lambda client, points=points: client.upsert(name, points))  # type: ignore[misc]
        written = time.perf_counter()
        building = models.OptimizersConfigDiff(indexing_threshold=threshold_kb)
        self._ask(lambda client: client.update_collection(name, optimizers_config=building))
        indexed = self._wait_until_indexed()
        built = time.perf_counter()
        self.close()
        return Built(
            upload_s=round(written - started, 3),
            index_s=round(built - written, 3),
            indexed_vectors=indexed,
        )

    def open(self) -> None:
        """See `MeasuredEngine.open`."""
        self._ask(lambda client: client.get_collection(self.collection))

    def search(self, query: EngineQuery) -> EngineAnswer:
        """See `MeasuredEngine.search`; a batch of one, as the product asks."""
        return self.search_many([query])[0]

    def search_many(self, queries: Sequence[EngineQuery]) -> list[EngineAnswer]:
        """See `MeasuredEngine.search_many`."""
        requests, name = [_to_request(query) for query in queries], self.collection
        if self.build["transport"] == "rest":
            batch = models.QueryRequestBatch(searches=requests)
            told = self._ask(
                lambda client: client.http.search_api.query_batch_points(
                    name, query_request_batch=batch
                )
            )
            points = [[(hit.id, hit.score) for hit in one.points] for one in told.result]
        else:
            asked = [RestToGrpc.convert_query_request(one, name) for one in requests]
            message = grpc.QueryBatchPoints(collection_name=name, query_points=asked)
            told = self._ask(
                lambda client: client.grpc_points.QueryBatch(message, timeout=_TIMEOUT_S)
            )
            points = [[(hit.id.num, hit.score) for hit in one.result] for one in told.result]
        return [
            EngineAnswer([row for row, _ in hits], [score for _, score in hits], told.time * 1000)
            for hits in points
        ]

    def measure_disk(self) -> int | None:
        """See `MeasuredEngine.measure_disk`: a server doesn't say."""
        return None

    def remove(self) -> None:
        """Remove the collection for good, whole or not."""
        self._ask(lambda client: client.delete_collection(self.collection))

    def close(self) -> None:
        """See `MeasuredEngine.close`."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _wait_until_indexed(self) -> int:
        wanted = self.vectors.videos * len(self.vectors.dims)
        calm_since = time.monotonic()
        while True:
            info = self._ask(lambda client: client.get_collection(self.collection))
            indexed, status = info.indexed_vectors_count or 0, info.status
            if status == models.CollectionStatus.GREEN and indexed >= wanted:
                return int(indexed)
            if status == models.CollectionStatus.YELLOW:
                calm_since = time.monotonic()
            calm_s = time.monotonic() - calm_since
            if status == models.CollectionStatus.RED or calm_s > _CALM_S:
                raise EngineFailed(
                    f"{self.build['url']}: Qdrant built graphs over {indexed} of {wanted} vectors;"
                    f" status {status}, optimizer {info.optimizer_status}"
                )
            time.sleep(_POLL_S)

    def _ask(self, ask: Callable[[QdrantClient], Any]) -> Any:
        if self._client is None:
            self._client = ServerClient.connect(
                ServerAddress(
                    self.build["url"],
                    os.environ.get(API_KEY_VARIABLE),
                    self.build.get("grpc_port", 6334),
                ),
                timeout_s=_TIMEOUT_S,
                prefer_grpc=False,
                # What a second attempt finds would be measured as the first.
                attempts=1,
            )
        return self._client.request(ask)


def _to_request(query: EngineQuery) -> models.QueryRequest:
    setting: Mapping[str, Any] = query.setting
    passing = models.FieldCondition(key="tags", match=models.MatchValue(value=str(query.share)))
    return models.QueryRequest(
        query=query.vector.tolist(),
        using=query.name,
        filter=None if query.share is None else models.Filter(must=[passing]),
        params=models.SearchParams(hnsw_ef=setting.get("ef"), exact=bool(setting.get("exact"))),
        limit=query.limit,
    )
