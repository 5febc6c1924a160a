"""Waits for an answer, kept small: percentiles of each round, and one histogram over all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np

# Ten bins a decade, from a microsecond to a thousand seconds.
_PER_DECADE: Final = 10
_FIRST_DECADE: Final = -3
_DECADES: Final = 9


def latency(rounds: Sequence[Sequence[float]]) -> dict[str, Any]:
    """p50, p95, p99 and mean of each round in milliseconds, and counts by lower edge of a bin."""
    kept = [np.asarray(waited, dtype=np.float64) for waited in rounds if len(waited)]
    edges = 10 ** (_FIRST_DECADE + np.arange(_PER_DECADE * _DECADES + 1) / _PER_DECADE)
    counts, _ = np.histogram(np.concatenate(kept), edges)
    return {
        **{
            f"p{percent}": [round(float(np.percentile(waited, percent)), 5) for waited in kept]
            for percent in (50, 95, 99)
        },
        "mean": [round(float(waited.mean()), 5) for waited in kept],
        "histogram": [
            [round(float(edge), 6), int(count)]
            for edge, count in zip(edges, counts, strict=False)
            if count
        ],
    }
