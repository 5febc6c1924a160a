"""How sure a measurement is: medians over rounds, with bootstrap intervals."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

_RESAMPLES: Final = 2000


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


def over_rounds(rounds: npt.ArrayLike) -> Interval:
    """The median of one number per round, and its interval; the resampling is seeded.

    Source: Efron, Bootstrap Methods: Another Look at the Jackknife, 1979 (percentile interval).
    """
    values = np.asarray(rounds, dtype=np.float64)
    rng = np.random.default_rng(0)
    medians = np.median(rng.choice(values, (_RESAMPLES, values.size)), axis=1)
    low, high = np.percentile(medians, [2.5, 97.5])
    return Interval(float(np.median(values)), float(low), float(high))
