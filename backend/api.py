"""The routes under ``/api/v1``."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from flask import Request, Response, g, request

from twinlens.backend import examples
from twinlens.backend.observing import Metrics, add_stages, time_stage
from twinlens.backend.parsing import (
    PICTURES,
    read_browse_query,
    read_lookup_body,
    read_multi_search_body,
    read_recommendations_body,
    read_search_body,
    read_search_query,
    read_similar_query,
    read_thumbnail_width,
    refuse_parameters,
)
from twinlens.backend.problem_kinds import Code
from twinlens.backend.problems import SEARCH_ERRORS, Problem, shorten, to_problem
from twinlens.backend.routes import OF_ONE_VIDEO, OF_PAGES, Route
from twinlens.backend.schemas.answers import (
    BrowseAnswer,
    FusedAnswer,
    LookupAnswer,
    MultiSearchAnswer,
    RecommenderBody,
    SearchAnswer,
    StatsAnswer,
    VideoAnswer,
    VideoBody,
)
from twinlens.backend.schemas.assembly import (
    make_search_answer,
    write_browse_answer,
    write_fused_answer,
    write_lookup_answer,
    write_multi_search_answer,
    write_search_answer,
)
from twinlens.backend.schemas.base import API_ROOT
from twinlens.backend.schemas.fitting import fit
from twinlens.backend.schemas.requests import (
    BrowseBody,
    LearnedBody,
    LookupBody,
    MultiSearchBody,
    PageBody,
    RecommendationsBody,
    SearchBody,
    SimilarBody,
    ThumbnailQuery,
)
from twinlens.catalog.errors import StoreError, TwinLensError
from twinlens.catalog.fields import Fields
from twinlens.catalog.thumbnails import Thumbnails
from twinlens.catalog.timing import StageTimes, TimeBudget
from twinlens.catalog.video import read_thumbnail_file
from twinlens.recommender.pages import Feeds
from twinlens.search.published import PublishedIndex, Snapshot
from twinlens.search.request import (
    HitsRequest,
    LensNotFound,
    MultiSearchFailed,
    MultiSearchRequest,
    RecommendationRequest,
    SearchRequest,
    SearchResult,
    VideoNotFound,
)
from twinlens.search.rules import NO_GUIDANCE, Guidance
from twinlens.stores.base import Payload

BodyT = TypeVar("BodyT")

THUMBNAIL_MAX_AGE_S: Final = 3600
# Seconds of a core for the searches of a multi-search: with what is left to do, it is to take one.
MOST_WORK_S: Final = 0.9


class ApiViews:
    """The views of the API over one published index.

    ``count_searches`` is called with the number of searches of a multi-search, and raises a
    ``Problem`` if that is too many. A search of a multi-search waits at most ``max_wait_s`` for
    those before it. ``guidance`` is how the owner steers every request.
    """

    def __init__(
        self,
        index: PublishedIndex,
        *,
        feeds: Feeds,
        metrics: Metrics,
        thumbnails: Path,
        count_searches: Callable[[int], None],
        max_wait_s: float,
        guidance: Guidance = NO_GUIDANCE,
    ) -> None:
        self._index = index
        self._feeds = feeds
        self._metrics = metrics
        self._thumbnails = Thumbnails(thumbnails)
        self._count_searches = count_searches
        self._max_wait_s = max_wait_s
        self._guidance = guidance

    @Route(
        "get",
        f"{API_ROOT}/search",
        name="searchByQuery",
        tag="search",
        summary="Search by words or by a video",
        description="At least one of `q` and `video_id` is given. Objects are JSON text. A request "
        "line is at most 8,190 bytes: send long texts by POST.",
        query=SearchBody,
        answer=SearchAnswer,
        not_modified=True,
        problems=OF_PAGES | {Code.VIDEO_NOT_FOUND, Code.NOT_ENCODABLE},
        requests=examples.SEARCH_PARAMETERS,
        answers=examples.SEARCH_ANSWERS,
    )
    def search_by_query(self) -> Response:
        """Answer a search whose options stand in the query string."""
        with self._read(read_search_query) as (body, snapshot):
            return self._answer_hits(snapshot, body, body.to_search_request())

    @Route(
        "post",
        f"{API_ROOT}/search",
        name="search",
        tag="search",
        summary="Search by words, a picture, a video, or several of these",
        description="At least one of `text`, `image` and `video_id` is given. All that is given "
        "together is what the hits are to be like.",
        body=SearchBody,
        upload="image",
        answer=SearchAnswer,
        problems=OF_PAGES | {Code.VIDEO_NOT_FOUND, Code.PICTURE_REJECTED, Code.NOT_ENCODABLE},
        requests=examples.SEARCHES,
        answers=examples.SEARCH_ANSWERS,
    )
    def search(self) -> Response:
        """Answer a search whose options stand in the body."""
        with self._read(read_search_body) as (body, snapshot):
            return self._answer_hits(snapshot, body, body.to_search_request())

    @Route(
        "post",
        f"{API_ROOT}/multi-search",
        name="multiSearch",
        tag="search",
        summary="Several searches at once, apart or fused",
        description="Each search is one of `POST /api/v1/search`. Apart, each has an answer of its "
        "own, or a problem. Fused, what they find is one ranking: options that concern its page "
        "are given beside `searches`, and not in them. Each search counts as a request.",
        body=MultiSearchBody,
        answer=(MultiSearchAnswer, FusedAnswer),
        problems=OF_PAGES | {Code.VIDEO_NOT_FOUND, Code.PICTURE_REJECTED, Code.NOT_ENCODABLE},
        requests=examples.MULTI_SEARCHES,
        answers=examples.MULTI_SEARCH_ANSWERS,
    )
    def multi_search(self) -> Response:
        """Answer several searches, each with an answer of its own or fused."""
        with self._read(read_multi_search_body) as (body, snapshot):
            self._count_searches(len(body.searches))
            if not body.fuse:
                return self._answer_each(snapshot, body.searches)
            return self._answer_hits(
                snapshot, body, body.to_multi_search_request(), to_json=write_fused_answer
            )

    @Route(
        "post",
        f"{API_ROOT}/recommendations",
        name="recommendations",
        tag="search",
        summary="More of what was liked, less of what was not",
        description="Every video that is named asks for itself; none of them is a hit. Where a "
        "trained model is published, it takes part.",
        body=RecommendationsBody,
        answer=SearchAnswer,
        problems=OF_PAGES | {Code.VIDEO_NOT_FOUND},
        requests=examples.RECOMMENDATIONS,
        answers=examples.RECOMMENDATION_ANSWERS,
    )
    def recommendations(self) -> Response:
        """Answer what someone's liked and disliked videos recommend."""
        with self._read(read_recommendations_body) as (body, snapshot):
            return self._answer_learned(
                snapshot, body, body.to_recommendation_request(), body.liked, body.disliked
            )

    @Route(
        "get",
        f"{API_ROOT}/videos",
        name="browse",
        tag="videos",
        summary="Page through the videos",
        description="By a field, at random, or in an order of the index's own. Objects are JSON "
        "text. Following the cursors meets every video that passes the filter once.",
        query=BrowseBody,
        answer=BrowseAnswer,
        not_modified=True,
        problems=OF_PAGES,
        requests=examples.BROWSE_PARAMETERS,
        answers=examples.BROWSE_ANSWERS,
    )
    def browse(self) -> Response:
        """Answer a page of all videos that pass a filter."""
        with self._read(read_browse_query) as (body, snapshot):
            result = snapshot.browser.browse(body.to_browse_request())
        add_stages(result.timings_ms)
        with time_stage("serialise"):
            return _make_json_response(
                write_browse_answer(
                    result,
                    body,
                    took_ms=measure_ms(g.started),
                    query_id=g.request_id,
                    generation=snapshot.generation,
                )
            )

    @Route(
        "post",
        f"{API_ROOT}/lookup",
        name="lookup",
        tag="videos",
        summary="Several videos by their ids",
        description="Those that are not in this index are named, and the others answered.",
        body=LookupBody,
        answer=LookupAnswer,
        requests=examples.LOOKUPS,
        answers=examples.LOOKUP_ANSWERS,
    )
    def lookup(self) -> Response:
        """Answer what is known of several videos, in the order of their ids."""
        with self._read(read_lookup_body) as (body, snapshot):
            found = snapshot.reader.get(list(dict.fromkeys(body.video_ids)))
        return _make_json_response(write_lookup_answer(found, body, snapshot.generation))

    @Route(
        "get",
        f"{API_ROOT}/videos/<video_id>",
        name="video",
        tag="videos",
        summary="One video",
        answer=VideoAnswer,
        not_modified=True,
        problems=OF_ONE_VIDEO,
        answers=examples.VIDEO_ANSWERS,
    )
    def video(self, video_id: str) -> Response:
        """Answer what is known of one video."""
        refuse_parameters(request)
        payload, fields, generation = self._get_video(video_id)
        video = fit(VideoBody, fields).of(payload)
        answer = fit(VideoAnswer, fields)(video=video, generation=generation)
        return _make_json_response(answer.model_dump_json())

    @Route(
        "get",
        f"{API_ROOT}/videos/<video_id>/similar",
        name="similar",
        tag="videos",
        summary="You may also like",
        description="A search by this video: by its title, its words, its thumbnail, and what a "
        "trained model finds for who has watched it, where one is published; itself left out.",
        query=SimilarBody,
        answer=SearchAnswer,
        not_modified=True,
        problems=OF_PAGES | OF_ONE_VIDEO,
        requests=examples.SIMILAR_PARAMETERS,
        answers=examples.SEARCH_ANSWERS,
    )
    def similar(self, video_id: str) -> Response:
        """Answer the videos that are like one."""
        with self._read(read_similar_query) as (options, snapshot):
            return self._answer_learned(
                snapshot, options, options.to_search_request(video_id), [video_id]
            )

    @Route(
        "get",
        f"{API_ROOT}/videos/<video_id>/thumbnail",
        name="thumbnail",
        tag="videos",
        summary="The picture of a video",
        description="As it was indexed; smaller, and then as WebP, with `w`.",
        query=ThumbnailQuery,
        media_types=PICTURES,
        not_modified=True,
        problems=OF_ONE_VIDEO | {Code.THUMBNAIL_NOT_FOUND},
    )
    def thumbnail(self, video_id: str) -> Response:
        """Answer the picture of one video, or that the caller has it already."""
        width = read_thumbnail_width(request)
        payload, _, _ = self._get_video(video_id)
        name = read_thumbnail_file(payload)
        tag = self._thumbnails.make_tag(name, width)
        response = Response()
        try:
            if name is None or tag is None:
                raise FileNotFoundError
            if request.if_none_match.contains_weak(tag):
                response.status_code = 304
            else:
                picture = self._thumbnails.read(name, width)
                response = Response(picture.data, content_type=picture.media_type)
        except FileNotFoundError as error:
            raise Problem(
                Code.THUMBNAIL_NOT_FOUND, f"video {shorten(video_id)!r} has no thumbnail"
            ) from error
        except OSError as error:
            raise StoreError(f"a thumbnail can't be read: {error}") from error
        response.set_etag(tag)
        response.cache_control.public = True
        response.cache_control.max_age = THUMBNAIL_MAX_AGE_S
        return response

    @Route(
        "get",
        f"{API_ROOT}/stats",
        name="stats",
        tag="operation",
        summary="What is published",
        answer=StatsAnswer,
        not_modified=True,
        answers=examples.STATS_ANSWERS,
    )
    def stats(self) -> Response:
        """Answer what is published."""
        refuse_parameters(request)
        with self._index.borrow() as snapshot:
            model, is_damaged = self._feeds.find_model(snapshot)
            recommender = None
            if model is not None or is_damaged:
                shares = self._metrics.share_feeds()
                recommender = RecommenderBody.of(model, datetime.now(UTC), shares)
            answer = StatsAnswer.of(snapshot.manifest, recommender)
            return _make_json_response(answer.model_dump_json())

    def _read(
        self, read: Callable[[Request, Fields], BodyT]
    ) -> AbstractContextManager[tuple[BodyT, Snapshot]]:
        return read_over(self._index, read)

    def _answer_learned(
        self,
        snapshot: Snapshot,
        asked: LearnedBody,
        wanted: SearchRequest | RecommendationRequest,
        liked: Sequence[str],
        disliked: Sequence[str] = (),
    ) -> Response:
        """Answer what is like ``liked``, among it what the trained model finds, if there is one."""
        stages = StageTimes()
        model, _ = self._feeds.find_model(snapshot)
        if model is not None and asked.learned_weight:
            with stages.stage("learned"):
                learned = self._feeds.find_like(
                    snapshot,
                    # In a fixed order, so that no sum depends on how the seeds were listed.
                    sorted({*liked, *disliked}),
                    limit=wanted.window,
                    filter=wanted.filter,
                    exclude={*liked, *disliked, *wanted.exclude},
                )
            wanted = replace(wanted, learned=learned)
        _, is_damaged = self._feeds.find_model(snapshot)
        to_json = partial(write_search_answer, is_damaged=is_damaged)
        return self._answer_hits(snapshot, asked, wanted, stages, to_json=to_json)

    def _answer_hits(
        self,
        snapshot: Snapshot,
        asked: PageBody,
        wanted: HitsRequest,
        stages: StageTimes | None = None,
        *,
        to_json: Callable[..., str] = write_search_answer,
    ) -> Response:
        result = self._run(snapshot, wanted, stages or StageTimes())
        with time_stage("serialise"):
            return _make_json_response(
                to_json(
                    result,
                    asked,
                    took_ms=measure_ms(g.started),
                    query_id=g.request_id,
                    generation=snapshot.generation,
                )
            )

    def _answer_each(self, snapshot: Snapshot, searches: Sequence[SearchBody]) -> Response:
        outcomes: list[SearchAnswer | Problem] = []
        timings: Counter[str] = Counter()
        budget = self._make_budget()
        for number, search in enumerate(searches):
            stages = StageTimes()
            started = time.perf_counter()
            try:
                budget.check()
                result = self._run(snapshot, search.to_search_request(), stages)
            except LensNotFound as error:
                raise MultiSearchFailed(number) from error
            except SEARCH_ERRORS as error:
                outcomes.append(to_problem(error))
                continue
            finally:
                timings.update(stages.to_milliseconds())
            with time_stage("serialise"):
                outcomes.append(
                    make_search_answer(
                        result,
                        search,
                        took_ms=measure_ms(started),
                        query_id=g.request_id,
                        generation=snapshot.generation,
                    )
                )
        with time_stage("serialise"):
            return _make_json_response(
                write_multi_search_answer(
                    outcomes,
                    searches,
                    took_ms=measure_ms(g.started),
                    timings_ms=timings,
                    query_id=g.request_id,
                    generation=snapshot.generation,
                )
            )

    def _run(self, snapshot: Snapshot, wanted: HitsRequest, stages: StageTimes) -> SearchResult:
        """Run ``wanted`` and return its result; record its times even if it fails."""
        searcher = snapshot.searcher
        wanted = self._guidance.guide(wanted, snapshot.manifest.fields)
        try:
            match wanted:
                case SearchRequest():
                    g.query_text = wanted.text
                    return searcher.search(wanted, stages)
                case RecommendationRequest():
                    return searcher.recommend(wanted, stages)
                case MultiSearchRequest():
                    return searcher.multi_search(wanted, stages, budget=self._make_budget())
        finally:
            add_stages(stages.to_milliseconds())

    def _make_budget(self) -> TimeBudget:
        return TimeBudget(self._max_wait_s, work_s=MOST_WORK_S)

    def _get_video(self, video_id: str) -> tuple[Payload, Fields, str]:
        """Return what is stored of a video, the fields of its index, and the generation."""
        with self._index.borrow() as snapshot:
            found = snapshot.reader.get([video_id])
            if video_id not in found:
                raise VideoNotFound({"video_id": video_id})
            return found[video_id].payload, snapshot.manifest.fields, snapshot.generation


@contextmanager
def read_over(
    index: PublishedIndex, read: Callable[[Request, Fields], BodyT]
) -> Iterator[tuple[BodyT, Snapshot]]:
    """Lend the published generation, and what ``read`` makes of the request by its fields.

    One generation answers the whole request: another one may have other fields.
    """
    with ExitStack() as lent:
        try:
            snapshot = lent.enter_context(index.borrow())
        except TwinLensError:
            # A caller's own mistake is named first; it is there with an index, too.
            read(request, index.read_fields())
            raise
        yield read(request, snapshot.manifest.fields), snapshot


def measure_ms(started: float) -> float:
    """Return the milliseconds since ``started``."""
    return round((time.perf_counter() - started) * 1000, 3)


def _make_json_response(text: str) -> Response:
    return Response(text, content_type="application/json")
