"""How much of a code is used."""

from __future__ import annotations

import numpy as np

from twinlens.catalog.vectors import FloatMatrix


def measure_effective_rank(vectors: FloatMatrix) -> float:
    """Return how many directions the vectors really use, between 1 and their length.

    0 where they are all the same, NaN where some are not finite.

    Source: Roy and Vetterli 2007, over the covariance's eigenvalues.
    """
    if not np.isfinite(vectors).all():
        return float("nan")
    variances = np.linalg.eigvalsh(np.cov(vectors.T.astype(np.float64))).clip(min=0)
    if not variances.any():
        return 0.0
    shares = variances / variances.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))
