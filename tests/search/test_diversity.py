"""Maximal marginal relevance: each hit in turn the best mix of good and new."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinlens.search.diversity import measure_likeness, rerank_by_mmr
from twinlens.stores.base import StoredVideo


@st.composite
def windows(draw):
    """Relevances, falling, and a likeness of unit vectors in few directions, so that many tie."""
    count = draw(st.integers(1, 14))
    relevance = sorted(draw(st.lists(st.floats(0.01, 5), min_size=count, max_size=count)))[::-1]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    rows = rng.integers(-1, 2, (count, 3)).astype(float) + 0.1
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return relevance, np.round(rows @ rows.T, 6)


def by_the_book(relevance, likeness, diversity):
    """MMR as the paper has it, one candidate at a time."""
    left, order = list(range(len(relevance))), []
    while left:
        best = max(
            left,
            key=lambda one: (
                (1 - diversity) * relevance[one] / relevance[0]
                - diversity * max((likeness[one][other] for other in order), default=0),
                -one,
            ),
        )
        left.remove(best)
        order.append(best)
    return order


@given(windows(), st.sampled_from([0, 0.1, 0.3, 0.5, 0.9, 1]) | st.floats(0, 1))
def test_the_order_is_that_of_the_paper(window, diversity):
    relevance, likeness = window
    order = rerank_by_mmr(relevance, likeness, diversity=diversity)
    assert order == by_the_book(relevance, likeness, diversity)
    assert order[0] == 0
    if diversity == 0:
        assert order == sorted(order)


@pytest.mark.parametrize(
    ("relevance", "diversity", "said"),
    [*(([1.0], wrong, "from 0 to 1") for wrong in (-0.1, 1.1, np.nan)), ([1.0, 0.5], 0.5, "shape")],
)
def test_what_is_out_of_range_or_does_not_fit_is_refused(relevance, diversity, said):
    with pytest.raises(ValueError, match=said):
        rerank_by_mmr(relevance, np.ones((1, 1)), diversity=diversity)


# ---- likeness


def video(video_id: str, **vectors) -> StoredVideo:
    found = {name: np.array(value, np.float32) for name, value in vectors.items()}
    return StoredVideo(video_id, {"video_id": video_id}, found)


def test_likeness_is_measured_from_what_is_usual():
    """Two encoders, one of which finds everything much alike, say the same."""
    rng = np.random.default_rng(3)
    spread = rng.standard_normal((30, 16))
    spread /= np.linalg.norm(spread, axis=1, keepdims=True)
    narrow = np.hstack([spread * 0.5, np.full((30, 1), np.sqrt(0.75))])
    wide = measure_likeness([video(f"{one}", title=row) for one, row in enumerate(spread)])
    close = measure_likeness([video(f"{one}", title=row) for one, row in enumerate(narrow)])
    np.testing.assert_allclose(close, wide, atol=1e-4)
    assert abs(wide[np.triu_indices(30, 1)].mean()) < 1e-6
    np.testing.assert_allclose(np.diag(wide), 1, atol=1e-5)


def test_lenses_that_one_of_two_lacks_do_not_count():
    likeness = measure_likeness(
        [
            video("a", title=[1, 0], thumbnail=[1, 0]),
            video("b", title=[1, 0]),
            video("c", title=[0, 1]),
            video("d", thumbnail=[1, 0]),
            video("e", thumbnail=[0, 1]),
        ]
    )
    assert likeness[0, 1] == pytest.approx(1)
    assert likeness[0, 3] == pytest.approx(1)
    assert likeness[0, 2] < 0
    assert likeness[1, 3] == 0  # no lens in common
    assert (likeness == likeness.T).all()


def test_a_window_of_nothing_or_of_one_and_the_same_is_no_error():
    assert rerank_by_mmr([], measure_likeness([]), diversity=0.5) == []
    likeness = measure_likeness([video("a", title=[1, 0]), video("b", title=[1, 0])])
    assert np.isfinite(likeness).all()
    assert likeness[0, 1] == 1
