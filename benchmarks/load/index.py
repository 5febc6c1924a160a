"""The index that is served under load: a published generation, written through the stores."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final

import numpy as np

from twinlens.benchmarks.drawn_index import least_indexed
from twinlens.benchmarks.load.material import Material, Picture, drawn_videos, keep_pictures
from twinlens.catalog.errors import PictureRejected, StoreError, UnencodableItems
from twinlens.catalog.images import decode_image
from twinlens.catalog.vectors import FloatMatrix, Vector, unit_rows
from twinlens.catalog.versions import installed_versions
from twinlens.catalog.video import Video, video_payload
from twinlens.encoders.base import ThumbnailEncoder, TitleEncoder
from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS, own_lenses
from twinlens.encoders.words import WORDS_FINGERPRINT, sparse_words
from twinlens.stores.base import StoredVideo
from twinlens.stores.edge import EdgeReader
from twinlens.stores.engines import EmbeddedEngine
from twinlens.stores.flat import FlatStore
from twinlens.stores.generations import (
    DataDir,
    LensRecord,
    Manifest,
    new_generation_name,
)

_BATCH: Final = 500
_PICTURES_AT_A_TIME: Final = 64
# What is added to a picture's vector that is used again: so much of the difference of two others.
# Then the noise has the shape of the vectors themselves. The cosine to the first is about 0.9.
_NOISE: Final = 0.35
# Some uploads have the very same picture.
_SAME_PICTURE: Final = 0.05

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Encoders:
    """The two that make the vectors of an index, and of what is asked of it."""

    titles: TitleEncoder
    thumbnails: ThumbnailEncoder


def publish_load_index(
    data: DataDir,
    material: Material,
    *,
    videos: int,
    seed: int,
    encoders: Encoders,
) -> Manifest:
    """The published generation of ``videos`` videos, built unless it is there already.

    Every title is encoded. Every real picture is too, once; where it is used again, its vector is
    moved a little. Pictures that can't be encoded are left out.

    Raises:
        StoreError: ``data`` has another index published, or Qdrant built no HNSW graph where the
            vectors are enough for one.
    """
    source = (
        f"{videos} videos made of {material.titles} real titles and {len(material.pictures)} real "
        f"pictures (digest {material.digest}, seed {seed})"
    )
    with data.locked():
        published = data.published() if data.current() is not None else None
        if published is not None and published.source != source:
            raise StoreError(
                f"{data.path}: holds another index ({published.source}); name another directory"
            )
        if published is not None:
            if not published.differences(own_lenses(encoders.titles, encoders.thumbnails)):
                return published
            logger.info("%s: made by other encoders, so it is built anew", data.path)
        for name in data.names():
            data.remove(name)
        data.current_file.unlink(missing_ok=True)
        manifest = _built(
            data,
            material,
            videos=videos,
            seed=seed,
            source=source,
            encoders=encoders,
        )
        data.publish(manifest)
    return manifest


def _built(
    data: DataDir,
    material: Material,
    *,
    videos: int,
    seed: int,
    source: str,
    encoders: Encoders,
) -> Manifest:
    generation = new_generation_name(datetime.now(UTC))
    data.generation_path(generation).mkdir(parents=True)
    started = time.perf_counter()
    keep_pictures(material.pictures, data.thumbnails)
    drawn = _DrawnPictures(_encoded_pictures(material.pictures, encoders.thumbnails), seed=seed)
    pictured = time.perf_counter()
    dims = {TITLE: encoders.titles.dim, THUMBNAIL: encoders.thumbnails.dim}
    engine = EmbeddedEngine(data)
    with (
        closing(engine.writer(generation, {**dims, WORDS: None})) as store,
        closing(FlatStore.create(data.mirror_path(generation), dims)) as mirror,
    ):
        todo = drawn_videos(material, videos, seed=seed)
        written = 0
        while some := list(islice(todo, _BATCH)):
            batch = [
                _stored(video, title, material.pictures[picture].file, drawn.vector(picture))
                for (video, picture), title in zip(
                    some,
                    _encoded_titles([video for video, _ in some], encoders.titles),
                    strict=True,
                )
            ]
            store.upsert(batch)
            mirror.upsert(batch)
            written += len(batch)
            if written % 10_000 == 0:
                logger.info("%d of %d videos written", written, videos)
        store.flush()
        stored = time.perf_counter()
        logger.info("building HNSW: minutes at 100,000 videos")
        store.optimize()
        store.flush()
        mirror.flush()
        built = time.perf_counter()
        counts = {"videos": store.count()}
        counts |= {str(name): store.count(name) for name in (TITLE, THUMBNAIL, WORDS)}
    with closing(engine.reader(generation)) as reader:
        assert isinstance(reader, EdgeReader)
        covered = reader.indexed_vector_count
    # A video without a vector, for its title or picture has no direction, is one in thousands.
    if covered < 0.98 * least_indexed(videos, dims):
        raise StoreError(f"HNSW covers {covered} vectors of {len(dims)} x {videos}")
    return Manifest(
        generation=generation,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        engine=engine.name,
        collection=None,
        lenses={
            TITLE: _record(encoders.titles),
            THUMBNAIL: _record(encoders.thumbnails),
            WORDS: LensRecord(WORDS, WORDS_FINGERPRINT, None),
        },
        counts=counts,
        source=source,
        versions=installed_versions(),
        timings_s={
            "encode pictures": round(pictured - started, 3),
            "encode titles and store": round(stored - pictured, 3),
            "optimize": round(built - stored, 3),
        },
    )


def _record(encoder: TitleEncoder | ThumbnailEncoder) -> LensRecord:
    return LensRecord(encoder.name, encoder.fingerprint, encoder.dim)


def _stored(video: Video, title: Vector | None, file: str, picture: Vector | None) -> StoredVideo:
    vectors = {TITLE: title, THUMBNAIL: picture}
    return StoredVideo(
        video.video_id,
        video_payload(video, thumbnail_file=file if picture is not None else None),
        {name: vector for name, vector in vectors.items() if vector is not None},
        sparse_words(str(video.title)),
    )


def _encoded_titles(videos: Sequence[Video], encoder: TitleEncoder) -> list[Vector | None]:
    titles = [str(video.title) for video in videos]
    try:
        return list(encoder.encode(titles))
    except UnencodableItems as error:
        bad = set(error.rows)
        good = iter(encoder.encode([one for row, one in enumerate(titles) if row not in bad]))
        return [None if row in bad else next(good) for row in range(len(titles))]


def _encoded_pictures(
    pictures: Sequence[Picture], encoder: ThumbnailEncoder
) -> list[Vector | None]:
    """A vector for every picture, None for one that can't be decoded or has no direction."""
    vectors: list[Vector | None] = [None] * len(pictures)
    for first in range(0, len(pictures), _PICTURES_AT_A_TIME):
        decoded = {}
        for number in range(first, min(first + _PICTURES_AT_A_TIME, len(pictures))):
            try:
                decoded[number] = decode_image(pictures[number].data, at_least=encoder.input_size)
            except PictureRejected as error:
                logger.warning("left out: %s: %s", pictures[number].file, error)
        numbers = list(decoded)
        try:
            rows: FloatMatrix = encoder.encode(list(decoded.values()))
        except UnencodableItems as error:
            bad = set(error.rows)
            numbers = [number for row, number in enumerate(numbers) if row not in bad]
            rows = encoder.encode([decoded[number] for number in numbers])
        for number, row in zip(numbers, rows, strict=True):
            vectors[number] = row
    return vectors


class _DrawnPictures:
    """Vectors of pictures: the picture's own at first, and one near it each time after that."""

    def __init__(self, vectors: Sequence[Vector | None], *, seed: int) -> None:
        self._vectors = vectors
        self._all = np.stack([vector for vector in vectors if vector is not None])
        self._used: set[int] = set()
        self._rng = np.random.default_rng([seed, 1])

    def vector(self, picture: int) -> Vector | None:
        """The vector of one more use of ``picture``; None where it has none."""
        own = self._vectors[picture]
        if own is None:
            return None
        if picture not in self._used or self._rng.random() < _SAME_PICTURE:
            self._used.add(picture)
            return own
        left, right = self._all[self._rng.integers(len(self._all), size=2)]
        moved: Vector = unit_rows((own + _NOISE * (left - right))[None, :])[0]
        return moved
