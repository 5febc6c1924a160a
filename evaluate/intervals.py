"""How sure a figure is: means over queries and medians over rounds, with bootstrap intervals.

The resampling is seeded, and the same for all arrays of one length.

Sources: Efron: Bootstrap Methods: Another Look at the Jackknife, 1979 (percentile intervals);
Sakai: Evaluating Evaluation Metrics based on the Bootstrap, SIGIR 2006 (paired, over queries).
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

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


class Interval(NamedTuple):
    """A median over rounds, and the ends of its 95 % bootstrap interval."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.2f} [{self.low:.2f}, {self.high:.2f}]"

    def to_json(self) -> dict[str, Any]:
        """The three numbers by name."""
        return {name: round(value, 4) for name, value in self._asdict().items()}


def bootstrap_mean(values: npt.ArrayLike) -> Mean:
    """The mean of one number per query, and its interval.

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


def over_rounds(rounds: npt.ArrayLike) -> Interval:
    """The median of one number per round, and its interval."""
    values = np.asarray(rounds, dtype=np.float64)
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(values, (_RESAMPLES, values.size)), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return Interval(float(np.median(values)), float(low), float(high))
