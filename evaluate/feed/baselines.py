"""What learned candidates are held against: each scores all videos for a person, by counting.

Sources: Steck: Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019 (EASE); Deshpande,
Karypis: Item-Based Top-N Recommendation Algorithms, 2004 (item-kNN).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy import sparse

from twinlens.recommender.co_watching import STEPS
from twinlens.recommender.co_watching_counts import (
    fit_ease,
    keep_largest,
    make_matrix,
    tell_followers,
)
from twinlens.recommender.content import list_places
from twinlens.recommender.examples import DAY_S, Scorer
from twinlens.recommender.interactions import Interactions, Ints

# Makes what scores the labels of the second log, by the watches of the first.
Baseline = Callable[[Interactions, Interactions, int], Scorer]

_KNN_WATCHES: Final = 5
_NEIGHBOURS: Final = 200


def count_popular(past: Interactions, _: Interactions, videos: int) -> Scorer:
    """Score by how often a video was watched."""
    counts = np.bincount(past.videos, minlength=videos).astype(np.float32)
    return lambda labels: np.tile(counts, (len(labels), 1))


def count_last_day(past: Interactions, _: Interactions, videos: int) -> Scorer:
    """Score by how often a video was watched on the last day; among equals by how often at all."""
    late = past.times >= np.nanmax(past.times) - DAY_S
    counts = np.bincount(past.videos[late], minlength=videos).astype(np.float32)
    ever = np.bincount(past.videos, minlength=videos)
    counts += (ever / (ever.max() + 1)).astype(np.float32)
    return lambda labels: np.tile(counts, (len(labels), 1))


def count_followers(past: Interactions, asked: Interactions, videos: int) -> Scorer:
    """Score by what followed each of a person's last watches, up to three steps behind it.

    A step further counts a share less; each watch's followers count as shares of their sum.
    """
    table = tell_followers(past, videos)
    return _score_history(table, asked, videos, STEPS, by_step=True)


def compare_items(past: Interactions, asked: Interactions, videos: int) -> Scorer:
    """Score by the cosine of who watched a video and who watched each of a person's last five."""
    matrix = make_matrix(past, videos)
    norms = np.sqrt(np.asarray(matrix.sum(axis=0)).ravel())
    matrix = matrix @ sparse.diags(1 / np.maximum(norms, 1))
    likeness = (matrix.T @ matrix).tolil()
    likeness.setdiag(0)
    kept = keep_largest(likeness.tocsr(), _NEIGHBOURS)
    return _score_history(kept, asked, videos, _KNN_WATCHES)


def count_together(past: Interactions, asked: Interactions, videos: int) -> Scorer:
    """Score by EASE of the whole history."""
    chosen, weights = fit_ease(past, videos)

    def score(labels: Ints) -> npt.NDArray[np.float32]:
        history = _make_histories(asked, labels, videos)
        scores = np.zeros((len(labels), videos), dtype=np.float32)
        scores[:, chosen] = (history[:, chosen] > 0).astype(np.float32) @ weights
        return scores

    return score


BASELINES: Final[Mapping[str, Baseline]] = {
    "popular": count_popular,
    "popular on the last day": count_last_day,
    "item-kNN": compare_items,
    "EASE": count_together,
    "what followed, 3 steps": count_followers,
}


def _make_histories(asked: Interactions, labels: Ints, videos: int) -> Any:
    """Return what was watched before each label, sparse (labels, videos)."""
    places, sizes = list_places(asked.starts[asked.persons[labels]], labels)
    owners = np.repeat(np.arange(len(labels)), sizes)
    ones = np.ones(len(places), dtype=np.float32)
    shape = (len(labels), videos)
    return sparse.csr_matrix((ones, (owners, asked.videos[places])), shape=shape)


def _score_history(
    table: Any, asked: Interactions, videos: int, most: int, *, by_step: bool = False
) -> Scorer:
    """Score by the rows of ``table`` that belong to the last ``most`` watches, added up."""

    def score(labels: Ints) -> npt.NDArray[np.float32]:
        scores = np.zeros((len(labels), videos), dtype=np.float32)
        starts = asked.starts[asked.persons[labels]]
        for step in range(1, most + 1):
            there = np.flatnonzero(labels - step >= starts)
            rows = table[asked.videos[labels[there] - step]]
            scores[there] += np.asarray(rows.todense()) / (step if by_step else 1)
        return scores

    return score
