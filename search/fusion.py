"""Weighted reciprocal rank fusion: several rankings become one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from twinlens.catalog.video import VectorName
from twinlens.stores.base import ScoredVideo

# The textbook's. What is served is chosen by measurement: DEFAULT_RRF_K in backend/search.py.
DEFAULT_K: Final = 60


@dataclass(frozen=True, slots=True)
class SourceRank:
    """Where one ranking placed a video: its rank, from 1, and the score it had there."""

    rank: int
    score: float


@dataclass(frozen=True, slots=True)
class FusedVideo:
    """A video, its fused score, and its place in every ranking that holds it.

    ``because`` names the videos that recommend it, where videos do; ``found_by`` has the places of
    the searches that found it and its rank in each, where several searched.
    """

    video_id: str
    score: float
    sources: Mapping[VectorName, SourceRank]
    because: Sequence[str] = ()
    found_by: Sequence[tuple[int, int]] = ()


def fuse(
    rankings: Mapping[VectorName, Sequence[ScoredVideo]],
    *,
    limit: int,
    k: float = DEFAULT_K,
    weights: Mapping[VectorName, float] | None = None,
) -> list[FusedVideo]:
    """The ``limit`` best videos by the sum of ``weight / (k + rank)``, ranks counted from 1.

    A ranking names a video at most once; a video missing from a ranking gets nothing for it. A
    ranking whose weight is 0 counts as absent; one without a weight has weight 1. Ties are broken
    by ``video_id``, so the answer depends on nothing but the arguments.

    Source: Cormack, Clarke, Büttcher: Reciprocal Rank Fusion outperforms Condorcet and individual
    Rank Learning Methods, SIGIR 2009; k = 60 is theirs.

    Raises:
        ValueError: a negative weight, or ``k`` below 0.
    """
    if k < 0:
        raise ValueError(f"k is {k}; it must be 0 or more")
    scores: dict[str, float] = {}
    places: dict[VectorName, dict[str, int]] = {}
    # A fixed order of summing, so that rounding can't depend on the order of the mapping.
    for name in sorted(rankings):
        weight = 1.0 if weights is None else weights.get(name, 1.0)
        if weight < 0:
            raise ValueError(f"the weight of {name} is {weight}; it must be 0 or more")
        if weight == 0:
            continue
        place = places[name] = {one.video_id: at for at, one in enumerate(rankings[name])}
        for video_id, at in place.items():
            scores[video_id] = scores.get(video_id, 0.0) + weight / (k + at + 1)
    best = sorted((-score, video_id) for video_id, score in scores.items())[:limit]
    return [
        FusedVideo(
            video_id,
            -negated,
            {
                name: SourceRank(place[video_id] + 1, rankings[name][place[video_id]].score)
                for name, place in places.items()
                if video_id in place
            },
        )
        for negated, video_id in best
    ]
