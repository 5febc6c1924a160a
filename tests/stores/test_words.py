"""What the two Qdrants do with words; the mirror has none."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.stores.catalogue import DIMS, catalogue, unit, words
from tests.stores.conftest import Home
from twinlens.encoders.lenses import TITLE, WORDS
from twinlens.encoders.words import query_words, sparse_words
from twinlens.stores.base import StoredVideo, VectorQuery, VectorStore
from twinlens.stores.filters import AnyOf
from twinlens.stores.flat import FlatStore

TITLE, WORDS = TITLE, WORDS
TITLES = {
    "toy": "Toy Box",
    "toy-2": "Toy Box 2",
    "si": "ශ්‍රී ලංකා ක්‍රිකට් තරගය #SriLanka",
    "ta": "தமிழ் பாடல்கள் தொகுப்பு",
    "dots": "...",
}


@pytest.fixture
def qdrant(home: Home) -> Iterator[VectorStore]:
    store = home.create()
    if isinstance(store, FlatStore):
        pytest.skip("the mirror holds the dense vectors only")
    yield store
    store.close()


def titled(video_id: str, title: str, **payload: object) -> StoredVideo:
    vector = unit(np.random.default_rng(1), DIMS[TITLE])
    return StoredVideo(
        video_id,
        {"video_id": video_id, "title": title, **payload},
        {TITLE: vector},
        sparse_words(title),
    )


def found(store: VectorStore, text: str, **options: object) -> list[str]:
    asked = query_words(text)
    assert asked is not None
    [hits] = store.search([VectorQuery(WORDS, asked, 10)], **options)  # type: ignore[arg-type]
    return [hit.video_id for hit in hits]


def test_words_are_found_in_every_script(qdrant: VectorStore) -> None:
    qdrant.upsert([titled(video_id, title) for video_id, title in TITLES.items()])
    assert found(qdrant, "toy box") == ["toy", "toy-2"]
    assert found(qdrant, "Tyo Bux")[0] == "toy"
    assert found(qdrant, "ශ්රී ලංකා") == ["si"]
    assert found(qdrant, "srilanka") == ["si"]
    assert found(qdrant, "பாடல்") == ["ta"]
    assert found(qdrant, "qqq") == []


def test_the_score_is_the_weights_times_the_rarity_in_the_collection(qdrant: VectorStore) -> None:
    videos = catalogue(200)
    qdrant.upsert(videos)
    qdrant.optimize()
    asked = words(np.random.default_rng(5))
    held = [video for video in videos if video.sparse]
    rarity = {}
    for index in asked.indices.tolist():
        having = sum(index in video.sparse[WORDS].indices for video in held)
        rarity[index] = math.log(1 + (len(held) - having + 0.5) / (having + 0.5))
    expected = {}
    for video in held:
        own = dict(
            zip(
                video.sparse[WORDS].indices.tolist(),
                video.sparse[WORDS].values.tolist(),
                strict=True,
            )
        )
        shared = [
            value * own[index] * rarity[index]
            for index, value in zip(asked.indices.tolist(), asked.values.tolist(), strict=True)
            if index in own
        ]
        if shared:
            expected[video.video_id] = sum(shared)
    [hits] = qdrant.search([VectorQuery(WORDS, asked, 1000)])
    assert {hit.video_id: hit.score for hit in hits} == pytest.approx(expected, rel=1e-4)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_words_and_dense_vectors_are_asked_in_one_call_under_one_filter(
    qdrant: VectorStore,
) -> None:
    qdrant.upsert([titled(key, title, language=key[:2]) for key, title in TITLES.items()])
    asked = query_words("box தமிழ்")
    assert asked is not None
    dense, sparse = qdrant.search(
        [
            VectorQuery(TITLE, unit(np.random.default_rng(1), DIMS[TITLE]), 10),
            VectorQuery(WORDS, asked, 10),
        ],
        filter=AnyOf("language", ("to",)),
    )
    assert {hit.video_id for hit in dense} == {hit.video_id for hit in sparse} == {"toy", "toy-2"}


def test_words_are_counted_replaced_and_deleted_with_their_video(qdrant: VectorStore) -> None:
    qdrant.upsert([titled(video_id, title) for video_id, title in TITLES.items()])
    assert qdrant.count(WORDS) == 4
    qdrant.upsert([titled("toy", "Jumanji")])
    assert found(qdrant, "toy") == ["toy-2"]
    assert found(qdrant, "jumanji")[0] == "toy"
    qdrant.delete(["toy-2"])
    assert found(qdrant, "toy") == []


def test_words_come_back_as_they_were_written(qdrant: VectorStore) -> None:
    written = titled("si", TITLES["si"])
    qdrant.upsert([written])
    read = qdrant.get(["si"], with_vectors=True)["si"].sparse[WORDS]
    assert all(map(np.array_equal, read, written.sparse[WORDS]))
    assert qdrant.get(["si"])["si"].sparse == {}


def test_the_mirror_keeps_no_words_and_says_so(tmp_path: Path) -> None:
    mirror = FlatStore.create(tmp_path / "faiss", DIMS)
    mirror.upsert([titled("toy", "Toy Story")])
    assert mirror.get(["toy"], with_vectors=True)["toy"].sparse == {}
    asked = query_words("toy")
    assert asked is not None
    with pytest.raises(ValueError, match="dense vectors only"):
        mirror.search([VectorQuery(WORDS, asked, 1)])
    with pytest.raises(ValueError, match="dense vectors only"):
        mirror.count(WORDS)
    mirror.close()
