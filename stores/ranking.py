"""The order in which every store returns what it found."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, starmap

from stores.base import ScoredVideo


def ranked(scored: Sequence[tuple[str, float]]) -> list[ScoredVideo]:
    """Best first, ties by ``video_id``; quick where engines come with falling scores already."""
    falling = all(ahead[1] > behind[1] for ahead, behind in pairwise(scored))
    best_first = scored if falling else sorted(scored, key=lambda one: (-one[1], one[0]))
    return list(starmap(ScoredVideo, best_first))
