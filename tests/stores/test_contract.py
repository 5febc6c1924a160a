"""What every store must do, whichever engine is under it."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from tests.stores import writer
from tests.stores.catalogue import DIMS, catalogue, query, rng, unit, video
from tests.stores.conftest import FileHome, Home
from twinlens.catalog.errors import StoreError
from twinlens.catalog.vectors import SparseVector
from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS
from twinlens.stores.base import Order, StoredVideo, VectorQuery, VectorReader, VectorStore
from twinlens.stores.edge import EdgeStore
from twinlens.stores.filters import And, AnyOf, Not, Range, matches


def same(found: StoredVideo, written: StoredVideo) -> bool:
    return (
        found.video_id == written.video_id
        and found.payload == written.payload
        and found.vectors.keys() == written.vectors.keys()
        and all(np.array_equal(found.vectors[n], written.vectors[n]) for n in written.vectors)
        # The mirror gives no words back.
        and (
            not found.sparse or all(map(np.array_equal, found.sparse[WORDS], written.sparse[WORDS]))
        )
    )


def scanned(store: VectorReader, batch_size: int = 1000) -> dict[str, StoredVideo]:
    found = [v for batch in store.scan(with_vectors=True, batch_size=batch_size) for v in batch]
    by_id = {v.video_id: v for v in found}
    assert len(by_id) == len(found)
    return by_id


def holds(store: VectorReader, written: Iterable[StoredVideo], batch_size: int = 1000) -> bool:
    """Whether it has these videos as they were written, each once, and no others."""
    found, expected = scanned(store, batch_size), {v.video_id: v for v in written}
    return found.keys() == expected.keys() and all(same(found[i], expected[i]) for i in expected)


def stored(store: VectorReader, video_id: str) -> StoredVideo:
    return store.get([video_id], with_vectors=True)[video_id]


def test_an_empty_store_answers_everything_with_nothing(store: VectorStore) -> None:
    assert store.count() == store.count(TITLE) == store.count(THUMBNAIL) == 0
    assert store.search([query(), query(THUMBNAIL)]) == [[], []]
    assert store.search([query()], filter=AnyOf("language", ("en",))) == [[]]
    assert store.get(["unknown"], with_vectors=True) == {}
    assert list(store.scan()) == []
    assert store.browse(limit=10) == store.browse(limit=10, order=Order("view_count")) == []
    assert store.facet("tags", limit=10) == []
    assert store.count(filter=AnyOf("language", ("en",))) == 0
    store.delete(["unknown"])
    store.optimize()
    store.flush()


def test_what_was_written_comes_back_as_it_was_and_is_counted_per_vector(
    store: VectorStore,
) -> None:
    videos = catalogue(50)
    store.upsert(videos)
    found = store.get([v.video_id for v in videos], with_vectors=True)
    assert len(found) == store.count() == 50
    for written in videos:
        assert same(found[written.video_id], written)
        for vector in found[written.video_id].vectors.values():
            assert vector.dtype == np.float32
            vector[:] = 0.0  # what is returned is the caller's own
        assert same(stored(store, written.video_id), written)
    for name in (TITLE, THUMBNAIL):
        assert store.count(name) == sum(name in v.vectors for v in videos) < 50


def test_calls_pass_over_nothing_and_unknown_and_repeated_ids(store: VectorStore) -> None:
    store.upsert(catalogue(3))
    store.upsert([])
    store.delete([])
    assert store.search([]) == []
    assert store.get([]) == {}
    assert store.count() == 3
    found = store.get(["video-00001", "no such video", "video-00001"])
    assert list(found) == ["video-00001"]
    assert found["video-00001"].vectors == {}
    assert found["video-00001"].payload["title"] == "ශ්‍රී ලංකා ක්‍රිකට් තරගය"


def test_any_text_of_up_to_256_characters_is_an_id(home: Home) -> None:
    odd = ["quote'\"; -- \\ /", "  ", "\u0000", "-1", "%s{}"]
    ids = ["a", "ක්‍රිකට්-තරගය", "🎸" * 64, "x" * 256, *odd]
    drawn = rng()
    videos = [video(drawn, one, title="සිංහල 🎸 தமிழ்", tags=["ක", "🎸"]) for one in ids]
    store = home.create()
    store.upsert(videos)
    store.close()
    reader = home.reader()
    for written in videos:
        assert same(stored(reader, written.video_id), written)
        asked = [VectorQuery(TITLE, written.vectors[TITLE], 5)]
        [hits] = reader.search(asked, filter=AnyOf("video_id", (written.video_id,)))
        assert [hit.video_id for hit in hits] == [written.video_id]


def test_a_search_ranks_by_inner_product_whatever_came_and_went(store: VectorStore) -> None:
    # Far below the size at which an HNSW graph would be built, so every engine is exact.
    videos = catalogue(600)
    drawn = rng()
    changed = [video(drawn, f"video-{i:05d}", language="en") for i in range(0, 60, 2)]
    changed += [video(drawn, f"video-{i:05d}", names=(TITLE,)) for i in range(100, 130)]
    gone = [f"video-{i:05d}" for i in range(200, 260)]
    for start in range(0, 600, 100):
        store.upsert(videos[start : start + 100])
    store.upsert(changed)
    store.delete([*gone, "unknown", gone[0], "video-00260"])
    store.upsert(videos[260:261])
    store.optimize()
    kept = {v.video_id: v for v in [*videos, *changed] if v.video_id not in gone}
    assert store.count() == len(kept)
    assert holds(store, kept.values())
    queries = [query(name, limit) for name in (TITLE, THUMBNAIL) for limit in (1, 10, 1000)]
    queries.append(query(TITLE, 1, seed=4))
    some = And((AnyOf("category", ("category 0",)), Not(Range(field="view_count", lt=2_500))))
    for filter in (None, some, AnyOf("language", ("xx",))):
        for asked, hits in zip(queries, store.search(queries, filter=filter), strict=True):
            scores = {
                v.video_id: float(v.vectors[asked.lens] @ asked.vector)
                for v in kept.values()
                if asked.lens in v.vectors and (not filter or matches(filter, v.payload))
            }
            best = sorted(scores, key=lambda i: (-scores[i], i))[: asked.limit]
            assert [hit.video_id for hit in hits] == best
            assert bool(best) is (filter in (None, some))
            assert [hit.score for hit in hits] == pytest.approx([scores[b] for b in best], abs=1e-5)
            assert all(type(hit.score) is float for hit in hits)


def test_videos_with_equal_vectors_come_in_the_order_of_their_ids(store: VectorStore) -> None:
    vector = unit(rng(), DIMS[TITLE])
    ids = [f"tied {i}" for i in range(25)]
    shuffled = random.Random(5).sample(ids, len(ids))
    store.upsert([StoredVideo(i, {"video_id": i}, {TITLE: vector}) for i in shuffled])
    [hits] = store.search([VectorQuery(TITLE, vector, 100)])
    assert [hit.video_id for hit in hits] == sorted(ids)
    assert [hit.score for hit in hits] == pytest.approx([1.0] * 25, abs=1e-6)


def test_an_upsert_replaces_the_whole_video_and_of_an_id_given_twice_the_last_counts(
    store: VectorStore,
) -> None:
    store.upsert(catalogue(5))
    replaced = video(rng(), "video-00000", names=(THUMBNAIL,), title="new")
    store.upsert([replaced])
    assert store.count() == 5
    assert store.count(TITLE) == 4
    assert same(stored(store, "video-00000"), replaced)
    [hits] = store.search([query(TITLE, 100)])
    assert "video-00000" not in {hit.video_id for hit in hits}
    [nearest, *_] = store.search([VectorQuery(THUMBNAIL, replaced.vectors[THUMBNAIL], 1)])
    assert nearest[0].video_id == "video-00000"
    for names in [(TITLE,), (TITLE, THUMBNAIL), (THUMBNAIL,), (TITLE, THUMBNAIL)]:
        written = video(np.random.default_rng(len(names)), "video-00004", names=names)
        store.upsert([written])
        assert same(stored(store, "video-00004"), written)
    generator = rng()
    first, last = (video(generator, "twin", title=title) for title in ("first", "last"))
    store.upsert([first, last])
    assert same(stored(store, "twin"), last)
    assert (store.count(), store.count(TITLE)) == (6, 5)


def test_a_scan_meets_every_video_once(store: VectorStore) -> None:
    videos = catalogue(40)
    store.upsert(videos)
    for batch_size in (1, 7, 40, 1000):
        batches = list(store.scan(batch_size=batch_size))
        assert all(len(batch) <= batch_size for batch in batches)
        assert all(not v.vectors for batch in batches for v in batch)
        assert holds(store, videos, batch_size)


def test_what_was_written_is_there_whenever_it_is_reopened(home: Home) -> None:
    videos = catalogue(60)
    store = home.create()
    store.upsert(videos[:40])
    store.close()
    store = home.open()
    # A second writer's changes must count over the first's.
    changed = video(rng(), "video-00001", title="changed")
    store.upsert([changed, *videos[40:]])
    store.delete(["video-00002"])
    store.optimize()
    store.close()
    written = [v for v in [*videos, changed] if v.video_id != "video-00002"]
    assert holds(home.reader(), written)
    for turn in range(4):
        store = home.open()
        written = video(np.random.default_rng(turn), "video-00007", title=f"turn {turn}")
        store.upsert([written])
        assert same(stored(store, "video-00007"), written)
        store.close()
        home.reader().close()


@pytest.mark.parametrize(
    ("home", "batches"), [("edge", 1), ("edge", 23), ("flat", 1), ("flat", 6)], indirect=["home"]
)
def test_a_kill_loses_nothing_acknowledged(home: FileHome, batches: int) -> None:
    store = home.create()
    store.close()
    done = writer.write_until_killed(home.path, batches)
    refused = pytest.raises(StoreError, match="not closed by its writer")
    with refused if isinstance(store, EdgeStore) else nullcontext():
        home.reader()
    store = home.open()
    found = scanned(store)
    assert all(same(found[v.video_id], v) for i in range(done) for v in writer.batch(i))
    # A batch may have been applied and not yet acknowledged, and never in part.
    assert len(found) in (done * writer.BATCH, (done + 1) * writer.BATCH)
    assert store.count() == store.count(TITLE) == store.count(THUMBNAIL) == len(found)
    store.close()
    assert holds(home.reader(), found.values())


def test_readers_read_side_by_side_and_write_nothing(home: Home) -> None:
    store = home.create()
    store.upsert(catalogue(80))
    store.optimize()
    store.close()
    before = home.state()
    readers = [home.reader() for _ in range(3)]
    asked = [query(TITLE, 50), query(THUMBNAIL, 50)]
    answers = []
    for reader in readers:
        answers.append(reader.search(asked))
        reader.search(asked, filter=AnyOf("tags", ("tag1",)))
        reader.get(["video-00001", "unknown"], with_vectors=True)
        reader.count()
        reader.count(TITLE)
        reader.count(filter=AnyOf("language", ("en",)))
        reader.browse(limit=10, order=Order("view_count"), filter=AnyOf("tags", ("tag1",)))
        reader.facet("tags", limit=10, filter=AnyOf("language", ("en",)))
        scanned(reader)
    assert answers[0] == answers[1] == answers[2]
    readers[0].close()
    assert readers[1].search(asked) == answers[0]
    for reader in readers:
        reader.close()
    assert home.state() == before


def test_arguments_are_left_as_they_were(store: VectorStore) -> None:
    videos = catalogue(10)
    kept = copy.deepcopy(videos)
    for v in videos:
        for vector in v.vectors.values():
            vector.setflags(write=False)
    asked = [query(TITLE, 3), query(THUMBNAIL, 2)]
    asked_kept = copy.deepcopy(asked)
    store.upsert(videos)
    store.upsert(videos)
    store.search(asked, filter=AnyOf("tags", ("tag1",)))
    assert all(same(a, b) for a, b in zip(videos, kept, strict=True))
    assert all(
        a.limit == b.limit and np.array_equal(a.vector, b.vector)
        for a, b in zip(asked, asked_kept, strict=True)
    )


def spoiled(value: float) -> np.ndarray[Any, Any]:
    vector = unit(rng(), DIMS[TITLE])
    vector[3] = value
    return vector


def words(*entries: tuple[int, float]) -> SparseVector:
    indices, values = zip(*entries, strict=True) if entries else ((), ())
    return SparseVector(np.array(indices, np.uint32), np.array(values, np.float32))


NAMED = {"video_id": "the bad one"}
SOUND = unit(rng(), DIMS[TITLE])
# What is wrong with one video, by the name of the field that has it.
REJECTED: dict[str, dict[str, Any]] = {
    "NaN": {"vectors": {TITLE: spoiled(float("nan"))}},
    "infinite": {"vectors": {TITLE: spoiled(float("inf"))}},
    "zero": {"vectors": {TITLE: np.zeros(DIMS[TITLE], np.float32)}},
    "too long a vector": {"vectors": {TITLE: 2 * SOUND}},
    "wrong dimension": {"vectors": {TITLE: unit(rng(), DIMS[TITLE] + 1)}},
    "a matrix": {"vectors": {TITLE: unit(rng(), 1, DIMS[TITLE])}},
    "integers": {"vectors": {TITLE: np.eye(DIMS[TITLE], dtype=np.int64)[0]}},
    "unknown name": {"vectors": {TITLE: SOUND, "sound": unit(rng(), 4)}},
    "no vector": {"vectors": {}},
    "words that don't rise": {"sparse": {WORDS: words((5, 1.0), (4, 1.0))}},
    "a word twice": {"sparse": {WORDS: words((5, 1.0), (5, 1.0))}},
    "no words": {"sparse": {WORDS: words()}},
    "a word that is NaN": {"sparse": {WORDS: words((5, float("nan")))}},
    "words as a dense vector": {"sparse": {WORDS: unit(rng(), 4)}},
    "words of float64": {"sparse": {WORDS: words((5, 1.0))._replace(values=np.ones(1))}},
    "words as a title": {"vectors": {TITLE: words((5, 1.0))}},
    "no video_id in the payload": {"payload": {}},
    "another video_id in the payload": {"payload": {"video_id": "x"}},
    "not JSON": {"payload": {**NAMED, "when": object()}},
    "NaN in the payload": {"payload": {**NAMED, "duration_s": float("nan")}},
    "half a surrogate pair": {"payload": {**NAMED, "title": "\ud800"}},
}


def test_one_bad_video_keeps_the_whole_call_out(store: VectorStore) -> None:
    first, second = catalogue(2)
    for named, wrong in REJECTED.items():
        bad = StoredVideo("the bad one", **({"payload": NAMED, "vectors": {TITLE: SOUND}} | wrong))
        with pytest.raises(ValueError, match="the bad one"):  # noqa: PT012 - tells which
            store.upsert([first, bad, second])
            pytest.fail(f"took {named}")
        assert store.count() == store.count(TITLE) == 0, named
        assert list(store.scan()) == [], named
    for video_id in ("", "x" * 257):
        with pytest.raises(ValueError, match="1 to 256 characters"):
            store.upsert([video(rng(), video_id)])
    assert store.count() == 0


def test_float64_vectors_are_stored_as_float32(store: VectorStore) -> None:
    vector = unit(rng(), DIMS[TITLE]).astype(np.float64)
    store.upsert([StoredVideo("double", {"video_id": "double"}, {TITLE: vector})])  # type: ignore[dict-item]
    found = stored(store, "double").vectors[TITLE]
    assert found.dtype == np.float32
    assert np.array_equal(found, vector.astype(np.float32))


MEANINGLESS = {
    "zero": VectorQuery(TITLE, np.zeros(DIMS[TITLE], np.float32), 5),
    "NaN": VectorQuery(TITLE, spoiled(float("nan")), 5),
    "dimension": VectorQuery(TITLE, unit(rng(), DIMS[TITLE] + 1), 5),
    "limit 0": query(limit=0),
    "limit -1": query(limit=-1),
    "sparse": VectorQuery(TITLE, words((5, 1.0)), 5),
    "dense": VectorQuery(WORDS, SOUND, 5),
    "no words": VectorQuery(WORDS, words(), 5),
}


def test_a_query_that_means_nothing_is_refused(store: VectorStore) -> None:
    store.upsert(catalogue(3))
    for named, asked in MEANINGLESS.items():
        with pytest.raises(ValueError, match="query"):  # noqa: PT012 - tells which
            store.search([query(), asked])
            pytest.fail(f"answered {named}")


def test_a_store_of_one_vector_knows_no_other(home: Home) -> None:
    store = home.create({TITLE: 16, WORDS: None})
    store.upsert([video(rng(), "titled", names=(TITLE,))])
    with pytest.raises(ValueError, match="thumbnail"):
        store.search([query(THUMBNAIL)])
    with pytest.raises(ValueError, match="thumbnail"):
        store.upsert([video(rng(), "both")])
    assert store.count() == 1


def test_closing_twice_is_fine_and_a_closed_store_says_so(home: Home) -> None:
    store = home.create()
    store.upsert(catalogue(3))
    store.close()
    store.close()
    reader = home.reader()
    reader.close()
    reader.close()
    for closed in (store, reader):
        for call in (
            lambda c: c.search([query()]),
            lambda c: c.get(["video-00001"]),
            lambda c: c.count(),
            lambda c: c.count(TITLE),
            lambda c: list(c.scan()),
            lambda c: c.browse(limit=1),
            lambda c: c.browse(limit=1, order=Order("view_count")),
            lambda c: c.facet("tags", limit=1),
            lambda c: c.count(filter=AnyOf("language", ("en",))),
            lambda _: store.upsert(catalogue(1)),
            lambda _: store.delete(["video-00001"]),
            lambda _: store.flush(),
            lambda _: store.optimize(),
        ):
            with pytest.raises(StoreError, match="closed"):
                call(closed)


def test_nothing_is_not_opened_and_a_store_is_not_created_over(home: Home) -> None:
    for attempt in (home.open, home.reader):
        with pytest.raises(StoreError):
            attempt()
    if isinstance(home, FileHome):
        assert not home.path.exists()
    store = home.create()
    store.upsert(catalogue(3))
    store.close()
    with pytest.raises(StoreError, match="already"):
        home.create()
    assert home.reader().count() == 3
