"""The route of feeds."""

from __future__ import annotations

from typing import Final

from flask import Response, g, request

from twinlens.backend import feed_examples as examples
from twinlens.backend.api import measure_ms, read_over
from twinlens.backend.observing import Metrics, add_stages, time_stage
from twinlens.backend.parsing import read_feed_body
from twinlens.backend.people import PersonRights
from twinlens.backend.problem_kinds import Code
from twinlens.backend.routes import OF_PAGES, Route
from twinlens.backend.schemas.assembly import round_timings
from twinlens.backend.schemas.base import API_ROOT
from twinlens.backend.schemas.feed_answers import FeedAnswer, write_feed_answer
from twinlens.backend.schemas.feed_requests import FeedBody
from twinlens.catalog.timing import StageTimes
from twinlens.recommender.pages import Feeds
from twinlens.search.published import PublishedIndex

_PROBLEMS: Final = OF_PAGES | {Code.VIDEO_NOT_FOUND, Code.FORBIDDEN}


class FeedViews:
    """The view of feeds over a published index; ``rights`` say who may ask for whose."""

    def __init__(
        self, index: PublishedIndex, feeds: Feeds, metrics: Metrics, rights: PersonRights
    ) -> None:
        self._index = index
        self._feeds = feeds
        self._metrics = metrics
        self._rights = rights

    @Route(
        "post",
        f"{API_ROOT}/feed",
        name="feed",
        tag="recommendations",
        summary="What to watch next",
        description="For a person whose events are kept, or for one whose events are sent along, "
        "of whom nothing is kept. There is a feed whatever is lacking; `fallback` says what was.",
        body=FeedBody,
        answer=FeedAnswer,
        problems=_PROBLEMS,
        requests=examples.FEEDS,
        answers=examples.FEED_ANSWERS,
    )
    def feed(self) -> Response:
        """Answer a page of a feed."""
        with read_over(self._index, read_feed_body) as (body, snapshot):
            if body.person_id is not None:
                self._rights.require(request, body.person_id)
            wanted = body.to_feed_request(self._feeds.read_now())
            stages = StageTimes()
            try:
                page = self._feeds.answer(snapshot, wanted, stages)
            finally:
                add_stages(stages.to_milliseconds())
        self._metrics.count_feed(page.fallback[0] if page.fallback else "none")
        with time_stage("serialise"):
            text = write_feed_answer(
                page,
                body,
                took_ms=measure_ms(g.started),
                timings_ms=round_timings(stages.to_milliseconds()),
                query_id=g.request_id,
                generation=snapshot.generation,
            )
        return Response(text, content_type="application/json")
