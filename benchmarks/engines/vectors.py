"""The vectors of a comparison, and the exact answers over them that recall is held against.

A set is written once, block by block, so that a million vectors need no more memory than a block,
and every process that measures maps the same files. A hit is right where its true score reaches
that of the last one of the exact best, so it makes no difference which of two equal videos an
engine returns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from twinlens.benchmarks.engines.record import EngineFailed
from twinlens.catalog.vectors import FloatMatrix, Vector
from twinlens.search.fusion import Ranking, fuse
from twinlens.stores.base import ScoredVideo
from twinlens.stores.qdrant_schema import FULL_SCAN_THRESHOLD_KB

Ids = npt.NDArray[np.int64]
Scores = npt.NDArray[np.float64]

# The share of the videos that each filtered search lets through.
SHARES: Final = (0.5, 0.1, 0.01, 0.001)
# Sums of products in another order differ by about 1e-7 in float32.
SCORE_TOLERANCE: Final = 1e-6
_FUSED_TOLERANCE: Final = 1e-12
_BLOCK: Final = 20_000


class VectorSet:
    """Unit vectors of ``videos`` videos, whose ids are their rows, and the queries asked of them.

    Arrays are float32, memory-mapped and read-only: by name ``rows`` (videos, dim), in the order of
    the ids, and ``queries`` (queries, dim), none of which is a vector of the set. ``draws``
    (videos,) is uniform in [0, 1): a filter of share 0.1 lets through the videos whose draw is
    below 0.1, which has nothing to do with their vectors. ``dims`` are the lengths of the vectors
    whose files lie in ``path``, by name; the first is the one that single searches ask.
    """

    def __init__(self, path: Path, dims: Mapping[str, int]) -> None:
        def read(file: str) -> FloatMatrix:
            array: FloatMatrix = np.load(path / file, mmap_mode="r")
            return array

        self.path, self.dims = path, dict(dims)
        self.first = next(iter(self.dims))
        self.rows = {name: read(f"{name}.npy") for name in self.dims}
        self.queries = {name: read(f"{name}.queries.npy") for name in self.dims}
        self.query_count = len(self.queries[self.first])
        self.draws = read("draws.npy")
        self.videos = len(self.draws)

    def list_passing(self, share: float) -> Ids:
        """Return the ids of the videos that the filter of this share lets through, ascending."""
        return np.flatnonzero(self.draws < share)

    def batch(self, at_a_time: int) -> Iterator[list[tuple[int, dict[str, Vector], list[str]]]]:
        """Yield all videos in batches: id, vectors by name, shares whose filters let it pass."""
        for first in range(0, self.videos, at_a_time):
            part = slice(first, first + at_a_time)
            vectors = {name: self.rows[name][part] for name in self.dims}
            yield [
                (
                    first + at,
                    {name: rows[at] for name, rows in vectors.items()},
                    [str(share) for share in SHARES if draw < share],
                )
                for at, draw in enumerate(self.draws[part].tolist())
            ]

    def choose_threshold_kb(self, *, least: int = 1) -> int:
        """Qdrant's own threshold for building a graph, lowered where the set is below it.

        A quarter of the smallest vectors, so that every vector of a small set gets a graph, too.
        ``least`` is the smallest threshold that the engine takes.
        """
        smallest_kb = self.videos * min(self.dims.values()) * 4 // 1024
        return min(FULL_SCAN_THRESHOLD_KB, max(least, smallest_kb // 4))


def fuse_answers(
    rankings: Mapping[str, Sequence[tuple[int, float]]], *, limit: int, k: float
) -> dict[int, float]:
    """Ids with their fused scores, best first, as the product fuses one ranking a vector name."""
    given = [
        Ranking(key=name, videos=[ScoredVideo(str(one), float(s)) for one, s in ranking])
        for name, ranking in rankings.items()
    ]
    return {int(one.video_id): one.score for one in fuse(given, limit=limit, k=k)}


class Truth:
    """For every query the best videos, over all videos and over those that a filter lets through.

    ``best[name]`` are ids and scores of shape (queries, depth), best first; ``filtered[share]`` are
    scores of that shape, which may be less deep.
    """

    def __init__(self, vectors: VectorSet, *, limit: int, window: int) -> None:
        self._vectors, self._limit, self._window = vectors, limit, window
        self.best = {
            name: find_best(vectors.rows[name], vectors.queries[name], limit=max(limit, window))
            for name in vectors.dims
        }
        rows, queries = vectors.rows[vectors.first], vectors.queries[vectors.first]
        self.filtered = {
            share: find_best(rows, queries, limit=limit, passing=vectors.list_passing(share))[1]
            for share in SHARES
        }

    def measure_recall(
        self, rows: Sequence[int], found: Sequence[Sequence[int]], share: float | None = None
    ) -> float:
        """Return the share of the exact best that these answers to the queries ``rows`` hold.

        ``share`` names the filter that they were asked with; there may be fewer to find under it.

        Raises:
            EngineFailed: an answer holds what is no id, or what the filter does not let through.
        """
        name, draws = self._vectors.first, self._vectors.draws
        best = self.best[name][1][:, : self._limit] if share is None else self.filtered[share]
        depth = best.shape[1]
        if not depth and not any(map(len, found)):
            return 1.0
        stored, queries = self._vectors.rows[name], self._vectors.queries[name]
        right = 0
        for row, ids in zip(rows, found, strict=True):
            unique = sorted(set(ids))
            if unique and not 0 <= unique[0] <= unique[-1] < len(stored):
                raise EngineFailed(f"an answer holds {unique[0]} to {unique[-1]}, which are no ids")
            wrong = [one for one in unique if share is not None and not draws[one] < share]
            if wrong:
                raise EngineFailed(f"a filter of {share} let video {wrong[0]} through")
            scores = stored[unique].astype(np.float64) @ queries[row].astype(np.float64)
            right += min(depth, int((scores >= best[row, -1] - SCORE_TOLERANCE).sum()))
        return float(right / (len(rows) * depth))

    def measure_fused_recall(
        self, rows: Sequence[int], found: Sequence[Sequence[int]], *, k: float
    ) -> float:
        """Return the share of the best of the exact rankings' fusion; ties count as equal."""
        right = of = 0
        for row, ids in zip(rows, found, strict=True):
            rankings = {
                name: list(zip(best[row, : self._window], scores[row], strict=False))
                for name, (best, scores) in self.best.items()
            }
            exact = fuse_answers(rankings, limit=2 * self._window, k=k)
            least = list(exact.values())[: self._limit]
            of += len(least)
            reached = sum(exact.get(one, 0.0) >= least[-1] - _FUSED_TOLERANCE for one in set(ids))
            right += min(reached, len(least))
        return float(right / of)


def find_best(
    stored: FloatMatrix, queries: FloatMatrix, *, limit: int, passing: Ids | None = None
) -> tuple[Ids, Scores]:
    """Ids and scores, (queries, at most ``limit``), of the best rows, best first.

    A block of rows is scored at a time, so the memory taken does not grow with their number. Scores
    are float64 products; of equal ones, the lower id comes first.
    """
    chosen = np.arange(len(stored)) if passing is None else passing
    depth, exact = min(limit, chosen.size), queries.astype(np.float64)
    ids = np.empty((len(queries), 0), dtype=np.int64)
    scores = np.empty((len(queries), 0), dtype=np.float64)
    for first in range(0, chosen.size, _BLOCK):
        part = chosen[first : first + _BLOCK]
        ids = np.hstack([ids, np.broadcast_to(part, (len(queries), part.size))])
        scores = np.hstack([scores, exact @ stored[part].astype(np.float64).T])
        if ids.shape[1] > depth:
            kept = np.argpartition(-scores, depth - 1, axis=1)[:, :depth]
            ids = np.take_along_axis(ids, kept, axis=1)
            scores = np.take_along_axis(scores, kept, axis=1)
    order = np.lexsort((ids, -scores), axis=1)
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(scores, order, axis=1)
