"""Maximal marginal relevance: rank hits that are relevant and unlike those before them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from twinlens.stores.base import StoredVideo

# Later hits keep their order: few people page that far, and the cost is quadratic.
MOST_DIVERSIFIED: Final = 1000
# Likeness is rounded so that float noise of the matrix product breaks no ties.
_DECIMALS: Final = 6

Likeness = npt.NDArray[np.float64]


def rerank_by_mmr(relevance: Sequence[float], likeness: Likeness, *, diversity: float) -> list[int]:
    """Return all indices in a new order, by maximal marginal relevance.

    Each next one has the largest ``(1 - diversity) * relevance - diversity * likeness`` to the one
    most like it among those chosen; of equals the first. ``relevance`` is divided by its largest,
    so that it lies in 0 to 1, falling from place to place; ``likeness`` has shape (n, n), 1 for
    the same. ``diversity`` 0 changes nothing; with 1 only the first place is due to relevance. The
    first ``m`` places of the order are the same, however many there are to come.

    Source: Carbonell, Goldstein: The Use of MMR, Diversity-Based Reranking, SIGIR 1998; their
    lambda is ``1 - diversity``.

    Raises:
        ValueError: ``diversity`` outside 0 to 1, or shapes that don't fit.
    """
    if not 0 <= diversity <= 1:
        raise ValueError(f"diversity is {diversity}; it must be from 0 to 1")
    count = len(relevance)
    if likeness.shape != (count, count):
        raise ValueError(f"{count} places and a likeness of shape {likeness.shape}")
    if count == 0:
        return []
    gain = np.asarray(relevance, dtype=np.float64)
    gain = (1 - diversity) * gain / max(gain.max(), np.finfo(np.float64).tiny)
    order = [0] if diversity else list(range(count))
    closest = likeness[0].copy()
    free = np.ones(count, dtype=np.bool_)
    free[order] = False
    while len(order) < count:
        value = np.where(free, gain - diversity * closest, -np.inf)
        chosen = int(value.argmax())
        order.append(chosen)
        free[chosen] = False
        np.maximum(closest, likeness[chosen], out=closest)
    return order


def measure_likeness(videos: Sequence[StoredVideo]) -> Likeness:
    """Return the likeness of each pair of ``videos``: (n, n); 1 is the same, 0 an average pair.

    It is the cosine, averaged over the lenses that both videos have, and rescaled so that the mean
    cosine of all pairs is 0: for unrelated items some encoders give 0.0, some 0.8. Two videos that
    share no lens have 0.
    """
    count = len(videos)
    total = np.zeros((count, count))
    lenses = np.zeros((count, count))
    for name in sorted({name for video in videos for name in video.vectors}):
        having = [at for at, video in enumerate(videos) if name in video.vectors]
        if len(having) < 2:
            continue
        rows = np.stack([videos[at].vectors[name] for at in having])
        cosines = (rows @ rows.T).astype(np.float64)
        pairs = len(having) * (len(having) - 1)
        mean = (cosines.sum() - np.trace(cosines)) / pairs
        if mean > 1 - 10**-_DECIMALS:
            mean = 0.0  # all the same
        cosines -= mean
        cosines /= 1 - mean
        # Where all have it, plain addition is several times as fast.
        both = np.ix_(having, having) if len(having) < count else ...
        total[both] += cosines
        lenses[both] += 1
    likeness: Likeness = np.round(total / np.maximum(lenses, 1), _DECIMALS)
    return likeness
