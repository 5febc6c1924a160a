"""How often an index occurs, and what a query makes of it."""

from collections import Counter

import numpy as np
import pytest

from tests.stores.catalogue import rng, words
from twinlens.catalog.vectors import StoredVideo, to_sparse_vector
from twinlens.encoders.lenses import WORDS
from twinlens.stores import document_frequencies
from twinlens.stores.base import ScoredVideo, sort_hits
from twinlens.stores.document_frequencies import FrequencyCounter


def test_counts_are_exact_or_too_high_and_added_up_in_parts(monkeypatch):
    # So many that indices share places, and so few at a time that parts are merged.
    monkeypatch.setattr(document_frequencies, "_MOST_PENDING", 50_000)
    drawn = rng()
    vectors = [
        to_sparse_vector(
            (index, 1.0) for index in set(drawn.zipf(1.2, 100).tolist()) if index < 2**32
        )
        for _ in range(3000)
    ]
    counter = FrequencyCounter([WORDS, "other"])
    counter.add(StoredVideo(str(at), {}, {}, {WORDS: one}) for at, one in enumerate(vectors))
    found = counter.finish()
    assert found.videos == {WORDS: 3000, "other": 0}
    exact = Counter(index for one in vectors for index in one.indices.tolist())
    asked = to_sparse_vector((index, 1.0) for index in exact)
    having = np.array([exact[index] for index in asked.indices.tolist()])
    idf = np.log(1 + (3000 - having + 0.5) / (having + 0.5))
    weighed = found.weigh(WORDS, asked)
    assert weighed.indices is asked.indices
    assert weighed.values.dtype == np.float32
    assert (weighed.values <= idf * (1 + 1e-6)).all()
    assert np.isclose(weighed.values, idf, rtol=1e-6).mean() > 0.99


def test_what_nothing_has_weighs_most_and_what_all_have_next_to_nothing():
    counter = FrequencyCounter([WORDS])
    vector = words(rng())
    counter.add(StoredVideo(str(at), {}, {}, {WORDS: vector}) for at in range(10))
    unknown = to_sparse_vector([(12345, 2.0)])
    assert counter.finish().weigh(WORDS, vector).values == pytest.approx(
        vector.values * np.log(1 + 0.5 / 10.5)
    )
    assert counter.finish().weigh(WORDS, unknown).values == pytest.approx([2 * np.log(22)])


def test_scores_by_sparse_vectors_that_differ_by_rounding_tie():
    found = [ScoredVideo(*of) for of in [("c", 7.0000005), ("b", 7.0), ("a", 6.9), ("d", -1.0)]]
    tied = [("b", 7.0000005), ("c", 7.0000005), *found[2:]]
    assert sort_hits(found, words(rng())) == sort_hits(found[::-1], words(rng())) == tied
    assert sort_hits(found[::-1]) == found
