"""Several searches become one ranking."""

from __future__ import annotations

from collections.abc import Sequence

from twinlens.search.fusion import FusedVideo


def fuse_searches(
    found: Sequence[Sequence[FusedVideo]], shares: Sequence[float], *, limit: int, k: float
) -> list[FusedVideo]:
    """The ``limit`` best of all searches by reciprocal rank fusion of what each found.

    The video at a rank, from 1, gets ``share / (k + rank)``; a search with share 0 counts as
    absent. ``found_by`` has the searches that found a video by their place, from 0, and its rank in
    each, the best first; ``sources`` are those of the best. Ties are broken by ``video_id``.
    """
    scores: dict[str, float] = {}
    places: dict[str, list[tuple[int, int]]] = {}
    for search, (videos, share) in enumerate(zip(found, shares, strict=True)):
        if share == 0:
            continue
        for rank, video in enumerate(videos, start=1):
            scores[video.video_id] = scores.get(video.video_id, 0.0) + share / (k + rank)
            places.setdefault(video.video_id, []).append((rank, search))
    ordered = sorted((-score, video_id) for video_id, score in scores.items())[:limit]
    fused = []
    for negated, video_id in ordered:
        by_rank = sorted(places[video_id])
        rank, search = by_rank[0]
        best = found[search][rank - 1]
        found_by = [(search, rank) for rank, search in by_rank]
        fused.append(FusedVideo(video_id, -negated, best.sources, found_by=found_by))
    return fused
