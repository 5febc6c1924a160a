"""Videos to store: real titles in three scripts, seeded vectors, payloads of every field."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from twinlens.catalog.vectors import SparseVector, to_sparse_vector
from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS
from twinlens.stores.base import StoredVideo, VectorQuery
from twinlens.stores.generations import LensRecord, Manifest

DIMS = {TITLE: 16, THUMBNAIL: 8, WORDS: None}
DENSE = (TITLE, THUMBNAIL)
_TITLES = (
    "How to bake sourdough bread",
    "ශ්‍රී ලංකා ක්‍රිකට් තරගය",
    "தமிழ் பாடல்கள் தொகுப்பு",
    "Concert 🎸 live from Galle",
)


def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def unit(rng: np.random.Generator, *shape: int) -> npt.NDArray[np.float32]:
    drawn = rng.standard_normal(shape).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=-1, keepdims=True)


def video(
    rng: np.random.Generator, video_id: str, *, names: tuple[str, ...] = DENSE, **payload: object
) -> StoredVideo:
    return StoredVideo(
        video_id,
        {"video_id": video_id, **payload},
        {name: unit(rng, DIMS[name]) for name in names},
        {WORDS: words(rng)} if TITLE in names else {},
    )


def query(name: str = TITLE, limit: int = 10, seed: int = 3) -> VectorQuery:
    return VectorQuery(name, unit(np.random.default_rng(seed), DIMS[name]), limit)


def words(rng: np.random.Generator, count: int = 6, of: int = 60) -> SparseVector:
    """``count`` of ``of`` words, whose indices are spread over all that there are."""
    chosen = rng.choice(of, count, replace=False) * (2**32 // of)
    return to_sparse_vector(zip(chosen.tolist(), rng.uniform(0.5, 2, count).tolist(), strict=True))


def catalogue(count: int, seed: int = 7) -> list[StoredVideo]:
    """``count`` videos; every third has no thumbnail, every seventh no title."""
    rng = np.random.default_rng(seed)
    videos = []
    for i in range(count):
        missing = {TITLE: i % 7 == 6, THUMBNAIL: i % 3 == 2}
        names = tuple(name for name in DENSE if not missing[name])
        videos.append(
            video(
                rng,
                f"video-{i:05d}",
                names=names or (TITLE,),
                title=_TITLES[i % len(_TITLES)],
                channel=f"channel {i % 5}",
                category=f"category {i % 3}",
                language=("en", "si", "ta")[i % 3],
                tags=[f"tag{i % 4}", f"tag{i % 6}"],
                published_at=f"20{10 + i % 15}-0{1 + i % 9}-15T08:30:00Z",
                duration_s=float(i % 600) + 0.5,
                view_count=i * i,
            )
        )
    return videos


def manifest(engine: str, collection: str | None) -> Manifest:
    """What a generation of nothing yet says of itself."""
    return Manifest(
        generation="g",
        created_at="2026-11-21T00:00:00+00:00",
        engine=engine,
        collection=collection,
        lenses={name: LensRecord("test", "0", dim) for name, dim in DIMS.items()},
        counts={"videos": 0} | dict.fromkeys(DIMS, 0),
        source="videos",
        versions={},
        timings_s={},
    )
