"""The order in which every store returns what it found."""

from __future__ import annotations

from collections.abc import Iterable
from operator import itemgetter

from stores.base import ScoredVideo


def ranked(scored: Iterable[tuple[str, float]]) -> list[ScoredVideo]:
    """Best first, ties by ``video_id``."""
    by_id = sorted(scored, key=itemgetter(0))
    by_id.sort(key=itemgetter(1), reverse=True)
    return [ScoredVideo(video_id, score) for video_id, score in by_id]
