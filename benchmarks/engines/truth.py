"""The exact answers, by NumPy: what recall is held against.

A hit is right where its true score reaches that of the last one of the exact best, so it makes no
difference which of two equal videos an engine returns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from twinlens.benchmarks.engines.base import EngineFailed
from twinlens.benchmarks.engines.vectors import SHARES, TRUTH, Ids, Matrix, VectorSet
from twinlens.catalog.video import VectorName
from twinlens.search.fusion import fuse, weigh_rankings
from twinlens.stores.base import ScoredVideo

Scores = npt.NDArray[np.float64]

# Sums of products in another order differ by about 1e-7 in float32.
SCORE_TOLERANCE: Final = 1e-6
_FUSED_TOLERANCE: Final = 1e-12
_BLOCK: Final = 20_000
_QUERIES_AT_ONCE: Final = 500
# What float32 would cut off wrongly lies within these few more.
_SPARE: Final = 20
# An id and a score, and both again while they are put in order.
_BYTES_PER_SCORE: Final = 32


class Truth:
    """For every query the best videos, over all videos and over those that a filter lets through.

    ``best[name]`` and ``scores[name]`` have shape (queries, depth), best first.
    """

    def __init__(
        self,
        vectors: VectorSet,
        best: Mapping[str, Ids],
        scores: Mapping[str, Scores],
        filtered: Mapping[float, Scores],
    ) -> None:
        self._vectors = vectors
        self.best = dict(best)
        self.scores = dict(scores)
        self._filtered = dict(filtered)

    def recall(self, name: str, rows: Ids, found: Sequence[Sequence[int]], *, limit: int) -> float:
        """The share of the exact ``limit`` best that these answers to the queries ``rows`` hold."""
        least = self.scores[name][rows, min(limit, self.scores[name].shape[1]) - 1]
        return self._share(name, rows, found, least, limit)

    def filtered_recall(
        self, share: float, rows: Ids, found: Sequence[Sequence[int]], *, limit: int
    ) -> float:
        """The same for searches under the filter of this share; there may be fewer than ``limit``.

        Raises:
            EngineFailed: an answer holds a video that the filter does not let through.
        """
        name = self._vectors.first
        draws = self._vectors.draws
        for ids in found:
            wrong = [one for one in ids if not draws[one] < share]
            if wrong:
                raise EngineFailed(f"a filter of {share} let video {wrong[0]} through")
        scores = self._filtered[share]
        depth = min(limit, scores.shape[1])
        if depth == 0:
            return 1.0
        return self._share(name, rows, found, scores[rows, depth - 1], depth)

    def fused_recall(
        self,
        rows: Ids,
        found: Sequence[Sequence[int]],
        *,
        limit: int,
        window: int,
        k: float,
    ) -> float:
        """The share of the best ``limit`` of the exact rankings' fusion; ties count as equal."""
        right = 0
        of = 0
        for row, ids in zip(rows, found, strict=True):
            exact = {
                int(video.video_id): video.score
                for video in fuse(
                    weigh_rankings(self.rankings(int(row), window)), limit=2 * window, k=k
                )
            }
            best = sorted(exact.values(), reverse=True)[:limit]
            of += len(best)
            reached = sum(
                exact.get(int(one), 0.0) >= best[-1] - _FUSED_TOLERANCE for one in set(ids)
            )
            right += min(reached, len(best))
        return right / of

    def rankings(self, row: int, window: int) -> dict[VectorName, list[ScoredVideo]]:
        """The exact rankings of one query, ``window`` deep."""
        return {
            VectorName(name): [
                ScoredVideo(str(one), float(score))
                for one, score in zip(
                    ids[row, :window].tolist(), self.scores[name][row, :window], strict=True
                )
            ]
            for name, ids in self.best.items()
        }

    def _share(
        self,
        name: str,
        rows: Ids,
        found: Sequence[Sequence[int]],
        least: Scores,
        limit: int,
    ) -> float:
        stored, queries = self._vectors.rows(name), self._vectors.queries(name)
        right = 0
        for row, ids, floor in zip(rows, found, least, strict=True):
            unique = sorted(set(ids))
            if unique and not 0 <= unique[0] <= unique[-1] < len(stored):
                raise EngineFailed(f"an answer holds {unique[0]} to {unique[-1]}, which are no ids")
            scores = stored[unique].astype(np.float64) @ queries[row].astype(np.float64)
            right += min(limit, int((scores >= floor - SCORE_TOLERANCE).sum()))
        return right / (len(rows) * limit)


def exact_truth(vectors: VectorSet, *, limit: int, window: int) -> Truth:
    """The truth of a set: computed once, then kept beside it."""
    file = vectors.path / f"{TRUTH}-{limit}-{window}.npz"
    if not file.exists():
        _compute(vectors, file, limit=limit, window=window)
    kept = np.load(file)
    return Truth(
        vectors,
        {name: kept[f"{name}-ids"] for name in vectors.dims},
        {name: kept[f"{name}-scores"] for name in vectors.dims},
        {share: kept[f"filtered-{share}"] for share in SHARES},
    )


def best_of(
    stored: Matrix, queries: Matrix, *, limit: int, passing: Ids | None = None
) -> tuple[Ids, Scores]:
    """Ids and scores, (queries, at most ``limit``), of the best rows, best first, ties by id.

    Blocks of rows and of queries are scored at a time, so the memory taken does not grow with their
    numbers. Scores are float64 products, of float32 candidates with some to spare.
    """
    if len(queries) > _QUERIES_AT_ONCE:
        parts = [
            best_of(stored, queries[first : first + _QUERIES_AT_ONCE], limit=limit, passing=passing)
            for first in range(0, len(queries), _QUERIES_AT_ONCE)
        ]
        return np.vstack([ids for ids, _ in parts]), np.vstack([scores for _, scores in parts])
    chosen = np.arange(len(stored)) if passing is None else passing
    depth = min(limit, chosen.size)
    spare = min(depth + _SPARE, chosen.size)
    ids = np.empty((len(queries), 0), dtype=np.int64)
    scores = np.empty((len(queries), 0), dtype=np.float32)
    for first in range(0, chosen.size, _BLOCK):
        part = chosen[first : first + _BLOCK]
        rows = stored[part[0] : part[-1] + 1]
        rows = rows if len(rows) == part.size else rows[part - part[0]]
        ids = np.hstack([ids, np.broadcast_to(part, (len(queries), part.size))])
        scores = np.hstack([scores, queries @ rows.T])
        if ids.shape[1] > spare:
            kept = np.argpartition(-scores, spare - 1, axis=1)[:, :spare]
            ids = np.take_along_axis(ids, kept, axis=1)
            scores = np.take_along_axis(scores, kept, axis=1)
    best_ids = np.empty((len(queries), depth), dtype=np.int64)
    best_scores = np.empty((len(queries), depth), dtype=np.float64)
    for row, query in enumerate(queries.astype(np.float64)):
        exact = stored[np.sort(ids[row])].astype(np.float64) @ query
        order = np.lexsort((np.sort(ids[row]), -exact))[:depth]
        best_ids[row], best_scores[row] = np.sort(ids[row])[order], exact[order]
    return best_ids, best_scores


def scoring_bytes(videos: int, queries: int, *, limit: int) -> int:
    """How much memory ``best_of`` takes beside what it is given and returns, at most."""
    scored = min(videos, _BLOCK + limit + _SPARE)
    return min(queries, _QUERIES_AT_ONCE) * scored * _BYTES_PER_SCORE


def _compute(vectors: VectorSet, file: Path, *, limit: int, window: int) -> None:
    kept: dict[str, Any] = {}
    for name in vectors.dims:
        found = best_of(vectors.rows(name), vectors.queries(name), limit=max(limit, window))
        kept[f"{name}-ids"], kept[f"{name}-scores"] = found
    name = vectors.first
    for share in SHARES:
        kept[f"filtered-{share}"] = best_of(
            vectors.rows(name), vectors.queries(name), limit=limit, passing=vectors.passing(share)
        )[1]
    making = file.with_name(f"{file.stem}.new.npz")
    np.savez(making, **kept)
    making.replace(file)
