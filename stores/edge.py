"""Embedded Qdrant: the server's engine in this process, over one directory.

A shard has one writer, which holds Qdrant's own lock on the write-ahead log, or, once that writer
has closed it, any number of readers, in as many processes as there are. Readers don't open the
directory itself: loading makes Qdrant rewrite its configuration, and loading without a log deletes
the log, after which a later writer's updates would silently lose against older ones. Each reader
opens a view instead, a temporary directory of links to the shard's files with a configuration of
its own, so the files of a shard stay byte for byte what its writer left. (Qdrant opens them for
writing nevertheless: where a reader may not, its view holds copies.)

The engine holds the GIL in every call, and a process must not fork after opening.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self
from uuid import UUID

import numpy as np
import qdrant_edge as qe

from twinlens.catalog.errors import IndexLocked, StoreCorrupt, StoreError
from twinlens.catalog.fields import FIELDS, Fields
from twinlens.catalog.files import (
    ScratchFolder,
    count_disk_bytes,
    create_whole,
    require_room,
    sync_directory,
)
from twinlens.catalog.memory import require_memory
from twinlens.catalog.vectors import AnyVector, SparseVector
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
from twinlens.stores.copying import copy_tree
from twinlens.stores.filters import Filter
from twinlens.stores.qdrant import QdrantReader, to_stored_video
from twinlens.stores.qdrant_schema import (
    FULL_SCAN_THRESHOLD_KB,
    HNSW_EF_CONSTRUCT,
    HNSW_M,
    IndexKind,
    list_payload_indexes,
)

logger = logging.getLogger(__name__)

_CONFIG: Final = "edge_config.json"
# Written by the writer's close, removed by its open: without it the log may hold what the segments
# lack, and readers don't look into the log. It holds the number of videos, because the engine loads
# a segment that lost its ids as one with fewer videos, without a word.
_CLOSED: Final = "closed"
# Where Qdrant has no memory or no file left to open one of these, it removes it and makes it anew.
_PAYLOAD_INDEX: Final = "payload_index"
# What loading the smallest shard takes, the addresses for its threads; with less it hangs.
LOAD_BYTES: Final = 48 * 1024 * 1024
_LOAD_ADDRESSES: Final = 1024 * 1024 * 1024
# What may be otherwise the next time, and is no damage.
_PASSING: Final = (
    errno.EAGAIN,
    errno.ENOMEM,
    errno.EMFILE,
    errno.ENFILE,
    errno.ENOSPC,
    errno.EROFS,
    errno.EACCES,
)
_EVERY_VALUE: Final = 2**31
_INDEX_TYPES: Final[dict[IndexKind, Any]] = {
    "keyword": qe.PayloadSchemaType.Keyword,
    "datetime": qe.PayloadSchemaType.Datetime,
    "float": qe.PayloadSchemaType.Float,
    "integer": qe.PayloadSchemaType.Integer,
    "bool": qe.PayloadSchemaType.Bool,
}


class _EdgeDialect:
    """Qdrant's conditions in the classes of ``qdrant_edge``."""

    def every(self, parts: Sequence[Any]) -> Any:
        return qe.Filter(must=list(parts))

    def some(self, parts: Sequence[Any]) -> Any:
        return qe.Filter(should=list(parts))

    def none(self, parts: Sequence[Any]) -> Any:
        return qe.Filter(must_not=list(parts))

    def text(self, field: str, values: list[str]) -> Any:
        return self.every([qe.FieldCondition(field, match=qe.MatchAny(values))])

    def truth(self, field: str, *, value: bool) -> Any:
        # The binding takes a Python bool for the integer that it also is, a NumPy one not.
        asked: Any = np.bool_(value)
        return self.every([qe.FieldCondition(field, match=qe.MatchValue(asked))])

    def numbers(self, field: str, bounds: dict[str, float]) -> Any:
        return self.every([qe.FieldCondition(field, range=qe.RangeFloat(**bounds))])

    def moments(self, field: str, bounds: dict[str, datetime]) -> Any:
        texts = {name: bound.astimezone(UTC).isoformat() for name, bound in bounds.items()}
        return self.every([qe.FieldCondition(field, range=qe.RangeDateTime(**texts))])

    def empty(self, field: str) -> Any:
        return self.every([qe.IsEmptyCondition(field)])

    def points(self, ids: list[str]) -> Any:
        given: set[int | UUID | str] = set(ids)
        return self.every([qe.HasIdCondition(given)])


class EdgeReader(QdrantReader):
    """Reads a shard that its writer has closed; several processes may, at once."""

    dialect = _EdgeDialect()

    def __init__(
        self,
        shard: Any,
        path: Path,
        dims: Dims,
        *,
        fields: Fields = FIELDS,
        view: ScratchFolder | None = None,
    ) -> None:
        super().__init__(dims, fields)
        self._shard = shard
        self._path = path
        self._view = view
        # What a point id stands for never changes, so what was looked up once stays true. Asking
        # for the payload with every hit costs as much again as half the search.
        self._video_ids: dict[int, str] = {}

    @classmethod
    def open(cls, path: Path, *, fields: Fields = FIELDS) -> Self:
        """Return a reader of the shard in ``path``.

        Raises:
            StoreError: there is no shard, or its writer has not closed it.
            StoreCorrupt: its files don't fit together.
            OutOfRoom: there is too little memory.
        """
        dims = _read_shard_dims(path)
        videos = _count_at_close(path)
        require_memory(LOAD_BYTES, addresses_bytes=_LOAD_ADDRESSES, to="open the index")
        view = ScratchFolder("twinlens-shard-")
        try:
            link_view(path, Path(view.name))
            shard = _load(Path(view.name), named=path)
            reader = cls(shard, path, dims, fields=fields, view=view)
            if (found := reader.count()) != videos:
                reader.close()
                raise StoreCorrupt(f"{path}: {found} videos, where its writer left {videos}")
        except BaseException:
            view.cleanup()
            raise
        return reader

    def search(
        self, queries: Sequence[VectorQuery], *, filter: Filter | None = None
    ) -> list[list[ScoredVideo]]:
        """See ``VectorReader``."""
        checked = check_queries(queries, self._dims)
        condition = self.translate(filter)
        requests = [
            qe.QueryRequest(
                limit=query.limit,
                query=qe.Query.Nearest(_to_engine(query.vector), using=query.lens),
                filter=condition,
                with_payload=False,
                with_vector=False,
            )
            for query in checked
        ]
        with self._engine() as shard:
            answers = shard.query_batch(qe.QueryBatchRequest(requests))
            # Integers, as a UUID's hash is worked out in Python, each time anew.
            keys = [[hit.id.int for hit in answer] for answer in answers]
            self._learn_video_ids(shard, set().union(*keys))
        names = self._video_ids
        return [
            sort_hits(
                (
                    ScoredVideo(names[key], hit.score)
                    for key, hit in zip(found, answer, strict=True)
                ),
                query.vector,
            )
            for query, found, answer in zip(checked, keys, answers, strict=True)
        ]

    def get(
        self, video_ids: Sequence[str], *, with_vectors: bool = False
    ) -> dict[str, StoredVideo]:
        """See ``VectorReader``."""
        points: list[int | UUID | str] = [
            point_id(video_id) for video_id in dict.fromkeys(video_ids)
        ]
        with self._engine() as shard:
            records = shard.retrieve(points, True, with_vectors)
            found = [to_stored_video(record) for record in records]
        return {video.video_id: video for video in found}

    def check(self) -> None:
        """See ``VectorReader``; an engine in this process is not away."""

    def close(self) -> None:
        """See ``VectorReader``."""
        shard, self._shard = self._shard, None
        try:
            if shard is not None:
                with _translate_errors(self._path):
                    shard.close()
        finally:
            if self._view is not None:
                self._view.cleanup()

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
        request = qe.ScrollRequest(
            offset=offset,
            limit=limit,
            filter=self.translate(filter),
            order_by=None if order is None else qe.OrderBy(order.field, _direction(order)),
            with_payload=True,
            with_vector=with_vectors,
        )
        with self._engine() as shard:
            records, following = shard.scroll(request)
            return [to_stored_video(record) for record in records], following

    def _has_vector(self, name: str) -> Any:
        return qe.HasVectorCondition(name)

    def _count(self, condition: Any) -> int:
        with self._engine() as shard:
            return int(shard.count(qe.CountRequest(exact=True, filter=condition)))

    def _count_indexed(self) -> int:
        with self._engine() as shard:
            return int(shard.info().indexed_vectors_count)

    def _facet(self, field: str, limit: int, condition: Any) -> list[FacetCount]:
        # The engine cuts each segment's counts at the limit before it adds them up, so it is asked
        # for all. Then they are exact; with exact=True it would search anew for every value,
        # 0.5 s where this takes 0.02 (8,000 tags, 100,000 videos).
        request = qe.FacetRequest(field, _EVERY_VALUE, exact=False, filter=condition)
        with self._engine() as shard:
            counts = [FacetCount(str(one.value), one.count) for one in shard.facet(request).hits]
        return sort_facet(one for one in counts if one.videos)[:limit]

    @contextmanager
    def _engine(self) -> Iterator[Any]:
        if self._shard is None:
            raise StoreError(f"{self._path}: this store has been closed")
        with _translate_errors(self._path):
            yield self._shard

    def _learn_video_ids(self, shard: Any, keys: set[int]) -> None:
        # Not the difference of two sets, which would walk through all that are known.
        unknown = [UUID(int=key) for key in keys if key not in self._video_ids]
        if unknown:
            for record in shard.retrieve(unknown, ["video_id"], False):
                self._video_ids[record.id.int] = record.payload["video_id"]


class EdgeStore(EdgeReader):
    """Writes a shard; what ``upsert`` and ``delete`` acknowledged outlives the process."""

    @classmethod
    def create(cls, path: Path, dims: Dims, *, fields: Fields = FIELDS) -> Self:
        """Return a new, empty shard in ``path``, which must not hold one yet.

        Raises:
            StoreError: there is a shard already.
        """
        with create_whole(path) as making, _translate_errors(path):
            # Dot on unit vectors is the cosine, and stores them as they are given.
            config = qe.EdgeConfig(
                vectors={
                    name: qe.EdgeVectorParams(size=dim, distance=qe.Distance.Dot)
                    for name, dim in dims.items()
                    if dim is not None
                },
                sparse_vectors={
                    name: qe.EdgeSparseVectorParams() for name, dim in dims.items() if dim is None
                },
                hnsw_config=qe.HnswIndexConfig(
                    m=HNSW_M,
                    ef_construct=HNSW_EF_CONSTRUCT,
                    full_scan_threshold=FULL_SCAN_THRESHOLD_KB,
                ),
            )
            shard = qe.EdgeShard.create(str(making), config)
            _create_indexes(shard, fields)
            shard.flush()
            shard.close()
        return cls.open(path, fields=fields)

    @classmethod
    def open(cls, path: Path, *, fields: Fields = FIELDS) -> Self:
        """Open the shard in ``path`` to be written to, with all that a killed writer had written.

        Raises:
            StoreError: there is no shard.
            StoreCorrupt: its files don't fit together.
            IndexLocked: another writer has it open.
        """
        dims = _read_shard_dims(path)
        shard = _load(path, named=path)
        (path / _CLOSED).unlink(missing_ok=True)
        return cls(shard, path, dims, fields=fields)

    def index_payload(self) -> None:
        """Make the payload indexes that are not there yet; filters need them."""
        with self._engine() as shard:
            _create_indexes(shard, self.fields)

    def upsert(self, videos: Sequence[StoredVideo]) -> None:
        """See ``VectorStore``."""
        checked = check_videos(videos, self._dims)
        if not checked:
            return
        with self._engine() as shard:
            shard.update(
                qe.UpdateOperation.upsert_points(
                    [
                        qe.Point(point_id(video.video_id), _by_name(video), dict(video.payload))
                        for video in checked.values()
                    ]
                )
            )

    def delete(self, video_ids: Sequence[str]) -> None:
        """See ``VectorStore``."""
        points: list[int | UUID | str] = [
            point_id(video_id) for video_id in dict.fromkeys(video_ids)
        ]
        if points:
            with self._engine() as shard:
                shard.update(qe.UpdateOperation.delete_points(points))

    def flush(self) -> None:
        """See ``VectorStore``."""
        with self._engine() as shard:
            shard.flush()

    def optimize(self) -> None:
        """See ``VectorStore``; the whole process stands still meanwhile."""
        with self._engine() as shard:
            shard.optimize()

    def close(self) -> None:
        """See ``VectorReader``; flushes, and lets readers in."""
        if self._shard is None:
            return
        self.flush()
        videos = self.count()
        super().close()
        # The first load after a flush folds journals into their files. Readers must find nothing
        # left to fold, for they would do it in the shard's own files, several at once.
        with _translate_errors(self._path):
            _load(self._path, named=self._path).close()
        with (self._path / _CLOSED).open("w", encoding="utf-8") as closed:
            closed.write(f"{videos}\n")
            closed.flush()
            os.fsync(closed.fileno())
        sync_directory(self._path)


def _create_indexes(shard: Any, fields: Fields) -> None:
    for name, kind in list_payload_indexes(fields).items():
        shard.update(qe.UpdateOperation.create_field_index(name, _INDEX_TYPES[kind]))


def _to_engine(vector: AnyVector) -> Any:
    # The engine takes arrays in a third of the time of lists; only its type stubs know lists alone.
    given: Any = vector
    return qe.SparseVector(*given) if isinstance(vector, SparseVector) else given


def _by_name(video: StoredVideo) -> dict[str, Any]:
    named: dict[str, AnyVector] = {**video.vectors, **video.sparse}
    return {name: _to_engine(vector) for name, vector in named.items()}


def _direction(order: Order) -> Any:
    return qe.Direction.Desc if order.descending else qe.Direction.Asc


def _read_shard_dims(path: Path) -> dict[str, int | None]:
    try:
        config = json.loads((path / _CONFIG).read_text(encoding="utf-8"))
        dense = {name: int(of["size"]) for name, of in config["vectors"].items()}
        return {**dense, **dict.fromkeys(config.get("sparse_vectors") or {})}
    except FileNotFoundError as error:
        raise StoreCorrupt(f"{path}: no Qdrant shard here") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise StoreCorrupt(f"{path / _CONFIG}: {error!r}") from error


def _count_at_close(path: Path) -> int:
    try:
        return int((path / _CLOSED).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise StoreCorrupt(
            f"{path}: not closed by its writer; finish the indexing job first"
        ) from error
    except ValueError as error:
        raise StoreCorrupt(f"{path / _CLOSED}: {error}") from error


def link_view(path: Path, view: Path) -> None:
    """Fill ``view``, an empty directory, with links to the files of a closed shard.

    What Qdrant rewrites as it loads is copied, so that any number of processes may load views.
    Everything is, where a file can't be written to: on a disk that can only be read, or another's.
    """
    config = json.loads((path / _CONFIG).read_text(encoding="utf-8"))
    (view / _CONFIG).write_text(json.dumps({**config, "wal_enabled": False}), encoding="utf-8")
    files = [file for file in (path / "segments").rglob("*") if file.is_file()]
    if not all(os.access(file, os.W_OK) for file in files):
        _copy_segments(path, view)
        return
    (view / "segments").mkdir()
    for segment in (path.resolve() / "segments").iterdir():
        mirrored = view / "segments" / segment.name
        mirrored.mkdir()
        for entry in segment.iterdir():
            if entry.name == "segment.json":
                (mirrored / entry.name).write_bytes(entry.read_bytes())
            elif entry.name == _PAYLOAD_INDEX:
                (mirrored / entry.name).mkdir()
                for part in entry.iterdir():
                    _link(mirrored / entry.name / part.name, part)
            else:
                _link(mirrored / entry.name, entry)


def _link(link: Path, to: Path) -> None:
    link.symlink_to(to, target_is_directory=to.is_dir())


def _copy_segments(path: Path, view: Path) -> None:
    logger.warning("%s can't be written to; Qdrant opens a copy of it in %s", path, view)
    require_room(view, count_disk_bytes(path), to="copy a shard that can't be written to")
    copy_tree(path / "segments", view / "segments")
    for made in (view / "segments").rglob("*"):
        made.chmod(made.stat().st_mode | stat.S_IWUSR)


def _load(path: Path, *, named: Path) -> Any:
    try:
        return qe.EdgeShard.load(os.fspath(path))
    except BaseException as error:
        if not _is_engines(error):
            raise
        if "WouldBlock" in str(error):
            raise IndexLocked(f"{named}: another process is writing to it") from error
        passing = any(os.strerror(number) in str(error) for number in _PASSING)
        kind = StoreError if passing else StoreCorrupt
        raise kind(f"{named}: Qdrant can't load it: {error}") from error


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (StoreError, IndexLocked):
        raise
    except BaseException as error:
        if not _is_engines(error):
            raise
        raise StoreError(f"{path}: {error}") from error


def _is_engines(error: BaseException) -> bool:
    # The library raises bare Exception for all that goes wrong, and where the engine panics, a
    # class that is no Exception and that can't be imported.
    return isinstance(error, Exception) or type(error).__name__ == "PanicException"
