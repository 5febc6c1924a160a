"""How a history of watches becomes a few vectors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from twinlens.catalog.vectors import FloatMatrix

Pooling = Literal["averages", "average", "sum", "max"]


@dataclass(frozen=True)
class Windows:
    """Watches that are taken together: by their average, sum, or the largest of each component.

    A window is the first of its watches and the one after the last; 0 is the latest.
    """

    windows: Sequence[tuple[int, int]]
    sums: bool = False
    takes_largest: bool = False

    def weigh(self, there: npt.NDArray[np.bool_]) -> FloatMatrix:
        """Return each watch's weight in each window, (people, windows, watches)."""
        weights = np.zeros((len(there), len(self.windows), there.shape[1]), dtype=np.float32)
        for at, (first, after) in enumerate(self.windows):
            weights[:, at, first:after] = there[:, first:after]
        if not self.sums:
            weights /= np.maximum(weights.sum(axis=2, keepdims=True), 1)
        return weights


# `average`, `sum` and `max` are the paper's and what it compares with; `averages` is ours.
POOLINGS: Final[Mapping[Pooling, Windows]] = {
    "averages": Windows(((0, 50), (0, 5), (0, 1))),
    "average": Windows(((0, 50),)),
    "sum": Windows(((0, 50),), sums=True),
    "max": Windows(((0, 50),), takes_largest=True),
}
