"""Numbers of any scale as numbers in [0, 1): where each lies among those that were seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from twinlens.catalog.vectors import FloatMatrix

Floats = npt.NDArray[np.float64]
_KNOTS: Final = 101


@dataclass(frozen=True, eq=False)
class Quantiles:
    """The quantiles of columns of numbers: ``knots`` rise, and ``ranks`` say what share is below.

    Source: Covington et al. 2016, section 4.1, "Embedding continuous features".
    """

    names: Sequence[str]
    knots: Sequence[Floats]
    ranks: Sequence[Floats]

    @classmethod
    def fit(cls, names: Sequence[str], numbers: FloatMatrix) -> Self:
        """Return those of ``numbers`` (n, columns); NaN is missing, and doesn't count."""
        knots, ranks = [], []
        for column in numbers.T:
            known = np.sort(column[~np.isnan(column)])
            if not known.size:
                known = np.zeros(1)
            places = np.linspace(0, known.size - 1, min(_KNOTS, known.size)).astype(np.int64)
            values = np.unique(known[places]).astype(np.float64)
            knots.append(values)
            ranks.append(np.searchsorted(known, values) / known.size)
        return cls(tuple(names), knots, ranks)

    def transform(self, numbers: FloatMatrix) -> FloatMatrix:
        """Return each number's quantile, float32 of the same shape; NaN where it is missing."""
        quantiles = np.empty(numbers.shape, dtype=np.float32)
        for at, (knots, ranks) in enumerate(zip(self.knots, self.ranks, strict=True)):
            quantiles[:, at] = np.interp(numbers[:, at], knots, ranks)
        return quantiles

    def save(self, path: Path) -> None:
        """Write them as an ``.npz`` file."""
        np.savez(
            path,
            names=np.array(self.names),
            lengths=np.array([len(knots) for knots in self.knots]),
            knots=np.concatenate(self.knots),
            ranks=np.concatenate(self.ranks),
        )

    @classmethod
    def load(cls, path: Path) -> Self:
        """Return what was saved; pickled content is refused."""
        with np.load(path, allow_pickle=False) as file:
            ends = np.cumsum(file["lengths"])[:-1]
            return cls(
                tuple(file["names"].tolist()),
                np.split(file["knots"], ends),
                np.split(file["ranks"], ends),
            )
