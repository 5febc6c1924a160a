"""A Qdrant server, searched by REST or gRPC, with the server's own time of each answer."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import grpc as grpc_errors  # type: ignore[import-untyped]
import httpx
import numpy as np
from qdrant_client import QdrantClient, grpc

from twinlens.benchmarks.engines.base import Answer, Engine, EngineFailed, Query, Uploaded
from twinlens.benchmarks.engines.vectors import VectorSet

API_KEY_VARIABLE: Final = "TWINLENS_QDRANT_API_KEY"
_ROWS_AT_A_TIME: Final = 500
# An exact scan of a million videos, or a batch of them, takes its time.
_TIMEOUT_S: Final = 600.0
_POLL_S: Final = 0.1
# How long a server may seem to have nothing to build before it counts as done.
_CALM_S: Final = 20.0
# The server takes no smaller threshold for a full scan.
_LEAST_KB: Final = 10


class Server(Engine):
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
        self._key = os.environ.get(API_KEY_VARIABLE)
        self._http: httpx.Client | None = None
        self._client: QdrantClient | None = None

    def upload(self, *, threads: int) -> Uploaded:
        """See `Engine.upload`; what a killed upload left goes first."""
        threshold_kb = self.vectors.graph_threshold_kb(least=_LEAST_KB)
        dims = self.vectors.dims
        self._request("DELETE", "")
        # What it would index while the upload runs would be indexed again when segments are joined,
        # and the last videos might never be: they would lie in a segment below the threshold.
        optimizers = {
            "default_segment_number": 1,
            "indexing_threshold": 0,
            "max_segment_size": self.vectors.videos * sum(dims.values()) // 128 + 1,
        }
        graph = {
            "m": self.build["m"],
            "ef_construct": self.build["ef_construct"],
            "full_scan_threshold": threshold_kb,
            "max_indexing_threads": threads,
        }
        vectors = {name: {"size": dim, "distance": "Dot"} for name, dim in dims.items()}
        body = {"vectors": vectors, "hnsw_config": graph, "optimizers_config": optimizers}
        self._request("PUT", "", body)
        # Before the vectors come, as the product does: then the graph keeps filtered parts linked.
        self._request("PUT", "/index?wait=true", {"field_name": "tags", "field_schema": "keyword"})
        started = time.perf_counter()
        for first in range(0, self.vectors.videos, _ROWS_AT_A_TIME):
            self._put(np.arange(first, min(first + _ROWS_AT_A_TIME, self.vectors.videos)))
        written = time.perf_counter()
        self._request("PATCH", "", {"optimizers_config": {"indexing_threshold": threshold_kb}})
        indexed = self._wait_until_indexed()
        built = time.perf_counter()
        self.close()
        return Uploaded(written - started, built - written, indexed)

    def open(self) -> None:
        """See `Engine.open`."""
        self._request("GET", "")
        if self.build["transport"] == "grpc":
            self._client = QdrantClient(
                url=self.build["url"],
                api_key=self._key,
                grpc_port=self.build.get("grpc_port", 6334),
                timeout=int(_TIMEOUT_S),
                check_compatibility=False,
            )

    def search(self, query: Query) -> Answer:
        """See `Engine.search`."""
        if self._client is None:
            told = self._request("POST", "/points/query", _as_json(query))
            return _from_json(told["result"]["points"], told["time"])
        with self._explain():
            asked = self._as_message(query)
            answer = self._client.grpc_points.Query(asked, timeout=_TIMEOUT_S)
        return _from_message(answer.result, answer.time)

    def search_many(self, queries: Sequence[Query]) -> list[Answer]:
        """See `Engine.search_many`."""
        if self._client is None:
            body = {"searches": [_as_json(query) for query in queries]}
            told = self._request("POST", "/points/query/batch", body)
            return [_from_json(one["points"], told["time"]) for one in told["result"]]
        batch = grpc.QueryBatchPoints(
            collection_name=self.collection,
            query_points=[self._as_message(query) for query in queries],
        )
        with self._explain():
            answer = self._client.grpc_points.QueryBatch(batch, timeout=_TIMEOUT_S)
        return [_from_message(one.result, answer.time) for one in answer.result]

    def disk_bytes(self) -> int | None:
        """See `Engine.disk_bytes`: a server doesn't say."""
        return None

    def remove(self) -> None:
        """See `Engine.remove`; on the server too."""
        super().remove()
        self._request("DELETE", "")

    def close(self) -> None:
        """See `Engine.close`."""
        for client in (self._http, self._client):
            if client is not None:
                client.close()
        self._http = self._client = None

    def _put(self, ids: Any) -> None:
        parts = {name: self.vectors.rows(name)[ids].tolist() for name in self.vectors.dims}
        points = [
            {"id": row, "vector": {name: rows[at] for name, rows in parts.items()}}
            | {"payload": {"tags": tags}}
            for at, (row, tags) in enumerate(zip(ids.tolist(), self.vectors.tags(ids), strict=True))
        ]
        self._request("PUT", "/points?wait=true", {"points": points})

    def _wait_until_indexed(self) -> int:
        wanted = self.vectors.videos * len(self.vectors.dims)
        calm_since = time.monotonic()
        while True:
            info = self._request("GET", "")["result"]
            indexed = info.get("indexed_vectors_count") or 0
            if info["status"] == "green" and indexed >= wanted:
                return int(indexed)
            if info["status"] == "yellow":
                calm_since = time.monotonic()
            if info["status"] == "red" or time.monotonic() - calm_since > _CALM_S:
                raise EngineFailed(
                    f"{self.build['url']}: Qdrant built graphs over {indexed} of {wanted} vectors;"
                    f" status {info['status']}, optimizer {info.get('optimizer_status')}"
                )
            time.sleep(_POLL_S)

    def _request(self, method: str, path: str, body: Any = None) -> Any:
        if self._http is None:
            headers = {} if self._key is None else {"api-key": self._key}
            url = self.build["url"]
            self._http = httpx.Client(base_url=url, timeout=_TIMEOUT_S, headers=headers)
        with self._explain():
            answer = self._http.request(method, f"/collections/{self.collection}{path}", json=body)
            if answer.is_error:
                raise EngineFailed(f"{self.build['url']}: {answer.status_code}: {answer.text}")
            return answer.json()

    @contextmanager
    def _explain(self) -> Iterator[None]:
        try:
            yield
        except (httpx.HTTPError, ValueError, grpc_errors.RpcError) as error:
            raise EngineFailed(f"{self.build['url']} doesn't answer: {error}") from error

    def _as_message(self, query: Query) -> Any:
        passing = None
        if query.share is not None:
            match = grpc.Match(keyword=str(query.share))
            field = grpc.FieldCondition(key="tags", match=match)
            passing = grpc.Filter(must=[grpc.Condition(field=field)])
        nearest = grpc.VectorInput(dense=grpc.DenseVector(data=query.vector.tolist()))
        params: dict[str, Any] = {"exact": bool(query.setting.get("exact"))}
        if "ef" in query.setting:
            params["hnsw_ef"] = query.setting["ef"]
        return grpc.QueryPoints(
            collection_name=self.collection,
            query=grpc.Query(nearest=nearest),
            using=query.name,
            filter=passing,
            params=grpc.SearchParams(**params),
            limit=query.limit,
        )


def _as_json(query: Query) -> dict[str, Any]:
    passing = {"must": [{"key": "tags", "match": {"value": str(query.share)}}]}
    return {
        "query": query.vector.tolist(),
        "using": query.name,
        "filter": None if query.share is None else passing,
        "params": {
            "hnsw_ef": query.setting.get("ef"), "exact": bool(query.setting.get("exact"))
        },
        "limit": query.limit,
    }  # fmt: skip


def _from_json(points: Sequence[Mapping[str, Any]], took_s: float) -> Answer:
    ids = [int(point["id"]) for point in points]
    return Answer(ids, [point["score"] for point in points], took_s * 1000)


def _from_message(points: Any, took_s: float) -> Answer:
    ids = [point.id.num for point in points]
    return Answer(ids, [point.score for point in points], took_s * 1000)
