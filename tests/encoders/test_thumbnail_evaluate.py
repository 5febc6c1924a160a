"""The effective rank, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from twinlens.encoders.thumbnails.evaluate import effective_rank


def test_effective_rank_counts_directions() -> None:
    rng = np.random.default_rng(0)
    spread = rng.normal(size=(20_000, 8)).astype(np.float32)
    assert effective_rank(spread) == pytest.approx(8, abs=0.05)
    two = np.zeros_like(spread)
    two[:, :2] = spread[:, :2]
    assert effective_rank(two) == pytest.approx(2, abs=0.01)
    assert effective_rank(np.ones((5, 3), dtype=np.float32)) == 0
    assert np.isnan(effective_rank(np.full((5, 3), np.nan, dtype=np.float32)))
