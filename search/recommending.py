"""What several liked and disliked videos recommend together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from twinlens.catalog.video import VectorName
from twinlens.search.fusion import FusedVideo, SourceRank
from twinlens.stores.base import ScoredVideo

# docs/decisions/0014-recommendations.md says why these.
DISLIKED_SHARE: Final = 0.5
MOST_NAMED: Final = 3
_RANKS_OF_ALL_SEEDS: Final = 4000
_LEAST_RANKS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class SeedRanking:
    """What one liked or disliked video, the seed, found by one of its vectors."""

    seed: str
    liked: bool
    lens: VectorName
    weight: float
    ranking: Sequence[ScoredVideo]


def ranks_per_seed(seeds: int, *, window: int) -> int:
    """How many ranks each of so many seeds is asked for: fewer of each, the more they are."""
    return min(window, max(_LEAST_RANKS, _RANKS_OF_ALL_SEEDS // seeds))


def fuse_seeds(rankings: Iterable[SeedRanking], *, limit: int, k: float) -> list[FusedVideo]:
    """The ``limit`` best videos by reciprocal rank fusion over all rankings of all seeds at once.

    A ranking of a liked video gives ``weight / (k + rank)``, ranks from 1; one of a disliked video
    takes ``DISLIKED_SHARE`` of that away, and what has nothing left is no hit. ``sources`` has the
    best rank by each lens that a liked video gave; ``because`` names the liked videos that gave the
    most, at most ``MOST_NAMED``. Ties are broken by ``video_id``, and rounding depends on the order
    of ``rankings``: give them in a fixed one.
    """
    scores: dict[str, float] = {}
    given: dict[str, dict[str, float]] = {}
    sources: dict[str, dict[VectorName, SourceRank]] = {}
    taken: dict[str, float] = {}
    for one in rankings:
        if not one.liked:
            for rank, (video_id, _) in enumerate(one.ranking, start=1):
                taken[video_id] = taken.get(video_id, 0.0) + one.weight / (k + rank)
            continue
        for rank, (video_id, score) in enumerate(one.ranking, start=1):
            gain = one.weight / (k + rank)
            scores[video_id] = scores.get(video_id, 0.0) + gain
            by_seed = given.setdefault(video_id, {})
            by_seed[one.seed] = by_seed.get(one.seed, 0.0) + gain
            places = sources.setdefault(video_id, {})
            best = places.get(one.lens)
            if best is None or (rank, -score) < (best.rank, -best.score):
                places[one.lens] = SourceRank(rank, score)
    left = {
        video_id: score - DISLIKED_SHARE * taken.get(video_id, 0.0)
        for video_id, score in scores.items()
    }
    ordered = sorted((-score, video_id) for video_id, score in left.items() if score > 0)
    return [
        FusedVideo(video_id, -negated, sources[video_id], _most(given[video_id]))
        for negated, video_id in ordered[:limit]
    ]


def _most(by_seed: dict[str, float]) -> list[str]:
    ordered = sorted((-gain, seed) for seed, gain in by_seed.items())
    return [seed for _, seed in ordered[:MOST_NAMED]]
