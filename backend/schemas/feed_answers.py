"""The model of a feed, as it is answered."""

from __future__ import annotations

from twinlens.backend.schemas.answers import HitVideoBody
from twinlens.backend.schemas.base import AnswerModel
from twinlens.backend.schemas.feed_requests import FeedBody
from twinlens.backend.schemas.fitting import fit
from twinlens.recommender.pages import Fallback, FeedPage


class FoundInBody(AnswerModel):
    """A source's view of a hit."""

    rank: int
    """Its rank there, from 1."""
    score: float
    """Its score there, which can't be compared with another source's."""


class FeedHitBody(AnswerModel):
    """One hit of a feed."""

    video: HitVideoBody
    """The video."""
    rank: int
    """The place in the whole feed, from 1."""
    score: float
    """What the feed is ordered by, before channels are spread and places explored."""
    expected_watch_s: float | None
    """The seconds that the person is expected to watch; null without a model that knows."""
    shown_before: int
    """How often it was shown to the person before, and not watched."""
    chance: float | None
    """The chance of the draw by which it is here; null where nothing was left to chance."""
    because: list[str] = []
    """The videos of the person's past that speak for it most, at most three; there when `explain`
    is true."""
    sources: dict[str, FoundInBody] = {}
    """The sources that found it, by name; there when `explain` is true."""


class FeedAnswer(AnswerModel):
    """A page of a feed."""

    hits: list[FeedHitBody]
    """The page, best first."""
    next_cursor: str | None
    """The cursor of the next page, for half an hour; null on the last, and without `person_id`."""
    feed_id: str
    """The feed, for the events that follow from it; all its pages have the same."""
    model: str | None
    """The model that made it; null where none did."""
    fallback: list[Fallback]
    """What it had to do without, the gravest first; empty where nothing was lacking."""
    took_ms: float
    """Milliseconds from the request's arrival to just before the answer was written."""
    timings_ms: dict[str, float]
    """Milliseconds per stage."""
    query_id: str
    """The request's id, as in `X-Request-Id`."""
    generation: str
    """The index that answered."""


def write_feed_answer(
    page: FeedPage,
    asked: FeedBody,
    *,
    took_ms: float,
    timings_ms: dict[str, float],
    query_id: str,
    generation: str,
) -> str:
    """Return a page of a feed as JSON text, with the parts that ``asked`` asks for."""
    fields = asked.of_fields
    hit_body, video_body = fit(FeedHitBody, fields), fit(HitVideoBody, fields)
    answer = fit(FeedAnswer, fields)(
        hits=[
            hit_body(
                video=video_body.of(one.video.payload),
                rank=one.rank,
                score=one.place.score,
                expected_watch_s=one.place.expected_watch_s,
                shown_before=one.place.shown,
                chance=one.place.chance,
                because=list(one.place.because),
                sources={
                    name: FoundInBody(rank=by.rank, score=by.score)
                    for name, by in one.place.sources.items()
                },
            )
            for one in page.hits
        ],
        next_cursor=page.next_cursor,
        feed_id=page.feed_id,
        model=page.model,
        fallback=list(page.fallback),
        took_ms=took_ms,
        timings_ms=timings_ms,
        query_id=query_id,
        generation=generation,
    )
    unasked: dict[str, set[str] | bool] = {}
    if not asked.explain:
        unasked = {"because": True, "sources": True}
    if asked.attributes is not None:
        unasked["video"] = set(video_body.model_fields) - {"video_id", *asked.attributes}
    return answer.model_dump_json(exclude={"hits": {"__all__": unasked}})
