"""How sure a figure is: means over queries, with bootstrap intervals.

The resampling is seeded, and the same for all arrays of one length.

Sources: Efron: Bootstrap Methods: Another Look at the Jackknife, 1979 (percentile intervals);
Sakai: Evaluating Evaluation Metrics based on the Bootstrap, SIGIR 2006 (paired, over queries).
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

_RESAMPLES: Final = 2000
_CHUNK: Final = 100  # resamples in memory at a time


class Mean(NamedTuple):
    """A mean, and the ends of its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


def bootstrap_mean(values: npt.ArrayLike) -> Mean:
    """Return the mean of one number per query, and its interval.

    Given the differences between two rankings of the same queries, this is the paired bootstrap.

    Raises:
        ValueError: there is no value.
    """
    given = np.asarray(values, dtype=np.float64)
    if given.size == 0:
        raise ValueError("there is no mean of nothing")
    rng = np.random.default_rng(0)
    means = np.concatenate(
        [
            given[rng.integers(given.size, size=(_CHUNK, given.size))].mean(axis=1)
            for _ in range(_RESAMPLES // _CHUNK)
        ]
    )
    low, high = np.percentile(means, [2.5, 97.5])
    return Mean(float(given.mean()), float(low), float(high))
