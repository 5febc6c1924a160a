from dataclasses import replace

import numpy as np

from tests.fakes import MemoryReader, sparse_words
from twinlens.encoders.lenses import THUMBNAIL, TITLE, WORDS, WordsLens
from twinlens.indexer.verify import compare_stores
from twinlens.stores.base import StoredVideo
from twinlens.stores.flat import FlatStore

DIMS = {TITLE: 4, THUMBNAIL: 4}


def store(path, videos):
    made = FlatStore.create(path, DIMS)
    made.upsert(videos)
    return made


def video(video_id, axis=0, *, both=True, **payload):
    vector = np.eye(4, dtype=np.float32)[axis]
    vectors = {TITLE: vector}
    if both:
        vectors[THUMBNAIL] = vector
    return StoredVideo(video_id, {"video_id": video_id, **payload}, vectors)


def test_equal_stores_do_not_differ(tmp_path):
    videos = [video("a"), video("b", 1, both=False)]
    assert compare_stores(store(tmp_path / "x", videos), store(tmp_path / "y", videos), DIMS) == []


def test_every_kind_of_difference_is_named(tmp_path):
    left = store(
        tmp_path / "x",
        [video("only-left"), video("names"), video("values"), video("payload", title="old")],
    )
    right = store(
        tmp_path / "y",
        [
            video("only-right"),
            video("names", both=False),
            video("values", 1),
            video("payload", title="new"),
        ],
    )
    found = "\n".join(compare_stores(left, right, DIMS))
    assert "1 only in Qdrant (only-left)" in found
    assert "1 only in the FAISS mirror (only-right)" in found
    assert "other named vectors in Qdrant than in the mirror (names)" in found
    assert "vectors that differ by more than 1e-05 (values)" in found
    assert "another payload in Qdrant than in the mirror (payload)" in found
    assert "4 thumbnail vectors in Qdrant, 3 in the mirror" in found


def test_many_differences_are_counted_and_some_named(tmp_path):
    left = store(tmp_path / "x", [video(f"v{n:02}") for n in range(20)])
    (line,) = [x for x in compare_stores(left, store(tmp_path / "y", []), DIMS) if "only in" in x]
    assert line == "20 only in Qdrant (v00, v01, v02, v03, v04, ...)"


def test_words_other_than_the_title_s_are_named(tmp_path):
    titled = [video(name, title="Toy Story") for name in ("lost", "good", "other")]
    kept = [{}, sparse_words("Toy Story"), sparse_words("Jumanji")]
    qdrant = MemoryReader(
        [replace(one, sparse=sparse) for one, sparse in zip(titled, kept, strict=True)]
    )
    assert compare_stores(
        qdrant, store(tmp_path / "y", titled), DIMS, sparse={WORDS: WordsLens()}
    ) == ["2 with other words in Qdrant than the lens finds in them (lost, other)"]
