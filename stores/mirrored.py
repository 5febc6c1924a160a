"""A generation in a Qdrant server, of which all that its own files hold is read from them.

The FAISS mirror of a generation lies in the data directory: names, payloads and dense vectors. So
only rankings, counts and pages are asked of the server, and a search is one call, or two where hits
lend their vectors.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from typing import Final

import numpy as np
import numpy.typing as npt

from twinlens.catalog.errors import StoreError
from twinlens.stores.base import (
    POINT_NAMESPACE,
    FacetCount,
    Order,
    ScoredVideo,
    SortKey,
    StoredVideo,
    VectorQuery,
    VectorReader,
    sort_hits,
)
from twinlens.stores.checksums import MIRROR_FILES, WAY_OUT, require_unchanged
from twinlens.stores.filters import Filter
from twinlens.stores.flat import FlatReader
from twinlens.stores.generations import DataDir, Manifest
from twinlens.stores.inventory import require_counts
from twinlens.stores.server import ServerStore

_log = logging.getLogger(__name__)

_POINT_BYTES: Final = 16


class NameTable:
    """The ``video_id`` of each point id, in 26 bytes beside the name's own: no object for each."""

    def __init__(self, batches: Iterable[Sequence[str]]) -> None:
        points: list[npt.NDArray[np.uint64]] = [np.empty((0, 2), dtype=np.uint64)]
        lengths: list[npt.NDArray[np.uint16]] = [np.empty(0, dtype=np.uint16)]
        encoded: list[bytes] = []
        for batch in batches:
            names = [name.encode() for name in batch]
            points.append(_make_points(names))
            lengths.append(np.fromiter(map(len, names), dtype=np.uint16, count=len(names)))
            encoded.append(b"".join(names))
        every, sizes = np.concatenate(points), np.concatenate(lengths)
        order = np.argsort(every[:, 0])
        self._high, self._low = every[order, 0], every[order, 1]
        self._sizes = sizes[order]
        self._starts = (np.cumsum(sizes, dtype=np.uint64) - sizes)[order]
        self._names = b"".join(encoded)

    def find(self, points: Collection[str]) -> dict[str, str]:
        """Return the ``video_id`` of those of ``points`` that are known.

        Of two with the same first half, which never come, only one is.
        """
        if not self._high.size:
            return {}
        wanted = _split_points(bytes.fromhex("".join(points).replace("-", "")))
        at = np.minimum(np.searchsorted(self._high, wanted[:, 0]), self._high.size - 1)
        known = (self._high[at] == wanted[:, 0]) & (self._low[at] == wanted[:, 1])
        starts = self._starts[at]
        ends = starts + self._sizes[at]
        names = self._names
        return {
            point: names[start:end].decode()
            for point, found, start, end in zip(
                points, known.tolist(), starts.tolist(), ends.tolist(), strict=True
            )
            if found
        }


def _make_points(names: Sequence[bytes]) -> npt.NDArray[np.uint64]:
    """Return what ``point_id`` does of many names, in halves: a fifth of its time."""
    begun = hashlib.sha1(POINT_NAMESPACE.bytes, usedforsecurity=False)
    digests = []
    for name in names:
        one = begun.copy()
        one.update(name)
        digests.append(one.digest()[:_POINT_BYTES])
    made = _split_points(b"".join(digests))
    # The version, 5, and the variant of RFC 9562.
    made[:, 0] = made[:, 0] & ~np.uint64(0xF000) | np.uint64(0x5000)
    made[:, 1] = made[:, 1] & np.uint64(2**62 - 1) | np.uint64(2**63)
    return made


def _split_points(joined: bytes) -> npt.NDArray[np.uint64]:
    return np.frombuffer(joined, dtype=">u8").astype(np.uint64).reshape(-1, 2)


class MirroredReader:
    """Reads a generation of a server with the help of its mirror; owns both.

    It returns what the server's own reader would, but for sparse vectors, which the mirror hasn't.
    """

    def __init__(self, server: ServerStore, mirror: FlatReader) -> None:
        self._server = server
        self._mirror = mirror
        self._names = NameTable(mirror.iterate_ids())
        self.fields = server.fields

    def search(
        self, queries: Sequence[VectorQuery], *, filter: Filter | None = None
    ) -> list[list[ScoredVideo]]:
        """See ``VectorReader``."""
        answers = self._server.rank(queries, filter=filter)
        points = {point for answer in answers for point, _ in answer}
        names = self._names.find(points)
        if len(names) < len(points):
            names |= self._server.find_video_ids(points - names.keys())
        return [
            sort_hits((ScoredVideo(names[point], score) for point, score in answer), query.vector)
            for query, answer in zip(queries, answers, strict=True)
        ]

    def get(
        self, video_ids: Sequence[str], *, with_vectors: bool = False
    ) -> dict[str, StoredVideo]:
        """See ``VectorReader``; the server is asked for those alone that the mirror lacks."""
        found = self._mirror.get(video_ids, with_vectors=with_vectors)
        if missing := [video_id for video_id in video_ids if video_id not in found]:
            found |= self._server.get(missing, with_vectors=with_vectors)
        return found

    def browse(
        self,
        *,
        limit: int,
        order: Order | None = None,
        after: SortKey | None = None,
        filter: Filter | None = None,
    ) -> list[StoredVideo]:
        """See ``VideoBrowser``."""
        return self._server.browse(limit=limit, order=order, after=after, filter=filter)

    def facet(self, field: str, *, limit: int, filter: Filter | None = None) -> list[FacetCount]:
        """See ``VideoBrowser``."""
        return self._server.facet(field, limit=limit, filter=filter)

    def count(self, lens: str | None = None, *, filter: Filter | None = None) -> int:
        """See ``VideoBrowser``."""
        return self._server.count(lens, filter=filter)

    def scan(
        self, *, with_vectors: bool = False, batch_size: int = 1000
    ) -> Iterator[list[StoredVideo]]:
        """See ``VectorReader``."""
        return self._server.scan(with_vectors=with_vectors, batch_size=batch_size)

    def check(self) -> None:
        """See ``VectorReader``."""
        self._server.check()

    def close(self) -> None:
        """See ``VectorReader``."""
        with closing(self._server):
            self._mirror.close()


def add_mirror(server: ServerStore, data: DataDir, manifest: Manifest) -> VectorReader:
    """Return ``server`` with the help of the generation's mirror.

    Where that is not there, or not whole, this is logged, and the server goes on alone.
    """
    try:
        require_unchanged(data, manifest, part=MIRROR_FILES, way_out=WAY_OUT)
        mirror = FlatReader.open(data.locate_mirror(manifest.generation))
    except StoreError as error:
        return _do_without(server, error)
    try:
        require_counts(manifest, mirror, sparse=False)
        return MirroredReader(server, mirror)
    except StoreError as error:
        mirror.close()
        return _do_without(server, error)


def _do_without(server: ServerStore, error: StoreError) -> ServerStore:
    _log.warning("each search asks the Qdrant server five times instead of twice: %s", error)
    return server
