"""A task's catalogue in the embedded engine, with the vectors that the job would store."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypedDict

from tqdm import tqdm

from twinlens.catalog.errors import RowRejected, UnencodableItems, UsageError
from twinlens.catalog.images import decode_image
from twinlens.catalog.sources import read_thumbnail
from twinlens.catalog.vectors import FloatMatrix, Vector
from twinlens.catalog.video import Video, video_payload
from twinlens.encoders.base import ThumbnailEncoder, TitleEncoder
from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS, own_lenses
from twinlens.encoders.words import sparse_words
from twinlens.evaluate.search.tasks import Corpus
from twinlens.evaluate.vector_cache import CachedTitleEncoder, VectorCache
from twinlens.search.searcher import Searcher
from twinlens.stores.base import StoredVideo, VectorReader
from twinlens.stores.edge import EdgeReader, EdgeStore

_BATCH: Final = 500


@contextmanager
def searcher_over(
    corpus: Corpus,
    *,
    title_encoder: CachedTitleEncoder,
    thumbnail_encoder: ThumbnailEncoder,
    cache: VectorCache,
) -> Iterator[Searcher]:
    """The backend's own search over ``corpus``, indexed in a temporary directory.

    Raises:
        UsageError: no video of it has a title or a thumbnail that can be encoded.
    """
    encoders: _Encoders = {"title_encoder": title_encoder, "thumbnail_encoder": thumbnail_encoder}
    with reader_over(corpus, cache=cache, **encoders) as reader:
        yield searcher_of(corpus, reader, **encoders)


def searcher_of(
    corpus: Corpus,
    reader: VectorReader,
    *,
    title_encoder: TitleEncoder,
    thumbnail_encoder: ThumbnailEncoder,
) -> Searcher:
    """The backend's own search over an index of ``corpus``."""
    return Searcher(
        reader,
        generation=corpus.name,
        lenses=own_lenses(title_encoder, thumbnail_encoder),
    )


@contextmanager
def reader_over(
    corpus: Corpus,
    *,
    title_encoder: CachedTitleEncoder,
    thumbnail_encoder: ThumbnailEncoder,
    cache: VectorCache,
) -> Iterator[VectorReader]:
    """``corpus`` in the embedded engine, in a temporary directory.

    Raises:
        UsageError: no video of it has a title or a thumbnail that can be encoded.
    """
    titles = _title_vectors(corpus.videos, title_encoder)
    thumbnails = _thumbnail_vectors(corpus.videos, thumbnail_encoder, cache)
    stored = []
    for video in corpus.videos:
        vectors = {
            name: found[video.video_id]
            for name, found in ((TITLE, titles), (THUMBNAIL, thumbnails))
            if video.video_id in found
        }
        if vectors:
            payload = video_payload(video, thumbnail_file=None)
            stored.append(
                StoredVideo(video.video_id, payload, vectors, sparse_words(video.title or ""))
            )
    if not stored:
        raise UsageError(f"{corpus.name}: no title and no thumbnail that can be encoded")
    dims = {TITLE: title_encoder.dim, THUMBNAIL: thumbnail_encoder.dim, WORDS: None}
    with tempfile.TemporaryDirectory(prefix="twinlens-evaluate-") as temporary:
        path = Path(temporary) / "qdrant"
        store = EdgeStore.create(path, dims)
        try:
            for start in range(0, len(stored), _BATCH):
                store.upsert(stored[start : start + _BATCH])
            store.optimize()
        finally:
            store.close()
        reader = EdgeReader.open(path)
        try:
            yield _PayloadsAtHand(reader, stored)
        finally:
            reader.close()


class _Encoders(TypedDict):
    title_encoder: CachedTitleEncoder
    thumbnail_encoder: ThumbnailEncoder


class _PayloadsAtHand:
    """The reader, but payloads are not fetched from it: every search here wants hundreds."""

    def __init__(self, reader: EdgeReader, stored: Sequence[StoredVideo]) -> None:
        self.fields = reader.fields
        self._reader = reader
        self._bare = {
            video.video_id: StoredVideo(video.video_id, video.payload) for video in stored
        }
        self.search = reader.search
        self.browse = reader.browse
        self.facet = reader.facet
        self.count = reader.count
        self.scan = reader.scan
        self.close = reader.close

    def get(
        self, video_ids: Sequence[str], *, with_vectors: bool = False
    ) -> dict[str, StoredVideo]:
        """See ``VectorReader``."""
        if with_vectors:
            return self._reader.get(video_ids, with_vectors=True)
        return {key: self._bare[key] for key in video_ids if key in self._bare}


def _title_vectors(videos: Sequence[Video], encoder: CachedTitleEncoder) -> dict[str, Vector]:
    titled = {video.video_id: video.title for video in videos if video.title is not None}
    with tqdm(total=len(titled), desc="titles", unit=" titles", leave=False) as progress:
        vectors = encoder.title_vectors(list(titled.values()), progress.update)
    return {key: row for key, row in zip(titled, vectors, strict=True) if row is not None}


def _thumbnail_vectors(
    videos: Sequence[Video], encoder: ThumbnailEncoder, cache: VectorCache
) -> dict[str, Vector]:
    pictured = [video for video in videos if video.thumbnail is not None]

    def encode(batch: Sequence[Video]) -> FloatMatrix:
        pictures = []
        bad = []
        for row, video in enumerate(batch):
            try:
                pictures.append(decode_image(_bytes(video), at_least=encoder.input_size))
            except RowRejected:
                bad.append(row)
        if bad:
            raise UnencodableItems(bad)
        return encoder.encode(pictures)

    with tqdm(total=len(pictured), desc="thumbnails", unit=" pictures", leave=False) as progress:
        vectors = cache.vectors(
            encoder.fingerprint,
            pictured,
            digest=lambda video: hashlib.sha256(_bytes(video)).digest(),
            encode=encode,
            on_progress=progress.update,
        )
    return {
        video.video_id: row for video, row in zip(pictured, vectors, strict=True) if row is not None
    }


def _bytes(video: Video) -> bytes:
    try:
        return read_thumbnail(video) or b""
    except RowRejected:
        return b""
