"""The order in which every store returns what it found."""

from __future__ import annotations

from operator import gt

from twinlens.stores.base import ScoredVideo


def ranked(found: list[ScoredVideo]) -> list[ScoredVideo]:
    """Best first, ties by ``video_id``; quick where engines come with falling scores already."""
    scores = [one.score for one in found]
    if all(map(gt, scores, scores[1:])):
        return found
    return sorted(found, key=lambda one: (-one.score, one.video_id))
