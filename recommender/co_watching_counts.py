"""Counts what the same people watch, and what follows what: the tables of ``CoWatching``.

Sources: Steck: Embarrassingly Shallow Autoencoders for Sparse Data, WWW 2019 (EASE).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import numpy as np
from scipy import sparse
from scipy.linalg import lapack

from twinlens.catalog.vectors import FloatMatrix
from twinlens.recommender.co_watching import FOLLOWED, STEPS, TOGETHER, CoWatching, Table
from twinlens.recommender.interactions import Interactions, Ints

_EASE_WEIGHT: Final = 500.0
# EASE inverts a dense matrix of as many videos by as many: of those that most people watch.
_MOST_TOGETHER: Final = 8_000
_MOST_FOLLOWED: Final = 10_000_000
_KEPT: Final = 200
_CHUNK: Final = 500


def count_co_watching(
    known: Interactions, videos: int, names: Collection[str] = (TOGETHER, FOLLOWED)
) -> CoWatching:
    """Return the tables of these names, of these watches, each of weight 1."""
    made = {}
    if TOGETHER in names:
        made[TOGETHER] = _keep_most_together(*fit_ease(known, videos), videos)
    if FOLLOWED in names:
        made[FOLLOWED] = keep_largest(tell_followers(known, videos), _KEPT)
    tables = {
        name: Table(of.indptr.astype(np.int64), of.indices.astype(np.int32), of.data)
        for name, of in made.items()
    }
    return CoWatching(tables=tables, weights=dict.fromkeys(tables, 1.0))


def fit_ease(known: Interactions, videos: int) -> tuple[Ints, FloatMatrix]:
    """Return the videos that most people watched, and EASE's weights of each for each.

    Source: Steck 2019, algorithm 1.
    """
    matrix = make_matrix(known, videos)
    counts = matrix.sum(axis=0)
    chosen = np.sort(np.argsort(-counts, kind="stable")[: min((counts > 0).sum(), _MOST_TOGETHER)])
    part = matrix[:, chosen]
    gram = (part.T @ part).toarray()
    gram[np.diag_indices(len(chosen))] += _EASE_WEIGHT
    # By Cholesky: half the work of `numpy.linalg.inv`.
    factor, _ = lapack.spotrf(gram, lower=True, overwrite_a=True)
    inverse, _ = lapack.spotri(factor, lower=True, overwrite_c=True)
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    inverse /= -np.diag(inverse)
    np.fill_diagonal(inverse, 0)
    return chosen, inverse


def _keep_most_together(chosen: Ints, weights: FloatMatrix, videos: int) -> sparse.csr_array:
    kept = [
        keep_largest(sparse.csr_array(weights[start : start + _CHUNK]), _KEPT)
        for start in range(0, len(chosen), _CHUNK)
    ]
    entries = sparse.vstack(kept, format="coo")
    rows, columns = (chosen[of] for of in entries.coords)
    return sparse.csr_array((entries.data, (rows, columns)), (videos, videos))


def tell_followers(known: Interactions, videos: int) -> sparse.csr_array:
    """Return the share of each video among what was watched next, or up to ``STEPS`` later.

    What came a step later counts a share less. Of a long log the latest watches count alone.
    """
    if len(known) > _MOST_FOLLOWED:
        kept = np.zeros(len(known), dtype=np.bool_)
        kept[np.argsort(known.times, kind="stable")[-_MOST_FOLLOWED:]] = True
        known = known.keep(kept)
    table = sparse.csr_array((videos, videos), dtype=np.float32)
    for step in range(1, STEPS + 1):
        same = known.persons[step:] == known.persons[:-step]
        before, after = known.videos[:-step][same], known.videos[step:][same]
        weights = np.full(len(before), 1 / step, dtype=np.float32)
        table = table + sparse.csr_array((weights, (before, after)), (videos, videos))
    return sparse.diags_array(1 / np.maximum(table.sum(axis=1), 1)).astype(np.float32) @ table


def make_matrix(known: Interactions, videos: int) -> sparse.csr_array:
    """Return who watched what, once, as float32 (people, videos) of 0 and 1."""
    ones = np.ones(len(known), dtype=np.float32)
    shape = (len(known.person_ids), videos)
    matrix = sparse.csr_array((ones, (known.persons, known.videos)), shape=shape)
    matrix.data[:] = 1
    return matrix


def keep_largest(matrix: sparse.csr_array, count: int) -> sparse.csr_array:
    """Return the ``count`` largest entries of each row, those above 0."""
    entries = sparse.coo_array(matrix)
    above = entries.data > 0
    rows, columns = (of[above] for of in entries.coords)
    order = np.lexsort((columns, -entries.data[above], rows))
    sizes = np.bincount(rows, minlength=matrix.shape[0])
    places = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = order[places < count]
    data = entries.data[above][kept].astype(np.float32)
    return sparse.csr_array((data, (rows[kept], columns[kept])), matrix.shape)
