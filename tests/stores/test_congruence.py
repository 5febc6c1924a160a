"""The engines against each other: same videos, same questions, same answers."""

from __future__ import annotations

import numpy as np
import pytest

from tests.stores.catalogue import DIMS, catalogue, unit, video
from tests.stores.conftest import NEEDS_SERVER, MakeHome
from twinlens.encoders.lenses import THUMBNAIL, TITLE
from twinlens.stores.base import VectorQuery, VectorStore
from twinlens.stores.filters import And, AnyOf, Filter, Not, Or, Range

# Far below the size at which an HNSW graph would be built, so every engine is exact.
COUNT = 600
FILTERS: dict[str, Filter | None] = {
    "none": None,
    "language": AnyOf("language", ("si", "ta")),
    "tags": AnyOf("tags", ("tag1",)),
    "views": Range(field="view_count", gte=100, lt=90_000),
    "duration": Range(field="duration_s", gt=10.5, lte=200.0),
    "not": Not(AnyOf("channel", ("channel 1", "channel 2"))),
    "mixed": And(
        (
            Or((AnyOf("category", ("category 0",)), AnyOf("language", ("en",)))),
            Not(Range(field="view_count", lt=2_500)),
        )
    ),
    "nobody": And((AnyOf("language", ("en",)), AnyOf("language", ("si",)))),
}


def write_history(store: VectorStore) -> None:
    """Bulk, then replaced, deleted, and given or taken a vector: what an index lives through."""
    videos = catalogue(COUNT)
    for start in range(0, COUNT, 100):
        store.upsert(videos[start : start + 100])
    rng = np.random.default_rng(5)
    store.upsert([video(rng, f"video-{i:05d}", language="en") for i in range(0, 60, 2)])
    store.upsert([video(rng, f"video-{i:05d}", names=(TITLE,)) for i in range(100, 130)])
    store.delete([f"video-{i:05d}" for i in range(200, 260)])
    store.optimize()


@pytest.fixture(params=["edge", "process", pytest.param("server", marks=NEEDS_SERVER)])
def pair(request: pytest.FixtureRequest, make_home: MakeHome) -> tuple[VectorStore, VectorStore]:
    stores = make_home("flat").create(), make_home(request.param).create()
    for store in stores:
        write_history(store)
    return stores


def test_same_rankings(pair: tuple[VectorStore, VectorStore]) -> None:
    rng = np.random.default_rng(9)
    queries = [
        VectorQuery(name, unit(rng, DIMS[name]), limit)
        for name in (TITLE, THUMBNAIL)
        for limit in (1, 10, 1000)
    ]
    for named, filter in FILTERS.items():
        expected, found = (store.search(queries, filter=filter) for store in pair)
        assert any(expected) is (named != "nobody")
        for ours, theirs in zip(expected, found, strict=True):
            assert [hit.video_id for hit in ours] == [hit.video_id for hit in theirs], named
            assert [h.score for h in ours] == pytest.approx([h.score for h in theirs], abs=1e-5)


def contents(store: VectorStore) -> object:
    videos = sorted(
        (v for batch in store.scan(with_vectors=True) for v in batch), key=lambda v: v.video_id
    )
    return (
        store.count(),
        store.count(TITLE),
        store.count(THUMBNAIL),
        [(v.video_id, v.payload) for v in videos],
        [{k: a.tolist() for k, a in v.vectors.items()} for v in videos],
        sorted(store.get(["video-00000", "video-00001", "video-00201", "nobody"])),
    )


def test_same_contents(pair: tuple[VectorStore, VectorStore]) -> None:
    assert contents(pair[0]) == contents(pair[1])
