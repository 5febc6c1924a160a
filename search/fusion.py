"""Weighted reciprocal rank fusion: several rankings become one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, Generic, NamedTuple, TypeVar

from twinlens.stores.base import ScoredVideo

# The textbook value. Serving uses a measured one: DEFAULT_RRF_K in search/request.py.
DEFAULT_K: Final = 60
# docs/decisions/0014-recommendations.md says why these.
DISLIKED_SHARE: Final = 0.5
MOST_NAMED: Final = 3
_RANKS_OF_ALL_SEEDS: Final = 4000
_LEAST_RANKS: Final = 20

KeyT = TypeVar("KeyT")
NameT = TypeVar("NameT", bound=str)


class LensRank(NamedTuple):
    """A video's rank, from 1, and score in the ranking by one lens."""

    rank: int
    score: float


class SeedLens(NamedTuple):
    """A liked or disliked video, the seed, and one of the lenses that it is asked by."""

    seed: str
    lens: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranking(Generic[KeyT]):
    """Videos in the order that something found them in, each at most once, best first.

    ``key`` tells the rankings of one fusion apart. One that ``takes_away`` lowers the scores of its
    videos instead of raising them.
    """

    key: KeyT
    videos: Sequence[ScoredVideo]
    weight: float = 1.0
    takes_away: bool = False


class Contribution(NamedTuple, Generic[KeyT]):
    """One ranking's contribution to a video: ``gain``, below 0 if the ranking takes away.

    ``rank``, from 1, and ``score`` are the video's in that ranking.
    """

    key: KeyT
    rank: int
    score: float
    gain: float


@dataclass(frozen=True, slots=True)
class FusedVideo(Generic[KeyT]):
    """A video, its fused score, and what each ranking that holds it contributes, in their order."""

    video_id: str
    score: float
    contributions: Sequence[Contribution[KeyT]]


def fuse(
    rankings: Iterable[Ranking[KeyT]], *, limit: int, k: float = DEFAULT_K
) -> list[FusedVideo[KeyT]]:
    """Return the ``limit`` best videos: see ``fuse_and_count``."""
    return fuse_and_count(rankings, limit=limit, k=k)[0]


def fuse_and_count(
    rankings: Iterable[Ranking[KeyT]], *, limit: int, k: float = DEFAULT_K
) -> tuple[list[FusedVideo[KeyT]], int]:
    """Return the ``limit`` best videos by the sum of ``weight / (k + rank)``, and how many are all.

    Ranks count from 1. A video missing from a ranking gets nothing from it. Gains and losses are
    summed apart, then subtracted; a video whose losses reach its gains is dropped. A ranking of
    weight 0 is ignored.
    Ties are broken by ``video_id``. Rounding depends on the order of ``rankings``: keep it fixed.

    Source: Cormack, Clarke, Büttcher: Reciprocal Rank Fusion outperforms Condorcet and individual
    Rank Learning Methods, SIGIR 2009; k = 60 is theirs.

    Raises:
        ValueError: a negative weight, or ``k`` below 0.
    """
    if k < 0:
        raise ValueError(f"k is {k}; it must be 0 or more")
    weighed = [ranking for ranking in rankings if ranking.weight != 0]
    given: dict[str, float] = {}
    taken: dict[str, float] = {}
    for ranking in weighed:
        weight = ranking.weight
        if weight < 0:
            raise ValueError(f"the weight of {ranking.key} is {weight}; it must be 0 or more")
        sums = taken if ranking.takes_away else given
        for rank, (video_id, _) in enumerate(ranking.videos, start=1):
            sums[video_id] = sums.get(video_id, 0.0) + weight / (k + rank)
    if taken:
        given = {
            video_id: score - taken.get(video_id, 0.0)
            for video_id, score in given.items()
            if video_id not in taken or score > taken[video_id]
        }
    best = sorted((-score, video_id) for video_id, score in given.items())[:limit]
    contributions: dict[str, list[Contribution[KeyT]]] = {video_id: [] for _, video_id in best}
    for ranking in weighed:
        sign = -1 if ranking.takes_away else 1
        for rank, (video_id, score) in enumerate(ranking.videos, start=1):
            if video_id in contributions:
                gain = sign * ranking.weight / (k + rank)
                contributions[video_id].append(Contribution(ranking.key, rank, score, gain))
    videos = [FusedVideo(video_id, -negated, contributions[video_id]) for negated, video_id in best]
    return videos, len(given)


def weigh_rankings(
    found: Mapping[NameT, Sequence[ScoredVideo]], weights: Mapping[NameT, float] | None = None
) -> list[Ranking[NameT]]:
    """Return one ranking per name, sorted by name; a name without a weight has weight 1."""
    weights = weights or {}
    return [
        Ranking(key=name, videos=found[name], weight=weights.get(name, 1.0))
        for name in sorted(found)
    ]


def merge_by_best(rankings: Sequence[Sequence[ScoredVideo]], limit: int) -> Sequence[ScoredVideo]:
    """Return the ``limit`` best of rankings by one lens, each video with its best score.

    Ties are broken by ``video_id``; a single ranking stays as it is.
    """
    if len(rankings) == 1:
        return rankings[0][:limit]
    best: dict[str, float] = {}
    for video_id, score in chain.from_iterable(rankings):
        best[video_id] = max(score, best.get(video_id, score))
    ordered = sorted((-score, video_id) for video_id, score in best.items())[:limit]
    return [ScoredVideo(video_id, -negated) for negated, video_id in ordered]


def count_ranks_per_seed(seeds: int, *, window: int) -> int:
    """Return how many ranks to ask each of ``seeds`` videos for: the more videos, the fewer."""
    return min(window, max(_LEAST_RANKS, _RANKS_OF_ALL_SEEDS // seeds))


# ---- views of contributions


def list_lens_ranks(video: FusedVideo[str]) -> dict[str, LensRank]:
    """Return the place of ``video`` in the ranking of each lens that found it."""
    return {one.key: LensRank(one.rank, one.score) for one in video.contributions}


def list_best_lens_ranks(video: FusedVideo[SeedLens]) -> dict[str, LensRank]:
    """Return the best place, by each lens, that a liked seed gave ``video``."""
    best: dict[str, LensRank] = {}
    for one in video.contributions:
        if one.gain > 0:
            place, known = LensRank(one.rank, one.score), best.get(one.key.lens)
            if known is None or (place.rank, -place.score) < (known.rank, -known.score):
                best[one.key.lens] = place
    return best


def name_recommenders(video: FusedVideo[SeedLens]) -> list[str]:
    """Return the liked seeds that gave ``video`` the most, at most ``MOST_NAMED``, best first."""
    gains: dict[str, float] = {}
    for one in video.contributions:
        if one.gain > 0:
            gains[one.key.seed] = gains.get(one.key.seed, 0.0) + one.gain
    ordered = sorted((-gain, seed) for seed, gain in gains.items())
    return [seed for _, seed in ordered[:MOST_NAMED]]


def list_searches(video: FusedVideo[int]) -> list[tuple[int, int]]:
    """Return the searches that found ``video``, by their number, each with its rank; best first."""
    ordered = sorted((one.rank, one.key) for one in video.contributions)
    return [(search, rank) for rank, search in ordered]
