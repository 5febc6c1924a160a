"""The vectors of a comparison: on disk, mapped into memory, the same for every engine.

A set is written once, block by block, so that a million vectors need no more memory than a block,
and every process that measures maps the same files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from twinlens.catalog.vectors import Vector
from twinlens.search.fusion import Ranking, fuse
from twinlens.stores.base import ScoredVideo
from twinlens.stores.qdrant_schema import FULL_SCAN_THRESHOLD_KB

Matrix = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

# The share of the videos that each filtered search lets through.
SHARES: Final = (0.5, 0.1, 0.01, 0.001)
# The file that makes a directory a set; it is written last.
DESCRIPTION: Final = "set.json"


@dataclass(frozen=True, slots=True)
class Description:
    """What a set holds and where it is from; ``synthetic`` vectors say nothing about quality."""

    source: str
    synthetic: bool
    videos: int
    queries: int
    dims: Mapping[str, int]


class VectorSet:
    """Unit vectors of ``videos`` videos, whose ids are their rows, and the queries asked of them.

    Arrays are float32, memory-mapped and read-only: ``rows(name)`` (videos, dim), ``queries(name)``
    (queries, dim). ``draws`` (videos,) is uniform in [0, 1): a filter of share 0.1 lets through
    the videos whose draw is below 0.1, which has nothing to do with their vectors.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._arrays: dict[str, Matrix] = {}
        self.description = Description(
            **json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))
        )
        self.videos = self.description.videos
        self.dims = self.description.dims
        # The name of the vector that single searches ask.
        self.first = next(iter(self.dims))

    def rows(self, name: str) -> Matrix:
        """The vectors of this name, in the order of their ids."""
        return self._map(f"{name}.npy")

    def queries(self, name: str) -> Matrix:
        """The queries for this name; none is a vector of the set."""
        return self._map(f"{name}.queries.npy")

    @property
    def draws(self) -> Matrix:
        """One number a video, which decides what filters let through."""
        return self._map("draws.npy")

    def passing(self, share: float) -> Ids:
        """The ids of the videos that the filter of this share lets through, ascending."""
        return np.flatnonzero(self.draws < share)

    def points(self, at_a_time: int) -> Iterator[list[tuple[int, dict[str, Vector], list[str]]]]:
        """All videos in batches: id, vectors by name, and the shares whose filters let it pass."""
        for first in range(0, self.videos, at_a_time):
            part = slice(first, first + at_a_time)
            vectors = {name: self.rows(name)[part] for name in self.dims}
            yield [
                (
                    first + at,
                    {name: rows[at] for name, rows in vectors.items()},
                    [str(share) for share in SHARES if draw < share],
                )
                for at, draw in enumerate(self.draws[part].tolist())
            ]

    def graph_threshold_kb(self, *, least: int = 1) -> int:
        """Qdrant's own threshold for building a graph, lowered where the set is below it.

        A quarter of the smallest vectors, so that every vector of a small set gets a graph, too.
        ``least`` is the smallest threshold that the engine takes.
        """
        smallest_kb = self.videos * min(self.dims.values()) * 4 // 1024
        return min(FULL_SCAN_THRESHOLD_KB, max(least, smallest_kb // 4))

    def _map(self, file: str) -> Matrix:
        if file not in self._arrays:
            self._arrays[file] = np.load(self.path / file, mmap_mode="r")
        return self._arrays[file]


def fuse_answers(
    rankings: Mapping[str, Sequence[tuple[int, float]]], *, limit: int, k: float
) -> dict[int, float]:
    """Ids with their fused scores, best first, as the product fuses one ranking a vector name."""
    given = [
        Ranking(key=name, videos=[ScoredVideo(str(one), float(s)) for one, s in ranking])
        for name, ranking in rankings.items()
    ]
    return {int(one.video_id): one.score for one in fuse(given, limit=limit, k=k)}
