"""The paper's measure of a ranker: the share of watch time that is mispredicted."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from twinlens.recommender.histories import Floats, Ints
from twinlens.recommender.impressions import Impressions

Scores = npt.NDArray[np.floating[Any]]


class PagePairs:
    """All pairs of a clicked impression and another that was not, on one page of one person."""

    def __init__(self, clicked: Ints, passed: Ints, watched_s: Floats, persons: Ints) -> None:
        self.clicked, self.passed = clicked, passed
        self.watched_s, self.persons = watched_s, persons

    @classmethod
    def find(cls, impressions: Impressions) -> Self:
        """Return the pairs; ``clicked`` and ``passed`` number impressions."""
        order = np.argsort(impressions.pages[~impressions.clicked], kind="stable")
        passed = np.flatnonzero(~impressions.clicked)[order]
        clicked = np.flatnonzero(impressions.clicked)
        of_passed, of_clicked = impressions.pages[passed], impressions.pages[clicked]
        first = np.searchsorted(of_passed, of_clicked)
        counts = np.searchsorted(of_passed, of_clicked, side="right") - first
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        clicked = np.repeat(clicked, counts)
        return cls(
            clicked,
            passed[np.repeat(first, counts) + within],
            impressions.watched_s[clicked],
            impressions.persons[clicked],
        )

    def __len__(self) -> int:
        return len(self.clicked)

    def find_mispredicted(self, scores: Scores) -> Floats:
        """Return the seconds that each pair mispredicts; half of them where scores tie."""
        difference = scores[self.passed] - scores[self.clicked]
        return self.watched_s * (0.5 + 0.5 * np.sign(difference))

    def find_gain(self, scores: Scores, other: Scores) -> tuple[float, float]:
        """Return by how much the loss of ``scores`` is below ``other``'s, and its standard error.

        Over people: what one of them was shown is no independent evidence.
        """
        seconds = self.find_mispredicted(other) - self.find_mispredicted(scores)
        people = np.unique(self.persons, return_inverse=True)[1]
        gains, totals = np.bincount(people, seconds), np.bincount(people, self.watched_s)
        gain = gains.sum() / totals.sum()
        error = np.sqrt(np.square(gains - gain * totals).sum()) / totals.sum()
        return float(gain), float(error)

    def measure_loss(self, scores: Scores) -> float:
        """Return the weighted, per-user loss of ``scores``, one an impression: 0 to 1.

        NaN where no page has both. Source: Covington et al. 2016, section 4.3.
        """
        total = self.watched_s.sum()
        return float(self.find_mispredicted(scores).sum() / total) if total > 0 else np.nan
