"""A store in a Qdrant server: one collection, over a ``ServerClient``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from functools import partial
from typing import Any, Final, Self, TypeVar

from qdrant_client import QdrantClient, models

from twinlens.catalog.errors import StoreError
from twinlens.catalog.fields import FIELDS, Fields
from twinlens.catalog.vectors import AnyVector, SparseVector
from twinlens.stores.address import SERVERS_OWN, CollectionLayout
from twinlens.stores.base import (
    Dims,
    FacetCount,
    Order,
    ScoredVideo,
    StoredVideo,
    VectorQuery,
    point_id,
    sort_hits,
)
from twinlens.stores.browsing import sort_facet
from twinlens.stores.checks import check_queries, check_videos
from twinlens.stores.filters import Filter
from twinlens.stores.qdrant import QdrantReader, to_stored_video
from twinlens.stores.qdrant_schema import IndexKind, list_payload_indexes
from twinlens.stores.server_client import ServerClient
from twinlens.stores.server_layout import (
    GRAPH,
    make_config,
    refuse_newer_collection,
    require_server,
)
from twinlens.stores.streams import Streams

ResultT = TypeVar("ResultT")

# 500 videos of 512 and 768 values are 2.5 MB, below every message limit on the way.
_BATCH: Final = 500
# Qdrant advises two to four: each shard has a writer of its own.
UPLOAD_STREAMS: Final = 4
_PROBE_TIMEOUT_S: Final = 1
_INDEX_TYPES: Final[dict[IndexKind, models.PayloadSchemaType]] = {
    "keyword": models.PayloadSchemaType.KEYWORD,
    "datetime": models.PayloadSchemaType.DATETIME,
    "float": models.PayloadSchemaType.FLOAT,
    "integer": models.PayloadSchemaType.INTEGER,
    "bool": models.PayloadSchemaType.BOOL,
}


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

    def empty(self, field: str) -> Any:
        return self.every([models.IsEmptyCondition(is_empty=models.PayloadField(key=field))])

    def points(self, ids: list[str]) -> Any:
        return self.every([models.HasIdCondition(has_id=list(ids))])


class ServerStore(QdrantReader):
    """One collection of a Qdrant server.

    Closing it leaves the connection to its owner, unless ``owns_server``.
    """

    dialect = _ServerDialect()

    def __init__(
        self,
        server: ServerClient,
        collection: str,
        dims: Dims,
        *,
        owns_server: bool = False,
        fields: Fields = FIELDS,
    ) -> None:
        super().__init__(dims, fields)
        self._server = server
        self._owns_server = owns_server
        self._collection = collection
        self._closed = False
        # What a point id stands for never changes, so what was looked up once stays true.
        self._video_ids: dict[str, str] = {}

    @classmethod
    def create(
        cls,
        server: ServerClient,
        collection: str,
        dims: Dims,
        *,
        fields: Fields = FIELDS,
        layout: CollectionLayout = SERVERS_OWN,
    ) -> Self:
        """Return a new, empty collection, which has no graph until it is optimized.

        Raises:
            StoreError: there is one of this name already, or the server is too old.
            StoreUnavailable: the server doesn't answer.
        """
        require_server(server, layout)
        if server.has_collection(collection):
            raise StoreError(f"there is a collection {collection!r} already")
        config = make_config(dims, layout)
        server.request(
            # Looked for again, as an attempt whose answer was lost may have made it.
            lambda client: (
                client.collection_exists(collection)
                or client.create_collection(collection, **config)
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
        owns_server: bool = False,
        fields: Fields = FIELDS,
    ) -> Self:
        """Return the collection, by its name or an alias.

        Raises:
            StoreError: there is none, or not with vectors as ``expected``, or the server is old.
            StoreUnavailable: the server doesn't answer.
        """
        server.require_version()
        info = server.request(lambda client: client.get_collection(collection))
        refuse_newer_collection(collection, info)
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
        return cls(server, collection, dims, owns_server=owns_server, fields=fields)

    def index_payload(self) -> None:
        """Make the payload indexes that are not there yet; filters need them."""
        for field, kind in list_payload_indexes(self.fields).items():
            _create_index(self._server, self._collection, field, _INDEX_TYPES[kind])

    def search(
        self, queries: Sequence[VectorQuery], *, filter: Filter | None = None
    ) -> list[list[ScoredVideo]]:
        """See ``VectorReader``."""
        answers = self.rank(queries, filter=filter)
        names = self.find_video_ids({point for answer in answers for point, _ in answer})
        return [
            sort_hits((ScoredVideo(names[point], score) for point, score in answer), query.vector)
            for query, answer in zip(queries, answers, strict=True)
        ]

    def rank(
        self, queries: Sequence[VectorQuery], *, filter: Filter | None = None
    ) -> list[list[tuple[str, float]]]:
        """Return what ``search`` does, by point ids, as the server ranks them."""
        checked = check_queries(queries, self._dims)
        if not checked:
            return []
        condition = self.translate(filter)
        requests = [
            models.QueryRequest(
                query=_to_model(query.vector),
                using=query.lens,
                filter=condition,
                limit=query.limit,
                with_payload=False,
                with_vector=False,
            )
            for query in checked
        ]
        return self._client().rank(self._collection, requests)

    def find_video_ids(self, points: Collection[str]) -> Mapping[str, str]:
        """Return the ``video_id`` of at least these points, and ask for what isn't known yet."""
        unknown = [point for point in points if point not in self._video_ids]
        for part in _split_batches(unknown):
            for record in self._request(
                lambda client: client.retrieve(
                    self._collection,
                    ids=part,  # noqa: B023 - called at once
                    with_payload=["video_id"],
                    with_vectors=False,
                )
            ):
                self._video_ids[str(record.id)] = (record.payload or {})["video_id"]
        return self._video_ids

    def get(
        self, video_ids: Sequence[str], *, with_vectors: bool = False
    ) -> dict[str, StoredVideo]:
        """See ``VectorReader``."""
        found: dict[str, StoredVideo] = {}
        for part in _split_batches([point_id(video_id) for video_id in dict.fromkeys(video_ids)]):
            records = self._request(
                lambda client: client.retrieve(
                    self._collection,
                    ids=part,  # noqa: B023 - called at once
                    with_payload=True,
                    with_vectors=with_vectors,
                )
            )
            for video in map(to_stored_video, records):
                found[video.video_id] = video
        return found

    def scroll(
        self,
        *,
        limit: int,
        offset: Any = None,
        filter: Filter | None = None,
        order: Order | None = None,
        with_vectors: bool = False,
    ) -> tuple[list[StoredVideo], Any]:
        """See ``QdrantReader``."""
        records, following = self._request(
            lambda client: client.scroll(
                self._collection,
                limit=limit,
                offset=offset,
                scroll_filter=self.translate(filter),
                order_by=None if order is None else _to_order_by(order),
                with_payload=True,
                with_vectors=with_vectors,
                timeout=self._server.timeout_s,
            )
        )
        return [to_stored_video(record) for record in records], following

    def check(self) -> None:
        """See ``VectorReader``; nothing is known of a server that nobody watches."""
        self._server.check()

    def watch(self) -> None:
        """Look every second whether the server answers; while it doesn't, requests fail at once."""
        nothing = [point_id("")]
        self._server.watch(
            lambda client: client.retrieve(self._collection, nothing, timeout=_PROBE_TIMEOUT_S)
        )

    def close(self) -> None:
        """See ``VectorReader``."""
        if self._owns_server and not self._closed:
            self._server.close()
        self._closed = True

    def upsert(self, videos: Sequence[StoredVideo]) -> None:
        """See ``VectorStore``."""
        checked = check_videos(videos, self._dims)
        for part in _split_batches(list(checked.values())):
            points = [_to_point(video) for video in part]
            self._request(
                lambda client: client.upsert(
                    self._collection,
                    points=points,  # noqa: B023 - called at once
                    wait=True,
                )
            )

    def delete(self, video_ids: Sequence[str]) -> None:
        """See ``VectorStore``."""
        for part in _split_batches([point_id(video_id) for video_id in dict.fromkeys(video_ids)]):
            selector = models.PointIdsList(points=list(part))
            self._request(
                lambda client: client.delete(
                    self._collection,
                    points_selector=selector,  # noqa: B023 - called at once
                    wait=True,
                )
            )

    def flush(self) -> None:
        """See ``VectorStore``; nothing is left to do once the server has acknowledged."""
        self._client()

    def optimize(self) -> None:
        """See ``VectorStore``; the server builds by itself, and this lets it, and waits.

        Raises:
            StoreError: it has built no graph, or it failed.
        """
        self._request(lambda client: client.update_collection(self._collection, hnsw_config=GRAPH))
        info = self._client().wait_until_indexed(self._collection)
        if info.config.hnsw_config.m != GRAPH.m:
            raise StoreError(
                f"collection {self._collection!r}: the server was told to build graphs, and has not"
                f" (m is {info.config.hnsw_config.m}); see its log"
            )

    def _client(self) -> ServerClient:
        if self._closed:
            raise StoreError(f"collection {self._collection!r}: this store has been closed")
        return self._server

    def _request(self, ask: Callable[[QdrantClient], ResultT]) -> ResultT:
        return self._client().request(ask)

    def _has_vector(self, name: str) -> Any:
        return models.HasVectorCondition(has_vector=name)

    def _count(self, condition: Any) -> int:
        return self._request(
            lambda client: client.count(
                self._collection, count_filter=condition, exact=True, timeout=self._server.timeout_s
            )
        ).count

    def _count_indexed(self) -> int:
        info = self._request(lambda client: client.get_collection(self._collection))
        return info.indexed_vectors_count or 0

    def _facet(self, field: str, limit: int, condition: Any) -> list[FacetCount]:
        answer = self._request(
            lambda client: client.facet(
                self._collection,
                field,
                facet_filter=condition,
                limit=limit,
                exact=True,
                timeout=self._server.timeout_s,
            )
        )
        return sort_facet(FacetCount(str(hit.value), hit.count) for hit in answer.hits)


def copy_collection(
    server: ServerClient, source: str, target: str, layout: CollectionLayout = SERVERS_OWN
) -> None:
    """Make a new collection ``target`` that holds what ``source`` holds.

    Raises:
        StoreError: there is no ``source``, or there is a ``target`` already.
    """
    read = ServerStore.open(server, source)
    write = ServerStore.create(server, target, read.dims, layout=layout)
    with closing(Streams[None](UPLOAD_STREAMS)) as streams:
        for batch in read.scan(with_vectors=True, batch_size=_BATCH):
            streams.begin(partial(write.upsert, batch), None)
        streams.finish()


def _create_index(
    server: ServerClient, collection: str, field: str, kind: models.PayloadSchemaType
) -> None:
    server.request(lambda client: client.create_payload_index(collection, field, kind, wait=True))


def _to_model(vector: AnyVector) -> Any:
    if isinstance(vector, SparseVector):
        return models.SparseVector(indices=vector.indices.tolist(), values=vector.values.tolist())
    return vector.tolist()


def _to_point(video: StoredVideo) -> models.PointStruct:
    named: dict[str, AnyVector] = {**video.vectors, **video.sparse}
    vectors = {name: _to_model(vector) for name, vector in named.items()}
    return models.PointStruct(
        id=point_id(video.video_id), vector=vectors, payload=dict(video.payload)
    )


def _to_order_by(order: Order) -> models.OrderBy:
    direction = models.Direction.DESC if order.descending else models.Direction.ASC
    return models.OrderBy(key=order.field, direction=direction)


def _split_batches(items: Sequence[ResultT]) -> Iterator[Sequence[ResultT]]:
    for start in range(0, len(items), _BATCH):
        yield items[start : start + _BATCH]
