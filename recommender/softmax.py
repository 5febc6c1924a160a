"""Sampled softmax: the loss over all videos, by a few thousand of them.

Source: Jean et al.: On Using Very Large Target Vocabulary for Neural Machine Translation, 2015
(importance weights); Covington et al. 2016, 3.1.
"""

from __future__ import annotations

from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

_IMPOSSIBLE: Final = -1e9


class Background:
    """Draws videos by how often they are watched: the negatives of a step, shared by its batch."""

    def __init__(self, frequencies: npt.NDArray[Any], *, power: float = 1.0) -> None:
        # A video that nobody has watched is never drawn: content alone decides its place.
        weights = np.asarray(frequencies, dtype=np.float64) ** power
        self.probabilities = weights / weights.sum()
        self._cumulated = np.cumsum(self.probabilities)

    @classmethod
    def of_labels(cls, labels: npt.NDArray[np.integer], videos: int, *, power: float) -> Self:
        """Return the background of these labels among so many videos."""
        return cls(np.bincount(labels, minlength=videos), power=power)

    def draw(
        self, count: int, rng: np.random.Generator
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
        """Draw ``count`` videos with replacement.

        Returns the distinct ones, rising, and for each the log of how often it was expected, over
        how often it was drawn: what is to be taken off its logit, so that all of them together
        stand for all videos.
        """
        drawn = np.searchsorted(self._cumulated, rng.random(count), side="right")
        rows, times = np.unique(np.minimum(drawn, len(self._cumulated) - 1), return_counts=True)
        log_expected = np.log(self.probabilities[rows] * count / times)
        return rows.astype(np.int64), log_expected.astype(np.float32)


def measure_loss(positive: Tensor, negative: Tensor, log_expected: Tensor, hits: Tensor) -> Tensor:
    """Return the loss of each example, shape (n,).

    ``positive`` (n,) and ``negative`` (n, drawn) are logits. The rarer a negative is drawn, the
    more videos it stands for: ``log_expected`` (drawn,) of ``Background.draw`` is taken off. Where
    ``hits`` (n, drawn) says that it is the example's own label, it doesn't count; the label itself
    is always there, and so stands for itself alone.
    """
    corrected = (negative - log_expected).masked_fill(hits, _IMPOSSIBLE)
    return torch.logsumexp(torch.cat([positive[:, None], corrected], dim=1), dim=1) - positive
