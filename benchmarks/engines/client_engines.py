"""What ``qdrant-client`` talks to: a Qdrant server, by REST or gRPC, and its own local mode.

Both are asked with the same requests. Local mode has no index: it scans, in Python.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import tempfile
import time
import warnings
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import numpy as np
from qdrant_client import QdrantClient, grpc, models
from qdrant_client.conversions.conversion import RestToGrpc

from twinlens.benchmarks.engines.base import Answer, Engine, EngineFailed, Setting, Uploaded
from twinlens.benchmarks.engines.thresholds import lowered_threshold_kb
from twinlens.benchmarks.engines.vectors import Ids, Matrix, VectorSet
from twinlens.catalog.errors import StoreError
from twinlens.catalog.vectors import Vector
from twinlens.catalog.video import VectorName
from twinlens.stores.base import ScoredVideo
from twinlens.stores.copying import copy_tree
from twinlens.stores.server import INDEXING_LIMIT_S, REQUEST_FAILURES, ServerClient

COLLECTION_PREFIX: Final = "twinlens-bench-"
API_KEY_VARIABLE: Final = "TWINLENS_QDRANT_API_KEY"
# 500 videos of 512 and 768 values are 2.5 MB, below every message limit on the way.
_ROWS_AT_A_TIME: Final = 500
_TAGS: Final = "tags"
# An exact scan of a million videos, or a batch of them, takes longer than the client's 5 s.
_TIMEOUT_S: Final = 600
_POLL_S: Final = 0.1
# How long a server may seem to have nothing to build before it counts as done.
_CALM_S: Final = 20.0
# The server takes no smaller threshold for a full scan.
_LEAST_KB: Final = 10
# What a collection's name doesn't depend on.
_REACHED_BY: Final = frozenset({"url", "transport", "grpc_port"})
_LOCAL_COLLECTION: Final = "videos"
# The files of local mode: one with the collections' settings, and a folder with what they hold.
_LOCAL_META: Final = "meta.json"
_LOCAL_FILES: Final = "collection"


class _Hits(NamedTuple):
    ids: list[int]
    scores: list[float]
    engine_ms: float | None = None


class _ClientEngine(Engine):
    """The requests, which are the same for both."""

    @abstractmethod
    def _one(self, request: models.QueryRequest) -> _Hits:
        """The answer to one request."""

    @abstractmethod
    def _many(self, requests: list[models.QueryRequest]) -> list[_Hits]:
        """The answers to several requests, sent as one."""

    def _params(self, setting: Setting) -> models.SearchParams | None:
        exact = bool(setting.get("exact"))
        oversampling = setting.get("oversampling")
        quantization = None
        if exact:
            quantization = models.QuantizationSearchParams(ignore=True)
        elif oversampling is not None:
            quantization = models.QuantizationSearchParams(
                rescore=setting.get("rescore", True), oversampling=oversampling
            )
        return models.SearchParams(
            hnsw_ef=setting.get("ef"), exact=exact, quantization=quantization
        )

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
        hits = self._one(self._request(name, query, limit, setting, share))
        return Answer(hits.ids, hits.engine_ms)

    def search_many(
        self, name: str, queries: Matrix, *, limit: int, setting: Setting
    ) -> list[Sequence[int]]:
        """See ``Engine``."""
        answers = self._many([self._request(name, query, limit, setting) for query in queries])
        return [hits.ids for hits in answers]

    def rankings(
        self, query: Mapping[str, Vector], *, limit: int, setting: Setting
    ) -> dict[VectorName, list[ScoredVideo]]:
        """See ``Engine``: both queries in one batch, as the product asks."""
        answers = self._many(
            [self._request(name, vector, limit, setting) for name, vector in query.items()]
        )
        return {
            VectorName(name): [
                ScoredVideo(str(one), score)
                for one, score in zip(hits.ids, hits.scores, strict=True)
            ]
            for name, hits in zip(query, answers, strict=True)
        }

    def fused(
        self, query: Mapping[str, Vector], *, limit: int, window: int, k: float, setting: Setting
    ) -> Answer:
        """See ``Engine``; Qdrant counts ranks from 0, so its k is ours and one more."""
        request = models.QueryRequest(
            prefetch=[
                models.Prefetch(
                    query=vector.tolist(), using=name, limit=window, params=self._params(setting)
                )
                for name, vector in query.items()
            ],
            query=models.RrfQuery(rrf=models.Rrf(k=round(k) + 1)),
            limit=limit,
            with_payload=False,
            with_vector=False,
        )
        hits = self._one(request)
        return Answer(hits.ids, hits.engine_ms)

    def _request(
        self, name: str, query: Vector, limit: int, setting: Setting, share: float | None = None
    ) -> models.QueryRequest:
        passing = None
        if share is not None:
            match = models.MatchAny(any=[str(share)])
            passing = models.Filter(must=[models.FieldCondition(key=_TAGS, match=match)])
        return models.QueryRequest(
            query=query.tolist(),
            using=name,
            filter=passing,
            params=self._params(setting),
            limit=limit,
            with_payload=False,
            with_vector=False,
        )

    def _vectors_config(self) -> dict[str, models.VectorParams]:
        return {
            name: models.VectorParams(size=dim, distance=models.Distance.DOT)
            for name, dim in self.vectors.dims.items()
        }

    def _batches(self, ids: Ids) -> Iterator[list[models.PointStruct]]:
        for first in range(0, len(ids), _ROWS_AT_A_TIME):
            yield self._points(ids[first : first + _ROWS_AT_A_TIME])

    def _points(self, ids: Ids) -> list[models.PointStruct]:
        parts = {name: self.vectors.rows(name)[ids].tolist() for name in self.vectors.dims}
        return [
            models.PointStruct(
                id=row,
                vector={name: rows[at] for name, rows in parts.items()},
                payload={_TAGS: tags},
            )
            for at, (row, tags) in enumerate(zip(ids.tolist(), self.vectors.tags(ids), strict=True))
        ]


class LocalMode(_ClientEngine):
    """``QdrantClient(path=...)``: all vectors in memory, scanned by NumPy, kept in SQLite.

    It locks its folder, so two processes can't open one at once. Here each opens a folder of its
    own with a link to the files, which searches only read.
    """

    changes_beside_searches = False

    def __init__(self, vectors: VectorSet, directory: Path, *, build: Mapping[str, Any]) -> None:
        super().__init__(vectors, directory, build=build)
        self._client: QdrantClient | None = None
        self._view: tempfile.TemporaryDirectory[str] | None = None

    def configure(self, *, threads: int) -> None:
        """See ``Engine``; it writes with one thread, whatever it is told."""
        shutil.rmtree(self.directory, ignore_errors=True)
        client = _local(self._kept)
        client.create_collection(_LOCAL_COLLECTION, vectors_config=self._vectors_config())
        client.close()

    def upload(self) -> Uploaded:
        """See ``Engine``."""
        self._client = _local(self._kept)
        started = time.perf_counter()
        self.upsert(np.arange(self.vectors.videos))
        uploaded = Uploaded(time.perf_counter() - started, 0.0, None)
        self.close()
        return uploaded

    def open(self) -> None:
        """See ``Engine``."""
        # Beside the index, so that what a killed process leaves goes when that is made or removed.
        self._view = tempfile.TemporaryDirectory(prefix=f"view-{os.getpid()}-", dir=self.directory)
        view = Path(self._view.name)
        shutil.copyfile(self._kept / _LOCAL_META, view / _LOCAL_META)
        (view / _LOCAL_FILES).symlink_to((self._kept / _LOCAL_FILES).resolve())
        self._client = _local(view)

    def open_for_changes(self) -> None:
        """See ``Engine``."""
        shutil.rmtree(self._changed, ignore_errors=True)
        copy_tree(self._kept, self._changed)
        self._client = _local(self._changed)

    def upsert(self, ids: Ids) -> None:
        """See ``Engine``."""
        for points in self._batches(ids):
            self._opened().upsert(_LOCAL_COLLECTION, points)

    def delete(self, ids: Ids) -> None:
        """See ``Engine``."""
        self._opened().delete(_LOCAL_COLLECTION, models.PointIdsList(points=ids.tolist()))

    def close(self) -> None:
        """See ``Engine``."""
        if self._client is not None:
            self._client.close()
            self._client = None
        if self._view is not None:
            self._view.cleanup()
            self._view = None
        shutil.rmtree(self._changed, ignore_errors=True)

    @property
    def _kept(self) -> Path:
        return self.directory / "qdrant"

    @property
    def _changed(self) -> Path:
        return self.directory / "changed"

    def _params(self, setting: Setting) -> models.SearchParams | None:
        # It scans exactly, and warns of parameters that say how to search.
        if not setting.get("exact"):
            raise EngineFailed(f"local mode has no index, so it can't search with {setting}")
        return None

    def _one(self, request: models.QueryRequest) -> _Hits:
        [hits] = self._many([request])
        return hits

    def _many(self, requests: list[models.QueryRequest]) -> list[_Hits]:
        answers = self._opened().query_batch_points(_LOCAL_COLLECTION, requests)
        return [_hits(answer.points) for answer in answers]

    def _opened(self) -> QdrantClient:
        if self._client is None:
            raise EngineFailed("local mode: the index is not open")
        return self._client


class Server(_ClientEngine):
    """A Qdrant server.

    ``build``: ``url``, ``transport`` ("rest" or "grpc"), ``m``, ``ef_construct``, ``segments``,
    ``quantization``, and ``grpc_port`` where it is not 6334. The server's key is read from
    ``TWINLENS_QDRANT_API_KEY`` and nowhere else, so that it gets into no result. ``directory`` is
    not used.

    Both transports search one collection, uploaded by the one that comes first. It is found by an
    alias, which is set when all of it is there and indexed: what a killed upload left is not found,
    and goes when the next begins. A set too small for Qdrant to build a graph gets a lower
    threshold, as in the embedded engine.

    REST keeps its connections open, as the client does for every host but ``localhost``: there it
    would open one for each request.
    """

    def __init__(self, vectors: VectorSet, directory: Path, *, build: Mapping[str, Any]) -> None:
        super().__init__(vectors, directory, build=build)
        self.collection = collection_name(vectors, build)
        self._searched = self.collection
        self._client: QdrantClient | None = None
        self._server: ServerClient | None = None

    def configure(self, *, threads: int) -> None:
        """See ``Engine``; where the collection is there whole, it stays."""
        with self._failing():
            if self._connected().alias_target(self.collection) is None:
                self._create(self._points_collection, threads)

    def upload(self) -> Uploaded:
        """See ``Engine``; no seconds where the collection was there whole, and so is shared."""
        with self._failing():
            server = self._connected()
            if server.alias_target(self.collection) is None:
                uploaded = self._fill(self._points_collection)
                server.move_alias(self.collection, self._points_collection)
            else:
                indexed = self._info(self.collection).indexed_vectors_count or 0
                if indexed < self._wanted:
                    raise self._unindexed(indexed, "the collection was there already")
                uploaded = Uploaded(0.0, 0.0, indexed, shared=True)
            self.close()
            return uploaded

    def open(self) -> None:
        """See ``Engine``."""
        with self._failing():
            if self._connected().alias_target(self.collection) is None:
                raise EngineFailed(f"{self.build['url']}: no collection {self.collection}")

    def open_for_changes(self) -> None:
        """See ``Engine``: a second collection, uploaded anew, which goes when it is closed."""
        with self._failing():
            self._connected()
            threads = self._info(self.collection).config.hnsw_config.max_indexing_threads
            self._create(self._changed_collection, threads)
            self._fill(self._changed_collection)
            self._searched = self._changed_collection

    def upsert(self, ids: Ids) -> None:
        """See ``Engine``; it returns when the server has them searchable."""
        with self._failing():
            self._write(self._searched, ids)

    def delete(self, ids: Ids) -> None:
        """See ``Engine``; it returns when the server has done it."""
        points = models.PointIdsList(points=ids.tolist())
        with self._failing():
            self._connected().request(
                lambda client: client.delete(self._searched, points, wait=True)
            )

    def disk_bytes(self) -> int:
        """See ``Engine``, by the server's telemetry; 0 where that doesn't say."""
        self._connected()
        assert self._client is not None
        try:
            told = self._client.http.service_api.telemetry(details_level=10).result
        except REQUEST_FAILURES:
            return 0
        return sum(
            segment.info.disk_usage_bytes
            for collection in (told and told.collections.collections) or []
            if isinstance(collection, models.CollectionTelemetry)
            and collection.id == self._points_collection
            for shard in collection.shards or []
            if shard.local is not None
            for segment in shard.local.segments or []
        )

    def remove(self) -> None:
        """See ``Engine``, on the server too."""
        super().remove()
        with self._failing():
            for collection in (self._points_collection, self._changed_collection):
                self._connected().delete_collection(collection)

    def close(self) -> None:
        """See ``Engine``."""
        if self._server is None:
            return
        try:
            if self._searched == self._changed_collection:
                with self._failing():
                    self._server.delete_collection(self._changed_collection)
        finally:
            self._searched = self.collection
            self._server.close()
            self._server = self._client = None

    @property
    def _points_collection(self) -> str:
        return f"{self.collection}-points"

    @property
    def _changed_collection(self) -> str:
        return f"{self.collection}-changed"

    def _one(self, request: models.QueryRequest) -> _Hits:
        with self._failing():
            client = self._opened()
            if self.build["transport"] == "grpc":
                asked = RestToGrpc.convert_query_request(request, self._searched)
                answer = client.grpc_points.Query(asked, timeout=_TIMEOUT_S)
                return _grpc_hits(answer.result, answer.time)
            told = client.http.search_api.query_points(self._searched, query_request=request)
            assert told.result is not None
            return _hits(told.result.points, told.time)

    def _many(self, requests: list[models.QueryRequest]) -> list[_Hits]:
        with self._failing():
            client = self._opened()
            if self.build["transport"] == "grpc":
                asked = grpc.QueryBatchPoints(
                    collection_name=self._searched,
                    query_points=[
                        RestToGrpc.convert_query_request(request, self._searched)
                        for request in requests
                    ],
                )
                answer = client.grpc_points.QueryBatch(asked, timeout=_TIMEOUT_S)
                return [_grpc_hits(one.result) for one in answer.result]
            told = client.http.search_api.query_batch_points(
                self._searched, query_request_batch=models.QueryRequestBatch(searches=requests)
            )
            return [_hits(one.points) for one in told.result or []]

    def _create(self, collection: str, threads: int | None) -> None:
        """Make an empty collection in which Qdrant builds nothing yet."""
        server = self._connected()
        server.delete_collection(collection)
        quantization = None
        if self.build.get("quantization") is not None:
            quantization = models.ScalarQuantization(
                scalar=models.ScalarQuantizationConfig(
                    type=models.ScalarType.INT8, quantile=0.99, always_ram=True
                )
            )
        graph = models.HnswConfigDiff(
            m=self.build["m"],
            ef_construct=self.build["ef_construct"],
            full_scan_threshold=self._threshold_kb(),
            max_indexing_threads=threads,
        )
        # What it would index while the upload runs would be indexed again when segments are joined,
        # and the last videos might never be: they would lie in a segment below the threshold.
        optimizers = models.OptimizersConfigDiff(
            default_segment_number=self.build["segments"],
            indexing_threshold=0,
            max_segment_size=2 * self.vectors.size_bytes // 1024 + 1,
        )
        server.request(
            # Looked for again, as an attempt whose answer was lost may have made it.
            lambda client: (
                client.collection_exists(collection)
                or client.create_collection(
                    collection,
                    vectors_config=self._vectors_config(),
                    hnsw_config=graph,
                    optimizers_config=optimizers,
                    quantization_config=quantization,
                )
            )
        )
        # Before the vectors come, as the product does: then the graph keeps filtered parts linked.
        server.request(
            lambda client: client.create_payload_index(
                collection, _TAGS, models.PayloadSchemaType.KEYWORD, wait=True
            )
        )

    def _fill(self, collection: str) -> Uploaded:
        started = time.perf_counter()
        self._write(collection, np.arange(self.vectors.videos))
        written = time.perf_counter()
        building = models.OptimizersConfigDiff(indexing_threshold=self._threshold_kb())
        self._connected().request(
            lambda client: client.update_collection(collection, optimizers_config=building)
        )
        indexed = self._wait_until_indexed(collection)
        return Uploaded(written - started, time.perf_counter() - written, indexed)

    def _write(self, collection: str, ids: Ids) -> None:
        for points in self._batches(ids):
            self._put(collection, points)

    def _put(self, collection: str, points: list[models.PointStruct]) -> None:
        self._connected().request(lambda client: client.upsert(collection, points, wait=True))

    def _wait_until_indexed(self, collection: str) -> int:
        deadline = time.monotonic() + INDEXING_LIMIT_S
        calm_since = time.monotonic()
        while True:
            info = self._info(collection)
            indexed = info.indexed_vectors_count or 0
            if info.status == models.CollectionStatus.GREEN and indexed >= self._wanted:
                return indexed
            now = time.monotonic()
            if info.status == models.CollectionStatus.YELLOW:
                calm_since = now
            failed = info.status == models.CollectionStatus.RED
            if failed or now > deadline or now - calm_since > _CALM_S:
                raise self._unindexed(
                    indexed, f"status {info.status}, optimizer {info.optimizer_status}"
                )
            time.sleep(_POLL_S)

    @property
    def _wanted(self) -> int:
        """How many vectors graphs must hold, which is all."""
        return self.vectors.videos * len(self.vectors.dims)

    def _unindexed(self, indexed: int, why: str) -> EngineFailed:
        return EngineFailed(
            f"{self.build['url']}: Qdrant built graphs over {indexed} of {self._wanted} vectors;"
            f" {why}"
        )

    def _threshold_kb(self) -> int:
        """Below the size of the smallest vectors in one segment, so that all get a graph."""
        return lowered_threshold_kb(self.vectors, segments=self.build["segments"], least=_LEAST_KB)

    def _info(self, collection: str) -> models.CollectionInfo:
        return self._connected().request(lambda client: client.get_collection(collection))

    def _connected(self) -> ServerClient:
        if self._server is None:
            with warnings.catch_warnings():
                # Within a private network plain http with a key is what an operator means.
                warnings.filterwarnings("ignore", message="Api key is used with an insecure")
                self._client = QdrantClient(
                    url=self.build["url"],
                    api_key=os.environ.get(API_KEY_VARIABLE),
                    prefer_grpc=self.build["transport"] == "grpc",
                    grpc_port=self.build.get("grpc_port", 6334),
                    timeout=_TIMEOUT_S,
                    limits=httpx.Limits(),
                    check_compatibility=False,
                )
            self._server = ServerClient(self._client, url=self.build["url"], attempts=3)
        return self._server

    def _opened(self) -> QdrantClient:
        if self._client is None:
            raise EngineFailed(f"{self.build['url']}: not open")
        return self._client

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except REQUEST_FAILURES as error:
            raise EngineFailed(str(self._connected().explained(error))) from error
        except StoreError as error:
            raise EngineFailed(str(error)) from error


def collection_name(vectors: VectorSet, build: Mapping[str, Any]) -> str:
    """The name of the collection with these vectors, built like this, however it is reached."""
    built = {key: build[key] for key in sorted(build.keys() - _REACHED_BY)}
    digest = hashlib.sha256(json.dumps([built, asdict(vectors.description)]).encode())
    for name in vectors.dims:
        # A file of the same name and size may hold something else by now.
        digest.update(vectors.rows(name)[[0, -1]].tobytes())
    return f"{COLLECTION_PREFIX}{vectors.videos}-{digest.hexdigest()[:12]}"


def _local(path: Path) -> QdrantClient:
    try:
        return QdrantClient(path=str(path), force_disable_check_same_thread=True)
    except (OSError, RuntimeError, ValueError, sqlite3.Error) as error:
        raise EngineFailed(f"local mode: {error}") from error


def _hits(points: Sequence[models.ScoredPoint], took_s: float | None = None) -> _Hits:
    return _Hits(
        [int(point.id) for point in points], [point.score for point in points], _ms(took_s)
    )


def _grpc_hits(points: Any, took_s: float | None = None) -> _Hits:
    return _Hits([point.id.num for point in points], [point.score for point in points], _ms(took_s))


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else seconds * 1000
