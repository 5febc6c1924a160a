"""What the two Qdrants do with words; the mirror has none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.fakes import sparse_words
from tests.stores.catalogue import DIMS, catalogue, unit, words
from tests.stores.conftest import Home, MirroredStore
from twinlens.catalog.vectors import SparseVector
from twinlens.encoders.lenses import TITLE, WORDS
from twinlens.encoders.words import weigh_query
from twinlens.stores.base import StoredVideo, VectorQuery, VectorStore
from twinlens.stores.document_frequencies import FrequencyCounter
from twinlens.stores.filters import AnyOf
from twinlens.stores.flat import FlatStore

TITLES = {
    "toy": "Toy Box",
    "toy-2": "Toy Box 2",
    "si": "ශ්‍රී ලංකා ක්‍රිකට් තරගය #SriLanka",
    "ta": "தமிழ் பாடல்கள் தொகுப்பு",
    "dots": "...",
}


@pytest.fixture
def qdrant(home: Home) -> VectorStore:
    store = home.create()
    if isinstance(store, FlatStore):
        pytest.skip("the mirror holds the dense vectors only")
    return store


def titled(video_id: str, title: str, **payload: object) -> StoredVideo:
    vector = unit(np.random.default_rng(1), DIMS[TITLE])
    payload = {"video_id": video_id, "title": title, **payload}
    return StoredVideo(video_id, payload, {TITLE: vector}, sparse_words(title))


def in_words(text: str) -> VectorQuery:
    asked = weigh_query(text)
    assert asked is not None
    return VectorQuery(WORDS, asked, 10)


def found(store: VectorStore, text: str) -> list[str]:
    [hits] = store.search([in_words(text)])
    return [hit.video_id for hit in hits]


def test_words_come_back_are_counted_replaced_and_deleted_with_their_video(
    qdrant: VectorStore,
) -> None:
    written = [titled(video_id, title) for video_id, title in TITLES.items()]
    qdrant.upsert(written)
    for one in written:
        if one.sparse and not isinstance(qdrant, MirroredStore):
            read = qdrant.get([one.video_id], with_vectors=True)[one.video_id].sparse[WORDS]
            assert all(map(np.array_equal, read, one.sparse[WORDS]))
    assert qdrant.get(["si"])["si"].sparse == {}
    assert qdrant.count(WORDS) == 4
    qdrant.upsert([titled("toy", "Jumanji")])
    assert found(qdrant, "box")[0] == "toy-2"
    assert found(qdrant, "jumanji")[0] == "toy"
    qdrant.delete(["toy-2"])
    assert found(qdrant, "box") == []


def test_words_are_found_in_every_script(qdrant: VectorStore) -> None:
    qdrant.upsert([titled(video_id, title) for video_id, title in TITLES.items()])
    assert found(qdrant, "toy box")[:2] == ["toy", "toy-2"]
    assert found(qdrant, "Tyo Bux")[0] == "toy"
    assert found(qdrant, "ශ්රී ලංකා") == ["si"]
    assert found(qdrant, "srilanka") == ["si"]
    assert found(qdrant, "krikat tharagaya")[0] == "si"
    assert found(qdrant, "paadalgal")[0] == "ta"
    assert found(qdrant, "பாடல்")[0] == "ta"
    assert found(qdrant, "qqq") == []


def weights(given: SparseVector) -> dict[int, float]:
    return dict(zip(given.indices.tolist(), given.values.tolist(), strict=True))


def test_the_score_is_the_weights_times_the_rarity_that_the_query_brings(
    qdrant: VectorStore,
) -> None:
    videos = catalogue(200)
    qdrant.upsert(videos)
    qdrant.optimize()
    counter = FrequencyCounter([WORDS])
    counter.add(videos)
    asked = words(np.random.default_rng(5))
    weighed = counter.finish().weigh(WORDS, asked)
    held = {video.video_id: weights(video.sparse[WORDS]) for video in videos if video.sparse}
    expected: dict[str, float] = {}
    for index, value in weights(asked).items():
        having = {video_id: own[index] for video_id, own in held.items() if index in own}
        rarity = math.log(1 + (len(held) - len(having) + 0.5) / (len(having) + 0.5))
        for video_id, weight in having.items():
            expected[video_id] = expected.get(video_id, 0.0) + value * weight * rarity
    [hits] = qdrant.search([VectorQuery(WORDS, weighed, 1000)])
    assert {hit.video_id: hit.score for hit in hits} == pytest.approx(expected, rel=1e-6)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_words_and_dense_vectors_are_asked_in_one_call_under_one_filter(
    qdrant: VectorStore,
) -> None:
    qdrant.upsert([titled(key, title, language=key[:2]) for key, title in TITLES.items()])
    titles = VectorQuery(TITLE, unit(np.random.default_rng(1), DIMS[TITLE]), 10)
    dense, sparse = qdrant.search([titles, in_words("box தமிழ்")], filter=AnyOf("language", ("to",)))
    assert {hit.video_id for hit in dense} == {hit.video_id for hit in sparse} == {"toy", "toy-2"}


@pytest.mark.parametrize("home", ["flat"], indirect=True)
def test_the_mirror_keeps_no_words_and_says_so(home: Home) -> None:
    mirror = home.create()
    mirror.upsert([titled("toy", "Toy Story")])
    assert mirror.get(["toy"], with_vectors=True)["toy"].sparse == {}
    with pytest.raises(ValueError, match="dense vectors only"):
        mirror.search([in_words("toy")])
    with pytest.raises(ValueError, match="dense vectors only"):
        mirror.count(WORDS)
