"""The published index, opened for searching from Python."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from twinlens.encoders.lens import LensOptions
from twinlens.encoders.lenses import open_lenses
from twinlens.search.published import check_lenses
from twinlens.search.request import (
    MultiSearchRequest,
    RecommendationRequest,
    SearchRequest,
    SearchResult,
)
from twinlens.search.searcher import Searcher
from twinlens.stores.address import ServerAddress
from twinlens.stores.base import StoredVideo, VectorReader
from twinlens.stores.document_frequencies import read_frequencies
from twinlens.stores.engines import open_for_search
from twinlens.stores.generations import DataDir, Manifest


class Index:
    """One published generation, open for searching until ``close`` or the end of a ``with``.

    ``manifest`` says what it was made of. A generation published later is not noticed: open the
    index again. Only one thread may use it at a time.
    """

    def __init__(self, manifest: Manifest, reader: VectorReader, searcher: Searcher) -> None:
        self.manifest = manifest
        self._reader = reader
        self._searcher = searcher

    def search(self, request: SearchRequest) -> SearchResult:
        """Return a page of hits, best first. See ``Searcher.search`` for what it raises."""
        return self._searcher.search(request)

    def recommend(self, request: RecommendationRequest) -> SearchResult:
        """Return a page of hits like the liked videos. See ``Searcher.recommend``."""
        return self._searcher.recommend(request)

    def multi_search(self, request: MultiSearchRequest) -> SearchResult:
        """Return a page of hits of several searches, fused. See ``Searcher.multi_search``."""
        return self._searcher.multi_search(request)

    def get(
        self, video_ids: Sequence[str], *, with_vectors: bool = False
    ) -> dict[str, StoredVideo]:
        """Return the stored videos by their ids; those that are not in the index are absent."""
        return self._searcher.whole.get(video_ids) if with_vectors else self._reader.get(video_ids)

    def close(self) -> None:
        """Close the engine, or the connection to it."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_index(
    data_dir: str | Path = "data",
    *,
    qdrant_url: str | None = None,
    qdrant_api_key: str | None = None,
    qdrant_grpc_port: int = 6334,
    qdrant_ca_file: Path | None = None,
    qdrant_cert_file: Path | None = None,
    qdrant_key_file: Path | None = None,
    threads: int | None = None,
) -> Index:
    """Open the published index of ``data_dir`` with the lenses that made it.

    ``qdrant_url`` is needed if a server keeps the vectors; the rest of ``qdrant_*`` is as in the
    settings of these names. Each encoder uses at most
    ``threads``; None leaves that to its library. Models are loaded when they are first asked.

    Raises:
        NoGeneration: nothing has been published there.
        LensesChanged: a model is not what it was when it made the index.
        EncoderUnavailable: a lens or its model is not installed here.
        UsageError: the vectors are kept by a server, and no URL is given.
        StoreError: the index can't be opened.
    """
    data = DataDir(Path(data_dir))
    manifest = data.read_published()
    lenses = open_lenses(
        {name: record.model for name, record in manifest.lenses.items()},
        LensOptions(threads=threads, cache_dir=data.graphs),
        names=manifest.lenses,
        fingerprints={name: record.fingerprint for name, record in manifest.lenses.items()},
    )
    check_lenses(manifest, lenses)
    server = None
    if qdrant_url is not None:
        server = ServerAddress(
            qdrant_url,
            qdrant_api_key,
            qdrant_grpc_port,
            qdrant_ca_file,
            qdrant_cert_file,
            qdrant_key_file,
        )
    with ExitStack() as opened:
        reader = open_for_search(data, manifest, server)
        opened.callback(reader.close)
        searcher = Searcher(
            reader,
            generation=manifest.generation,
            lenses=lenses,
            thumbnails=data.thumbnails,
            made_at=manifest.made_at,
            frequencies=read_frequencies(data, manifest),
        )
        opened.pop_all()
    return Index(manifest, reader, searcher)
