"""Made-up unit vectors with the shape of real embeddings: clusters, overlap and near twins.

Real embeddings of 100,000 videos can't be shipped, and random directions are no stand-in: in
hundreds of dimensions they are all equally far from each other, so nothing has neighbours. Here a
vector is its cluster's centre plus noise, both with a variance that falls as 1/i along the
dimensions, so that some thirty dimensions carry most of it, whatever the length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import numpy.typing as npt

from twinlens.catalog.vectors import FloatMatrix, unit_rows
from twinlens.encoders.lenses import TITLE

BLOCK: Final = 1000
VIDEOS_PER_CLUSTER: Final = 100

# How far a member lies from its centre, and a twin from its original, in lengths of a centre.
_SPREAD: Final = 0.6
_TWIN_SPREAD: Final = 0.1
_TWINS: Final = 0.1
# The share of videos whose picture belongs to the topic of their title.
_AGREEING: Final = 0.5
# Streams of random numbers that must not meet.
_CENTRES, _BLOCKS, _QUERIES = range(3)


class Mixture:
    """A mixture of Gaussians projected onto the sphere, one for every vector name.

    The same seed, dims and number of clusters draw the same vectors, block by block. Cluster sizes
    follow Zipf's law. A tenth of the vectors are near twins of another one of their block (cosine
    about 0.995), as uploads of the same thing are. Half of the thumbnails lie in the cluster that
    has the number of their title's; the others in any.
    """

    def __init__(self, dims: Mapping[str, int], *, clusters: int, seed: int) -> None:
        self.dims = dict(dims)
        self.clusters = clusters
        self.seed = seed
        sizes = 1.0 / (np.arange(clusters) + 10.0)
        self._shares = sizes / sizes.sum()
        rng = np.random.default_rng([seed, _CENTRES])
        self._centres = {name: _noise(rng, clusters, dim) for name, dim in self.dims.items()}

    def block(self, number: int) -> tuple[npt.NDArray[np.int64], dict[str, FloatMatrix]]:
        """The topics (BLOCK,) and, by name, the unit vectors (BLOCK, dim) of block ``number``."""
        rng = np.random.default_rng([self.seed, _BLOCKS, number])
        return self._draw(rng, BLOCK, twins=_TWINS)

    def queries(self, count: int) -> dict[str, FloatMatrix]:
        """By name, ``count`` unit vectors of the same mixture that are in no block."""
        rng = np.random.default_rng([self.seed, _QUERIES])
        return self._draw(rng, count, twins=0.0)[1]

    def _draw(
        self, rng: np.random.Generator, count: int, *, twins: float
    ) -> tuple[npt.NDArray[np.int64], dict[str, FloatMatrix]]:
        topics = rng.choice(self.clusters, count, p=self._shares)
        vectors = {}
        for name, dim in self.dims.items():
            others = rng.choice(self.clusters, count, p=self._shares)
            agrees = rng.random(count) < _AGREEING
            clusters = topics if name == TITLE else np.where(agrees, topics, others)
            rows = self._centres[name][clusters] + _SPREAD * _noise(rng, count, dim)
            copies = np.flatnonzero(rng.random(count) < twins)
            originals = rng.integers(count, size=copies.size)
            rows[copies] = rows[originals] + _TWIN_SPREAD * _noise(rng, copies.size, dim)
            vectors[name] = unit_rows(rows)
        return topics, vectors


def _noise(rng: np.random.Generator, count: int, dim: int) -> npt.NDArray[np.float32]:
    """Gaussian rows (count, dim) of expected squared length 1, with variances that fall as 1/i."""
    variances = 1.0 / np.arange(1, dim + 1)
    scales = np.sqrt(variances / variances.sum()).astype(np.float32)
    rows: npt.NDArray[np.float32] = rng.standard_normal((count, dim), dtype=np.float32) * scales
    return rows
