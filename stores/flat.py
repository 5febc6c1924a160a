"""The flat mirror: every dense vector under FAISS's exact inner product, SQLite for the rest.

A directory holds one FAISS file per vector name and ``ids.sqlite``. A FAISS file carries a stamp
behind its last byte (FAISS reads past none of it), and the database names the stamp of the file
that belongs to it. A flush writes the new files under another name, commits the database, which
decides between old and new in one step, and renames. So a kill at any moment leaves the old state
or the new, and files of two states are never taken for one.
"""

from __future__ import annotations

import json
import secrets
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import faiss
import numpy as np
import numpy.typing as npt

from twinlens.catalog.errors import IndexLocked, StoreCorrupt, StoreError
from twinlens.catalog.fields import FIELDS, Fields
from twinlens.catalog.files import create_whole, sync_directory
from twinlens.catalog.vectors import Vector
from twinlens.catalog.versions import refuse_newer
from twinlens.stores.base import (
    Dims,
    FacetCount,
    Order,
    Payload,
    ScoredVideo,
    SortKey,
    StoredVideo,
    VectorQuery,
    sort_hits,
)
from twinlens.stores.browsing import count_facet, select_page
from twinlens.stores.checks import check_queries, check_videos
from twinlens.stores.filters import Filter, matches
from twinlens.stores.flat_index import (
    STAMP_BYTES,
    Ids,
    RowFinder,
    find_rows,
    locate_final,
    locate_pending,
    make_empty_index,
    make_search_parameters,
    put,
    read_index,
    remove,
    use_omp_threads,
    view_vectors,
    write_index,
)

_DATABASE: Final = "ids.sqlite"
# Raised whenever an older program could no longer read a mirror right; SQLite's user_version, which
# is 0 in those made before there was one.
MIRROR_FORMAT: Final = 1
_SCHEMA: Final = f"""
PRAGMA user_version = {MIRROR_FORMAT};
CREATE TABLE vectors (name TEXT PRIMARY KEY, dim INTEGER NOT NULL, stamp BLOB NOT NULL);
CREATE TABLE videos (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    video_id TEXT NOT NULL UNIQUE,
    payload TEXT NOT NULL
);
"""
# SQLite binds at most 32,766 values by default; fewer keeps a statement small.
_BIND_LIMIT: Final = 5_000


class FlatReader:
    """Reads a mirror; any number of processes and threads may, as long as none writes.

    ``threads`` is how many a search runs on. More than one pays only where cores are idle: on a
    busy machine OpenMP's threads wait for each other's time slices, 24 ms for a search of 1 ms.
    """

    def __init__(
        self,
        path: Path,
        database: sqlite3.Connection,
        indexes: Mapping[str, Any],
        *,
        threads: int = 1,
        fields: Fields = FIELDS,
    ) -> None:
        self._path = path
        self._database: sqlite3.Connection | None = database
        self._indexes = dict(indexes)
        self._dims = {name: int(index.d) for name, index in indexes.items()}
        self._threads = threads
        self.fields = fields
        self._lock = threading.Lock()
        self._finders: dict[str, RowFinder] = {}

    @classmethod
    def open(cls, path: Path, *, threads: int = 1, fields: Fields = FIELDS) -> Self:
        """Return the mirror in ``path``; its vectors stay in the files and are mapped into memory.

        Raises:
            StoreError: there is no mirror.
            StoreCorrupt: its files don't fit together.
        """
        return cls._open(path, threads=threads, writable=False, fields=fields)

    @classmethod
    def _open(cls, path: Path, *, threads: int, writable: bool, fields: Fields) -> Self:
        database = _connect(path, writable=writable)
        try:
            with _translate_errors(path):
                [found] = database.execute("PRAGMA user_version").fetchone()
                refuse_newer(f"the FAISS mirror {path} has", found, MIRROR_FORMAT)
                rows = database.execute("SELECT name, dim, stamp FROM vectors").fetchall()
            indexes = {
                name: read_index(path, name, dim, stamp, writable=writable)
                for name, dim, stamp in rows
            }
        except BaseException:
            database.close()
            raise
        return cls(path, database, indexes, threads=threads, fields=fields)

    @property
    def dims(self) -> dict[str, int]:
        """Length of each named vector."""
        return dict(self._dims)

    def search(
        self, queries: Sequence[VectorQuery], *, filter: Filter | None = None
    ) -> list[list[ScoredVideo]]:
        """See ``VectorReader``; one call to FAISS per name. A filter reads every payload."""
        self._get_db()
        for query in queries:
            self._get_index(query.lens)
        checked = check_queries(queries, self._dims)
        selector = None if filter is None else faiss.IDSelectorBatch(self._find_passing(filter))
        found: dict[int, list[tuple[int, float]]] = {}
        for name in dict.fromkeys(query.lens for query in checked):
            places = [i for i, query in enumerate(checked) if query.lens == name]
            asked = [checked[i] for i in places]
            found.update(zip(places, self._find_nearest(name, asked, selector), strict=True))
        names = self._get_ids({key for hits in found.values() for key, _ in hits})
        return [
            sort_hits([ScoredVideo(names[key], score) for key, score in found[i]])
            for i in range(len(checked))
        ]

    def get(
        self, video_ids: Sequence[str], *, with_vectors: bool = False
    ) -> dict[str, StoredVideo]:
        """See ``VectorReader``."""
        rows = self._find("SELECT id, video_id, payload FROM videos WHERE video_id IN", video_ids)
        return {video.video_id: video for video in self._load(rows, with_vectors=with_vectors)}

    def browse(
        self,
        *,
        limit: int,
        order: Order | None = None,
        after: SortKey | None = None,
        filter: Filter | None = None,
    ) -> list[StoredVideo]:
        """See ``VideoBrowser``; reads every payload, since it is the reference."""
        return select_page(
            self._iterate(),
            limit=limit,
            order=order,
            after=after,
            filter=filter,
            fields=self.fields,
        )

    def facet(self, field: str, *, limit: int, filter: Filter | None = None) -> list[FacetCount]:
        """See ``VideoBrowser``; reads every payload, since it is the reference."""
        videos = self._iterate()
        return count_facet(videos, field, limit=limit, filter=filter, fields=self.fields)

    def count(self, lens: str | None = None, *, filter: Filter | None = None) -> int:
        """See ``VideoBrowser``; a filter reads every payload."""
        if filter is not None:
            passed = self._find_passing(filter)
            if lens is None:
                return len(passed)
            present, _ = self._find_rows(lens, passed)
            return int(present.sum())
        if lens is not None:
            self._get_db()
            return int(self._get_index(lens).ntotal)
        [(videos,)] = self._query("SELECT count(*) FROM videos")
        return int(videos)

    def scan(
        self, *, with_vectors: bool = False, batch_size: int = 1000
    ) -> Iterator[list[StoredVideo]]:
        """See ``VectorReader``."""
        last = -1
        while rows := self._query(
            "SELECT id, video_id, payload FROM videos WHERE id > ? ORDER BY id LIMIT ?",
            (last, batch_size),
        ):
            last = rows[-1][0]
            yield self._load(rows, with_vectors=with_vectors)

    def iterate_ids(self) -> Iterator[list[str]]:
        """Yield the id of every video once, in batches; no payload is read."""
        last = ""
        while rows := self._query(
            "SELECT video_id FROM videos WHERE video_id > ? ORDER BY video_id LIMIT 10000", (last,)
        ):
            yield [video_id for (video_id,) in rows]
            last = rows[-1][0]

    def check(self) -> None:
        """See ``VectorReader``; its files are mapped."""

    def close(self) -> None:
        """See ``VectorReader``."""
        database, self._database = self._database, None
        if database is not None:
            database.close()
            self._indexes = {}

    def _get_db(self) -> sqlite3.Connection:
        if self._database is None:
            raise StoreError(f"{self._path}: this store has been closed")
        return self._database

    def _get_index(self, name: str) -> Any:
        if name not in self._indexes:
            raise ValueError(
                f"{self._path}: the FAISS mirror holds dense vectors only, and none that a query "
                f"can name {name!r}"
            )
        return self._indexes[name]

    def _query(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._lock, _translate_errors(self._path):
            return self._get_db().execute(statement, values).fetchall()

    def _find(self, statement: str, keys: Sequence[Any]) -> list[Any]:
        """Return the rows whose column, named at the end of ``statement``, is one of ``keys``."""
        rows: list[Any] = []
        wanted = list(dict.fromkeys(keys))
        for start in range(0, len(wanted), _BIND_LIMIT):
            part = wanted[start : start + _BIND_LIMIT]
            rows += self._query(f"{statement} ({','.join('?' * len(part))})", part)
        return rows

    def _get_ids(self, keys: set[int]) -> dict[int, str]:
        return dict(self._find("SELECT id, video_id FROM videos WHERE id IN", sorted(keys)))

    def _find_rows(self, name: str, wanted: Ids) -> tuple[npt.NDArray[np.bool_], Ids]:
        index = self._get_index(name)
        # Two threads may both make one, which is as good.
        finder = self._finders.get(name) or self._finders.setdefault(name, RowFinder(index))
        return finder.find(wanted)

    def _iterate(self) -> Iterator[StoredVideo]:
        for batch in self.scan():
            yield from batch

    def _find_passing(self, filter: Filter) -> Ids:
        passed: list[int] = []
        last = -1
        while rows := self._query(
            "SELECT id, payload FROM videos WHERE id > ? ORDER BY id LIMIT 1000", (last,)
        ):
            last = rows[-1][0]
            passed += [key for key, payload in rows if matches(filter, json.loads(payload))]
        return np.array(passed, dtype=np.int64)

    def _find_nearest(
        self, name: str, queries: Sequence[VectorQuery], selector: Any
    ) -> list[list[tuple[int, float]]]:
        index = self._get_index(name)
        most = min(max(query.limit for query in queries), index.ntotal)
        if most == 0:
            return [[] for _ in queries]
        matrix = np.stack([np.asarray(query.vector) for query in queries])
        parameters = None if selector is None else make_search_parameters(selector)
        with use_omp_threads(self._threads):
            scores, keys = index.search(matrix, most, params=parameters)
        # FAISS fills up with -1 where fewer pass the filter than were asked for.
        return [
            [(k, s) for k, s in zip(keys[i].tolist(), scores[i].tolist(), strict=True) if k >= 0][
                : query.limit
            ]
            for i, query in enumerate(queries)
        ]

    def _load(self, rows: Sequence[Any], *, with_vectors: bool) -> list[StoredVideo]:
        vectors: dict[int, dict[str, Vector]] = {key: {} for key, _, _ in rows}
        if with_vectors and rows:
            wanted = np.array([key for key, _, _ in rows], dtype=np.int64)
            for name, index in self._indexes.items():
                present, places = self._find_rows(name, wanted)
                matrix = view_vectors(index)[places]
                for key, vector in zip(wanted[present].tolist(), matrix, strict=True):
                    vectors[key][name] = vector
        return [
            StoredVideo(video_id, json.loads(payload), vectors[key])
            for key, video_id, payload in rows
        ]


class FlatStore(FlatReader):
    """Writes a mirror; a change is kept once ``flush`` or ``close`` has returned, not before."""

    _changed: set[str]

    def _find_rows(self, name: str, wanted: Ids) -> tuple[npt.NDArray[np.bool_], Ids]:
        return find_rows(self._get_index(name), wanted)  # anew, as the index changes

    @classmethod
    def create(cls, path: Path, dims: Dims, *, fields: Fields = FIELDS) -> Self:
        """Return a new, empty mirror in ``path``, which must not hold one yet.

        Raises:
            StoreError: there is a mirror already.
        """
        with create_whole(path) as making, _translate_errors(path):
            database = sqlite3.connect(making / _DATABASE)
            try:
                database.executescript(_SCHEMA)
                for name, dim in dims.items():
                    if dim is None:
                        continue
                    stamp = secrets.token_bytes(STAMP_BYTES)
                    write_index(make_empty_index(dim), locate_final(making, name), stamp)
                    values = (name, dim, stamp)
                    database.execute("INSERT INTO vectors VALUES (?, ?, ?)", values)
                database.commit()
            finally:
                database.close()
        return cls.open(path, fields=fields)

    @classmethod
    def open(cls, path: Path, *, threads: int = 1, fields: Fields = FIELDS) -> Self:
        """Return the mirror in ``path`` as it was last flushed, to be written to.

        Raises:
            StoreError: there is no mirror.
            StoreCorrupt: its files don't fit together.
            IndexLocked: another writer has it open.
        """
        store = cls._open(path, threads=threads, writable=True, fields=fields)
        store._changed = set()
        return store

    def upsert(self, videos: Sequence[StoredVideo]) -> None:
        """See ``VectorStore``, but for sparse vectors, which are not kept."""
        checked = check_videos(videos, self._dims, keeps_sparse=False)
        if not checked:
            return
        rows = [(video_id, _dump(video.payload)) for video_id, video in checked.items()]
        with self._lock, _translate_errors(self._path):
            self._get_db().executemany(
                "INSERT INTO videos (video_id, payload) VALUES (?, ?)"
                " ON CONFLICT (video_id) DO UPDATE SET payload = excluded.payload",
                rows,
            )
        keys = {
            int(key): checked[video_id]
            for key, video_id in sorted(
                self._find("SELECT id, video_id FROM videos WHERE video_id IN", list(checked))
            )
        }
        for name, index in self._indexes.items():
            given = {key: v.vectors[name] for key, v in keys.items() if name in v.vectors}
            dropped = [key for key in keys if key not in given]
            if remove(index, dropped) + put(index, given):
                self._changed.add(name)

    def delete(self, video_ids: Sequence[str]) -> None:
        """See ``VectorStore``."""
        keys = [key for (key,) in self._find("SELECT id FROM videos WHERE video_id IN", video_ids)]
        if not keys:
            return
        with self._lock, _translate_errors(self._path):
            self._get_db().executemany("DELETE FROM videos WHERE id = ?", [(key,) for key in keys])
        self._changed |= {name for name, index in self._indexes.items() if remove(index, keys)}

    def flush(self) -> None:
        """See ``VectorStore``."""
        database = self._get_db()
        with self._lock, _translate_errors(self._path):
            for name in self._changed:
                stamp = secrets.token_bytes(STAMP_BYTES)
                write_index(self._indexes[name], locate_pending(self._path, name), stamp)
                database.execute("UPDATE vectors SET stamp = ? WHERE name = ?", (stamp, name))
            sync_directory(self._path)
            database.execute("COMMIT")
            for name in self._changed:
                locate_pending(self._path, name).replace(locate_final(self._path, name))
            sync_directory(self._path)
            self._changed.clear()
            database.execute("BEGIN IMMEDIATE")

    def optimize(self) -> None:
        """See ``VectorStore``; a flat index has nothing to build."""
        self._get_db()

    def close(self) -> None:
        """See ``VectorReader``; flushes."""
        if self._database is not None:
            self.flush()
            super().close()


def _connect(path: Path, *, writable: bool) -> sqlite3.Connection:
    file = path / _DATABASE
    if not file.is_file():
        raise StoreCorrupt(f"{path}: no FAISS mirror here")
    with _translate_errors(path):
        database = sqlite3.connect(
            f"{file.resolve().as_uri()}?mode={'rw' if writable else 'ro'}",
            uri=True,
            isolation_level=None,
            timeout=0.0,
            check_same_thread=False,
        )
        if writable:
            try:
                database.execute("PRAGMA synchronous = EXTRA")
                # Takes the one writer's lock at once, and holds it until the next flush.
                database.execute("BEGIN IMMEDIATE")
            except sqlite3.Error:
                database.close()
                raise
        # From here on the other process holds it only for the time of one statement.
        database.execute("PRAGMA busy_timeout = 5000")
        return database


def _dump(payload: Payload) -> str:
    return json.dumps(dict(payload), ensure_ascii=False, allow_nan=False)


@contextmanager
def _translate_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise IndexLocked(f"{path}: another process is writing to it") from error
        if "no such" in str(error):
            raise StoreCorrupt(f"{path / _DATABASE}: {error}") from error
        raise StoreError(f"{path / _DATABASE}: {error}") from error
    except sqlite3.DatabaseError as error:
        raise StoreCorrupt(f"{path / _DATABASE}: {error}") from error
    except (OSError, RuntimeError) as error:
        raise StoreError(f"{path}: {error}") from error
