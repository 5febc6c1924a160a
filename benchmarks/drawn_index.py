"""A published index of made-up videos with drawn vectors: for load and latency, not for quality."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np

from twinlens.benchmarks.mixture import BLOCK, VIDEOS_PER_CLUSTER, Mixture
from twinlens.catalog.errors import StoreError
from twinlens.catalog.versions import installed_versions
from twinlens.catalog.video import Video, video_payload
from twinlens.encoders.base import Encoder
from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS
from twinlens.encoders.words import WORDS_FINGERPRINT, sparse_words
from twinlens.stores.base import StoredVideo
from twinlens.stores.engines import EmbeddedEngine
from twinlens.stores.generations import DataDir, LensRecord, Manifest, new_generation_name
from twinlens.stores.qdrant_schema import FULL_SCAN_THRESHOLD_KB

_OPENINGS: Final = ("How to", "Why we", "The day we", "10 ways to", "I tried to", "Live:", "ඇයි අපි")
_DEEDS: Final = ("cook", "repair", "film", "build", "play", "paint", "explore", "explain", "win")
_THINGS: Final = ("a kottu", "the old radio", "cricket", "a kite", "the harbour", "a synthesizer")
_PLACES: Final = ("in Kandy", "at home", "by night", "in the rain", "யாழ்ப்பாணத்தில்", "for beginners")
_CATEGORIES: Final = ("music", "sports", "news", "education", "gaming", "travel", "food", "science")
_LANGUAGES: Final = ("en", "si", "ta")
_FIRST_DAY: Final = datetime(2012, 1, 1, tzinfo=UTC)
_DAYS: Final = 5000

logger = logging.getLogger(__name__)


def mixture_for(videos: int, dims: Mapping[str, int], *, seed: int) -> Mixture:
    """The mixture that ``publish_drawn_index`` draws from."""
    return Mixture(dims, clusters=max(1, videos // VIDEOS_PER_CLUSTER), seed=seed)


def publish_drawn_index(
    data: DataDir, *, videos: int, seed: int, encoders: Mapping[str, Encoder[Any]]
) -> Manifest:
    """The published generation of ``videos`` made-up videos, built unless it is there already.

    Their dense vectors come from a seeded mixture and from no encoder, their words from made-up
    titles; the manifest names ``encoders``
    all the same, so that a server opens it and encodes queries with them. It has neither FAISS
    mirror nor ledger, for no search reads them.

    Raises:
        StoreError: ``data`` has another index published, or Qdrant built no HNSW graph where the
            vectors are enough for one.
    """
    dims = {name: encoder.dim for name, encoder in encoders.items()}
    shape = ", ".join(f"{name} {dim}" for name, dim in dims.items())
    source = f"synthetic: {videos} videos, vectors drawn from a mixture (seed {seed}; {shape})"
    published = data.published() if data.current() is not None else None
    if published is not None and published.source != source:
        raise StoreError(
            f"{data.path}: holds another index ({published.source}); name another directory"
        )
    with data.locked():
        generation, timings = (
            (published.generation, published.timings_s)
            if published is not None
            else _build(data, videos, mixture_for(videos, dims, seed=seed))
        )
        manifest = Manifest(
            generation=generation,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            engine=EmbeddedEngine.name,
            collection=None,
            lenses={
                # Of now: an encoder trained anew makes no difference to vectors it never made.
                name: LensRecord(encoder.name, encoder.fingerprint, encoder.dim)
                for name, encoder in encoders.items()
            }
            | {WORDS: LensRecord(WORDS, WORDS_FINGERPRINT, None)},
            counts={"videos": videos} | {str(name): videos for name in (TITLE, THUMBNAIL, WORDS)},
            source=source,
            versions=installed_versions(),
            timings_s=timings,
        )
        data.publish(manifest)
    return manifest


def least_indexed(videos: int, dims: Mapping[str, int]) -> int:
    """How many vectors the HNSW graphs must cover: all of those names that Qdrant builds one for.

    Segments of an index that is barely large enough may be too small each, hence the factor 2.
    """
    return sum(
        videos for dim in dims.values() if videos * dim * 4 / 1024 > 2 * FULL_SCAN_THRESHOLD_KB
    )


def _build(data: DataDir, videos: int, mixture: Mixture) -> tuple[str, dict[str, float]]:
    generation = new_generation_name(datetime.now(UTC))
    data.generation_path(generation).mkdir(parents=True)
    store = EmbeddedEngine(data).writer(generation, {**mixture.dims, WORDS: None})
    started = time.perf_counter()
    for first in range(0, videos, BLOCK):
        store.upsert(_block(mixture, first, min(BLOCK, videos - first)))
        if first % (10 * BLOCK) == 0:
            logger.info("%d of %d videos written", first, videos)
    store.flush()
    written = time.perf_counter()
    logger.info("building HNSW: minutes at 100,000 videos")
    store.optimize()
    built = time.perf_counter()
    store.close()
    return generation, {"store": round(written - started, 3), "optimize": round(built - written, 3)}


def _block(mixture: Mixture, first: int, count: int) -> list[StoredVideo]:
    number = first // BLOCK
    topics, vectors = mixture.block(number)
    rng = np.random.default_rng([mixture.seed, number])
    return [
        StoredVideo(
            payload["video_id"],
            payload,
            {name: rows[row] for name, rows in vectors.items()},
            sparse_words(payload["title"]),
        )
        for row in range(count)
        for payload in [_payload(rng, first + row, int(topics[row]))]
    ]


def _payload(rng: np.random.Generator, index: int, topic: int) -> dict[str, Any]:
    def one_of(values: tuple[str, ...]) -> str:
        return values[int(rng.integers(len(values)))]

    video_id = f"drawn-{index:07d}"
    deed, thing = one_of(_DEEDS), one_of(_THINGS)
    video = Video(
        video_id=video_id,
        title=f"{one_of(_OPENINGS)} {deed} {thing} {one_of(_PLACES)} | part {index % 50}",
        values={
            "channel": f"Channel {topic * 7 + int(rng.integers(7))}",
            "category": _CATEGORIES[topic % len(_CATEGORIES)],
            "language": one_of(_LANGUAGES),
            "tags": (deed, thing, f"topic {topic}", f"series {index // 50}"),
            "published_at": _FIRST_DAY + timedelta(days=int(rng.integers(_DAYS))),
            "duration_s": float(rng.integers(15, 7200)),
            "view_count": int(rng.pareto(1.1) * 500),
            "url": f"https://example.org/watch/{video_id}",
        },
    )
    return video_payload(
        video, thumbnail_file=f"{hashlib.sha256(video_id.encode()).hexdigest()}.jpg"
    )
