"""The wide part of the learned candidates: what the same people watch, and what follows what.

A network that generalises forgets rare pairs, and has little to learn from in a small log. Two
tables remember; how much each counts beside the network is chosen by what is held out.

Source: Cheng et al.: Wide & Deep Learning for Recommender Systems, 2016.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from twinlens.catalog.vectors import FloatMatrix, Vector
from twinlens.recommender.content import list_places
from twinlens.recommender.interactions import Ints

TOGETHER: Final = "together"
FOLLOWED: Final = "followed"
STEPS: Final = 3
# What a watch says counts by how many came after it.
_SHARES: Final[Mapping[str, Vector]] = {
    TOGETHER: np.ones(50, dtype=np.float32),
    FOLLOWED: np.array([1 / (step + 1) for step in range(STEPS)], dtype=np.float32),
}


class Table(NamedTuple):
    """A sparse matrix, nothing below 0: what a watch speaks for, and how strongly.

    A watch of row v speaks for ``videos[starts[v]:starts[v + 1]]``.
    """

    starts: npt.NDArray[np.int64]
    videos: npt.NDArray[np.int32]
    strengths: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False, kw_only=True)
class CoWatching:
    """Tables by name, and how much each counts beside the network's scores."""

    tables: Mapping[str, Table]
    weights: Mapping[str, float]

    def weigh(self, weights: Mapping[str, float]) -> Self:
        """Return these with other weights; a table that doesn't count is left out."""
        kept = {name: weight for name, weight in weights.items() if weight}
        return replace(self, tables={name: self.tables[name] for name in kept}, weights=kept)

    def score(self, history: Ints, videos: int) -> FloatMatrix:
        """Return how strongly histories speak for each of so many videos, (people, videos).

        ``history`` (people, watches) has rows of videos, the latest watch first; a row that no
        table has says nothing.
        """
        people, rows, strengths = self._gather(history)
        summed = np.bincount(people * videos + rows, strengths, len(history) * videos)
        return summed.reshape(len(history), videos).astype(np.float32)

    def find(self, history: Ints) -> tuple[Ints, Vector]:
        """Return the rows that one history (watches,) speaks for, rising, and how strongly."""
        _, rows, strengths = self._gather(history[None])
        found, places = np.unique(rows, return_inverse=True)
        return found, np.bincount(places, strengths, len(found)).astype(np.float32)

    def _gather(self, history: Ints) -> tuple[Ints, Ints, Vector]:
        """Return, of every watch, whose it is, what it speaks for, and how strongly."""
        none = np.zeros(0, dtype=np.int64)
        parts: list[tuple[Ints, Ints, Vector]] = [(none, none, none.astype(np.float32))]
        for name, table in self.tables.items():
            shares = self.weights[name] * _SHARES[name][: history.shape[1]]
            latest = history[:, : len(shares)]
            told, at = np.nonzero((latest >= 0) & (latest < len(table.starts) - 1))
            watched = latest[told, at]
            places, counts = list_places(table.starts[watched], table.starts[watched + 1])
            spoken = table.strengths[places] * np.repeat(shares[at], counts)
            parts.append((np.repeat(told, counts), table.videos[places].astype(np.int64), spoken))
        people, rows, strengths = zip(*parts, strict=True)
        return np.concatenate(people), np.concatenate(rows), np.concatenate(strengths)
