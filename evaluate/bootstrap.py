"""Means over queries, with seeded bootstrap intervals."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

RESAMPLES: Final = 2000
SEED: Final = 0
_CHUNK: Final = 100


class Mean(NamedTuple):
    """A mean, and the ends of its 95 % bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"

    def to_json(self) -> dict[str, Any]:
        """The three numbers by name."""
        return {name: round(value, 5) for name, value in self._asdict().items()}


def mean(values: npt.ArrayLike) -> Mean:
    """The mean of one number per query, and its percentile interval over ``RESAMPLES`` resamples.

    Of the differences between two rankings of the same queries this is the paired bootstrap.
    The resampling is seeded, and the same for arrays of one length.

    Source: Sakai: Evaluating Evaluation Metrics based on the Bootstrap, SIGIR 2006.

    Raises:
        ValueError: there is no value.
    """
    given = np.asarray(values, dtype=np.float64)
    if given.size == 0:
        raise ValueError("there is no mean of nothing")
    rng = np.random.default_rng(SEED)
    means = np.concatenate(
        [
            given[rng.integers(given.size, size=(_CHUNK, given.size))].mean(axis=1)
            for _ in range(RESAMPLES // _CHUNK)
        ]
    )
    low, high = np.percentile(means, [2.5, 97.5])
    return Mean(float(given.mean()), float(low), float(high))
