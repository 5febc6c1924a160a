"""A Qdrant server: one connection, and a store per collection.

What the server acknowledged lies in its own write-ahead log. A request that fails for a passing
reason (no connection, overload, a time-out) is sent again, with exponentially growing pauses;
every request made here may arrive twice without harm.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Self, TypeVar

import grpc  # type: ignore[import-untyped]
import numpy as np
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import ResourceExhaustedResponse
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from twinlens.catalog.errors import StoreError, StoreUnavailable
from twinlens.catalog.fields import FIELDS, Fields
from twinlens.catalog.vectors import AnyVector, SparseVector, sparse_vector
from twinlens.stores.base import (
    Dims,
    FacetCount,
    Order,
    Place,
    ScoredVideo,
    StoredVideo,
    VectorQuery,
    point_id,
    ranked,
)
from twinlens.stores.browsing import browse, check_facet, ranked_facet
from twinlens.stores.checks import checked_queries, checked_videos
from twinlens.stores.filters import Filter
from twinlens.stores.qdrant_filters import translate
from twinlens.stores.qdrant_schema import (
    FULL_SCAN_THRESHOLD_KB,
    HNSW_EF_CONSTRUCT,
    HNSW_M,
    IndexKind,
    payload_indexes,
)

ResultT = TypeVar("ResultT")

# 500 videos of 512 and 768 values are 2.5 MB, below every message limit on the way.
_BATCH: Final = 500
_POLL_S: Final = 0.5
INDEXING_LIMIT_S: Final = 6 * 3600.0
_TRANSIENT_GRPC: Final = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.ABORTED,
    }
)
_REFUSED_GRPC: Final = frozenset(
    {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
)
# What a request to the server may raise.
REQUEST_FAILURES: Final = (
    grpc.RpcError,
    ResponseHandlingException,
    UnexpectedResponse,
    ResourceExhaustedResponse,
    ValueError,
)
_INDEX_TYPES: Final[dict[IndexKind, models.PayloadSchemaType]] = {
    "keyword": models.PayloadSchemaType.KEYWORD,
    "datetime": models.PayloadSchemaType.DATETIME,
    "float": models.PayloadSchemaType.FLOAT,
    "integer": models.PayloadSchemaType.INTEGER,
}


class ServerClient:
    """A connection to a Qdrant server, and what can be done with whole collections.

    ``url`` only stands in messages. ``attempts`` is how often a request is sent before it counts as
    failed; ``sleep`` takes seconds.
    """

    def __init__(
        self,
        client: QdrantClient,
        *,
        url: str,
        attempts: int = 6,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._url = url
        self._sleep = sleep
        self._retrying = Retrying(
            retry=retry_if_exception(_is_transient),
            stop=stop_after_attempt(attempts),
            wait=wait_random_exponential(multiplier=0.2, max=10.0),
            sleep=sleep,
            reraise=True,
        )

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        api_key: str | None = None,
        timeout_s: int = 30,
        prefer_grpc: bool = True,
        grpc_port: int = 6334,
        attempts: int = 6,
    ) -> Self:
        """A connection to the server at ``url``, which is first asked something by a request."""
        with warnings.catch_warnings():
            # Within a compose network plain http with a key is what an operator means.
            warnings.filterwarnings("ignore", message="Api key is used with an insecure")
            client = QdrantClient(
                url=url,
                api_key=api_key,
                timeout=timeout_s,
                prefer_grpc=prefer_grpc,
                grpc_port=grpc_port,
                # The check would ask the server at once, and only warn where it doesn't answer.
                check_compatibility=False,
            )
        return cls(client, url=url, attempts=attempts)

    @property
    def url(self) -> str:
        """Where the server is."""
        return self._url

    def request(self, ask: Callable[[QdrantClient], ResultT]) -> ResultT:
        """What ``ask`` returns, asked again while the server fails for a passing reason.

        Raises:
            StoreUnavailable: the server didn't answer, for as often as it was asked.
            StoreError: it answered that it would not.
        """
        try:
            return self._retrying(ask, self._client)
        except REQUEST_FAILURES as error:
            raise self.explained(error) from error

    def has_collection(self, collection: str) -> bool:
        """Whether there is such a collection."""
        return self.request(lambda client: client.collection_exists(collection))

    def collections(self, prefix: str = "") -> list[str]:
        """The names of the collections that begin with ``prefix``, sorted."""
        answer = self.request(lambda client: client.get_collections())
        return sorted(c.name for c in answer.collections if c.name.startswith(prefix))

    def delete_collection(self, collection: str) -> None:
        """Remove a collection with all its videos; one that isn't there is ignored."""
        if self.has_collection(collection):
            self.request(lambda client: client.delete_collection(collection))

    def copy_collection(self, source: str, target: str) -> None:
        """Make a new collection ``target`` that holds what ``source`` holds.

        Raises:
            StoreError: there is no ``source``, or there is a ``target`` already.
        """
        read = ServerStore.open(self, source)
        write = ServerStore.create(self, target, read.dims)
        for batch in read.scan(with_vectors=True, batch_size=_BATCH):
            write.upsert(batch)

    def alias_target(self, alias: str) -> str | None:
        """The collection that ``alias`` stands for, or None."""
        answer = self.request(lambda client: client.get_aliases())
        return next(
            (a.collection_name for a in answer.aliases if a.alias_name == alias),
            None,
        )

    def move_alias(self, alias: str, collection: str) -> None:
        """Let ``alias`` stand for ``collection``: in one step, so that searches see old or new."""
        operations: list[models.AliasOperations] = [
            models.CreateAliasOperation(
                create_alias=models.CreateAlias(collection_name=collection, alias_name=alias)
            )
        ]
        if self.alias_target(alias) is not None:
            operations.insert(
                0, models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
            )
        self.request(
            lambda client: client.update_collection_aliases(change_aliases_operations=operations)
        )

    def wait_until_indexed(self, collection: str, *, limit_s: float = INDEXING_LIMIT_S) -> None:
        """Return once the server has built what it wants to build for ``collection``.

        Raises:
            StoreError: its optimizer failed, or was not done after ``limit_s``.
        """
        deadline = time.monotonic() + limit_s
        woken = False
        # A write may be acknowledged a moment before its optimization is planned: look twice.
        calm = 0
        while True:
            info = self.request(lambda client: client.get_collection(collection))
            if info.status == models.CollectionStatus.RED:
                raise StoreError(
                    f"{self._url}: collection {collection}: the optimizer failed:"
                    f" {info.optimizer_status}"
                )
            calm = calm + 1 if info.status == models.CollectionStatus.GREEN else 0
            if calm == 2:
                return
            if time.monotonic() >= deadline:
                raise StoreError(
                    f"{self._url}: collection {collection}: the optimizer was not done after"
                    f" {limit_s:g} s: status {info.status}, {info.indexed_vectors_count} vectors"
                    f" of {info.points_count} videos are indexed; see the server's log"
                )
            if info.status == models.CollectionStatus.GREY and not woken:
                # A restarted server has things to build, but waits for a write to begin.
                self._wake_optimizer(collection)
                woken = True
            self._sleep(_POLL_S)

    def _wake_optimizer(self, collection: str) -> None:
        nothing = models.OptimizersConfigDiff()
        self.request(lambda client: client.update_collection(collection, optimizers_config=nothing))

    def close(self) -> None:
        """Let go of the connection; a second call does nothing."""
        self._client.close()

    def explained(self, error: Exception) -> StoreError:
        """What one of ``REQUEST_FAILURES`` means, and what can be done."""
        text = _first_line(error)
        if _is_transient(error):
            return StoreUnavailable(
                f"{self._url}: the Qdrant server doesn't answer ({text}); is it running, and is"
                " this its address? `docker compose up -d qdrant` starts one"
            )
        if _is_refused(error):
            return StoreError(f"{self._url}: the Qdrant server refused the API key ({text})")
        return StoreError(f"{self._url}: {text}")


class ServerStore:
    """One collection of a Qdrant server.

    Closing it leaves the connection to its owner, unless ``owns_server``. ``exact`` scans instead
    of walking the HNSW graph; ``hnsw_ef`` is how many candidates the walk keeps (None: the
    server's choice).
    """

    def __init__(
        self,
        server: ServerClient,
        collection: str,
        dims: Dims,
        *,
        exact: bool = False,
        hnsw_ef: int | None = None,
        owns_server: bool = False,
        fields: Fields = FIELDS,
    ) -> None:
        self._server = server
        self._owns_server = owns_server
        self._collection = collection
        self._dims = dict(dims)
        self._params = models.SearchParams(exact=exact, hnsw_ef=hnsw_ef)
        self._closed = False
        self.fields = fields

    @classmethod
    def create(
        cls,
        server: ServerClient,
        collection: str,
        dims: Dims,
        *,
        fields: Fields = FIELDS,
    ) -> Self:
        """A new, empty collection.

        Raises:
            StoreError: there is one of this name already.
            StoreUnavailable: the server doesn't answer.
        """
        if server.has_collection(collection):
            raise StoreError(f"there is a collection {collection!r} already")
        # Dot on unit vectors is the cosine, and stores them as they are given.
        vectors = {
            name: models.VectorParams(size=dim, distance=models.Distance.DOT)
            for name, dim in dims.items()
            if dim is not None
        }
        sparse = {
            name: models.SparseVectorParams(modifier=models.Modifier.IDF)
            for name, dim in dims.items()
            if dim is None
        }
        graph = models.HnswConfigDiff(
            m=HNSW_M,
            ef_construct=HNSW_EF_CONSTRUCT,
            full_scan_threshold=FULL_SCAN_THRESHOLD_KB,
        )
        server.request(
            # Looked for again, as an attempt whose answer was lost may have made it.
            lambda client: (
                client.collection_exists(collection)
                or client.create_collection(
                    collection,
                    vectors_config=vectors,
                    sparse_vectors_config=sparse,
                    hnsw_config=graph,
                )
            )
        )
        made = cls(server, collection, dims, fields=fields)
        made.index_payload()
        return made

    @classmethod
    def open(
        cls,
        server: ServerClient,
        collection: str,
        *,
        expected: Dims | None = None,
        exact: bool = False,
        hnsw_ef: int | None = None,
        owns_server: bool = False,
        fields: Fields = FIELDS,
    ) -> Self:
        """The collection, by its name or an alias.

        Raises:
            StoreError: there is none, or its vectors are not as ``expected``.
            StoreUnavailable: the server doesn't answer.
        """
        info = server.request(lambda client: client.get_collection(collection))
        params = info.config.params.vectors
        if not isinstance(params, dict):
            raise StoreError(f"collection {collection!r} has no named vectors")
        dims: dict[str, int | None] = {name: of.size for name, of in params.items()}
        dims |= dict.fromkeys(info.config.params.sparse_vectors or {})
        if expected is not None and dims != expected:
            raise StoreError(
                f"collection {collection!r} is not ours: it has the vectors {sorted(dims)}, "
                f"of lengths {list(map(dims.get, sorted(dims)))}"
            )
        return cls(
            server,
            collection,
            dims,
            exact=exact,
            hnsw_ef=hnsw_ef,
            owns_server=owns_server,
            fields=fields,
        )

    def index_payload(self) -> None:
        """Make the payload indexes that are not there yet; filters need them."""
        for field, kind in payload_indexes(self.fields).items():
            _create_index(self._server, self._collection, field, _INDEX_TYPES[kind])

    @property
    def dims(self) -> dict[str, int | None]:
        """Length of each named vector; None: its vectors are sparse."""
        return dict(self._dims)

    @property
    def indexed_vector_count(self) -> int:
        """How many dense vectors, over all names, the HNSW graphs cover."""
        info = self._request(lambda client: client.get_collection(self._collection))
        # Qdrant counts the sparse ones in its inverted indexes too.
        sparse = [name for name, dim in self._dims.items() if dim is None]
        return (info.indexed_vectors_count or 0) - sum(self.count(name) for name in sparse)

    def search(
        self, queries: Sequence[VectorQuery], *, filter: Filter | None = None
    ) -> list[list[ScoredVideo]]:
        """See ``VectorReader``."""
        checked = checked_queries(queries, self._dims)
        if not checked:
            return []
        chosen = None if filter is None else translate(filter, _ServerDialect(), self.fields)
        requests = [
            models.QueryRequest(
                query=_given(query.vector),
                using=query.vector_name,
                filter=chosen,
                params=self._params,
                limit=query.limit,
                with_payload=["video_id"],
                with_vector=False,
            )
            for query in checked
        ]
        answers = self._request(
            lambda client: client.query_batch_points(self._collection, requests=requests)
        )
        return [
            ranked(
                [ScoredVideo((hit.payload or {})["video_id"], hit.score) for hit in answer.points]
            )
            for answer in answers
        ]

    def get(
        self, video_ids: Sequence[str], *, with_vectors: bool = False
    ) -> dict[str, StoredVideo]:
        """See ``VectorReader``."""
        found: dict[str, StoredVideo] = {}
        for part in _batches([point_id(video_id) for video_id in dict.fromkeys(video_ids)]):
            for record in self._retrieve(part, with_vectors=with_vectors):
                video = _stored(record)
                found[video.video_id] = video
        return found

    def browse(
        self,
        *,
        limit: int,
        order: Order | None = None,
        after: Place | None = None,
        filter: Filter | None = None,
    ) -> list[StoredVideo]:
        """See ``VideoBrowser``."""
        scroller = _ServerScroller(self._request, self._collection, self.fields)
        return browse(
            scroller, limit=limit, order=order, after=after, filter=filter, fields=self.fields
        )

    def facet(self, field: str, *, limit: int, filter: Filter | None = None) -> list[FacetCount]:
        """See ``VideoBrowser``."""
        check_facet(field, limit, self.fields)
        chosen = None if filter is None else translate(filter, _ServerDialect(), self.fields)
        answer = self._request(
            lambda client: client.facet(
                self._collection, field, facet_filter=chosen, limit=limit, exact=True
            )
        )
        return ranked_facet(FacetCount(str(hit.value), hit.count) for hit in answer.hits)

    def count(self, vector_name: str | None = None, *, filter: Filter | None = None) -> int:
        """See ``VideoBrowser``."""
        parts: list[Any] = []
        if vector_name is not None:
            parts.append(models.HasVectorCondition(has_vector=vector_name))
        if filter is not None:
            parts.append(translate(filter, _ServerDialect(), self.fields))
        chosen = models.Filter(must=parts) if parts else None
        return self._request(
            lambda client: client.count(self._collection, count_filter=chosen, exact=True)
        ).count

    def scan(
        self, *, with_vectors: bool = False, batch_size: int = 1000
    ) -> Iterator[list[StoredVideo]]:
        """See ``VectorReader``."""
        offset: Any = None
        while True:
            records, offset = self._scroll(offset, batch_size, with_vectors=with_vectors)
            if records:
                yield [_stored(record) for record in records]
            if offset is None:
                return

    def close(self) -> None:
        """See ``VectorReader``."""
        if self._owns_server and not self._closed:
            self._server.close()
        self._closed = True

    def upsert(self, videos: Sequence[StoredVideo]) -> None:
        """See ``VectorStore``."""
        checked = checked_videos(videos, self._dims)
        for part in _batches(list(checked.values())):
            self._upsert([_point(video) for video in part])

    def delete(self, video_ids: Sequence[str]) -> None:
        """See ``VectorStore``."""
        for part in _batches([point_id(video_id) for video_id in dict.fromkeys(video_ids)]):
            self._delete(part)

    def flush(self) -> None:
        """See ``VectorStore``; nothing is left to do once the server has acknowledged."""
        self._opened()

    def optimize(self) -> None:
        """See ``VectorStore``; the server builds by itself, and this waits for it."""
        self._opened().wait_until_indexed(self._collection)

    def _opened(self) -> ServerClient:
        if self._closed:
            raise StoreError(f"collection {self._collection!r}: this store has been closed")
        return self._server

    def _request(self, ask: Callable[[QdrantClient], ResultT]) -> ResultT:
        return self._opened().request(ask)

    def _retrieve(self, points: Sequence[str], *, with_vectors: bool) -> list[models.Record]:
        return self._request(
            lambda client: client.retrieve(
                self._collection, ids=points, with_payload=True, with_vectors=with_vectors
            )
        )

    def _scroll(
        self, offset: Any, limit: int, *, with_vectors: bool
    ) -> tuple[list[models.Record], Any]:
        return self._request(
            lambda client: client.scroll(
                self._collection,
                offset=offset,
                limit=limit,
                with_payload=True,
                with_vectors=with_vectors,
            )
        )

    def _upsert(self, points: list[models.PointStruct]) -> None:
        self._request(lambda client: client.upsert(self._collection, points=points, wait=True))

    def _delete(self, points: Sequence[str]) -> None:
        selector = models.PointIdsList(points=list(points))
        self._request(
            lambda client: client.delete(self._collection, points_selector=selector, wait=True)
        )


@dataclass(frozen=True, slots=True)
class _ServerScroller:
    """A collection's points by id and by value."""

    request: Callable[[Callable[[QdrantClient], Any]], Any]
    collection: str
    fields: Fields

    def by_point(
        self, limit: int, *, start: str | None, filter: Filter | None
    ) -> list[StoredVideo]:
        return self._scrolled(limit, filter, offset=start)

    def by_value(self, limit: int, *, order: Order, filter: Filter) -> list[StoredVideo]:
        direction = models.Direction.DESC if order.descending else models.Direction.ASC
        order_by = models.OrderBy(key=order.field, direction=direction)
        return self._scrolled(limit, filter, order_by=order_by)

    def _scrolled(self, limit: int, filter: Filter | None, **way: Any) -> list[StoredVideo]:
        chosen = None if filter is None else translate(filter, _ServerDialect(), self.fields)
        records, _ = self.request(
            lambda client: client.scroll(
                self.collection, limit=limit, scroll_filter=chosen, with_payload=True, **way
            )
        )
        return [_stored(record) for record in records]


class _ServerDialect:
    """Qdrant's conditions in the classes of ``qdrant_client``."""

    def every(self, parts: Sequence[Any]) -> Any:
        return models.Filter(must=list(parts))

    def some(self, parts: Sequence[Any]) -> Any:
        return models.Filter(should=list(parts))

    def none(self, parts: Sequence[Any]) -> Any:
        return models.Filter(must_not=list(parts))

    def text(self, field: str, values: list[str]) -> Any:
        return self.every([models.FieldCondition(key=field, match=models.MatchAny(any=values))])

    def truth(self, field: str, *, value: bool) -> Any:
        return self.every([models.FieldCondition(key=field, match=models.MatchValue(value=value))])

    def numbers(self, field: str, bounds: dict[str, float]) -> Any:
        return self.every([models.FieldCondition(key=field, range=models.Range(**bounds))])

    def moments(self, field: str, bounds: dict[str, datetime]) -> Any:
        return self.every([models.FieldCondition(key=field, range=models.DatetimeRange(**bounds))])


def _create_index(
    server: ServerClient, collection: str, field: str, kind: models.PayloadSchemaType
) -> None:
    server.request(lambda client: client.create_payload_index(collection, field, kind, wait=True))


def _given(vector: AnyVector) -> Any:
    if isinstance(vector, SparseVector):
        return models.SparseVector(indices=vector.indices.tolist(), values=vector.values.tolist())
    return vector.tolist()


def _point(video: StoredVideo) -> models.PointStruct:
    named: dict[str, AnyVector] = {**video.vectors, **video.sparse}
    vectors = {name: _given(vector) for name, vector in named.items()}
    return models.PointStruct(
        id=point_id(video.video_id), vector=vectors, payload=dict(video.payload)
    )


def _stored(record: models.Record) -> StoredVideo:
    payload = record.payload or {}
    given: dict[str, Any] = dict(record.vector or {})  # type: ignore[arg-type]
    sparse = {name: given.pop(name) for name in list(given) if hasattr(given[name], "indices")}
    return StoredVideo(
        payload["video_id"],
        payload,
        {name: np.array(values, dtype=np.float32) for name, values in given.items()},
        {
            name: sparse_vector(zip(of.indices, of.values, strict=True))
            for name, of in sparse.items()
        },
    )


def _batches(items: Sequence[ResultT]) -> Iterator[Sequence[ResultT]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]


def _is_transient(error: BaseException) -> bool:
    if isinstance(error, grpc.RpcError):
        return error.code() in _TRANSIENT_GRPC
    if isinstance(error, UnexpectedResponse):
        return error.status_code == 429 or (error.status_code or 0) >= 500
    return isinstance(error, ResponseHandlingException | ResourceExhaustedResponse)


def _is_refused(error: Exception) -> bool:
    if isinstance(error, grpc.RpcError):
        return error.code() in _REFUSED_GRPC
    return isinstance(error, UnexpectedResponse) and error.status_code in (401, 403)


def _first_line(error: Exception) -> str:
    if isinstance(error, grpc.RpcError):
        return f"{error.code().name}: {error.details()}"
    return (str(error) or repr(error)).splitlines()[0]
